"""Reads systemd units in tests, and acts as their service manager."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, Dict, List, Mapping, Match, Optional

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Manager", "words_of"]

# What systemd.syntax(7) says of quotes, and systemd.unit(5) of specifiers.
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPES = {"n": "\n", "\\": "\\", '"': '"'}


def words_of(line: str, *, command: bool) -> List[str]:
    """The words of a value, all of which are quoted; in a `command`, $$ is a $."""
    words = []
    for quoted in _WORD.findall(line):
        word = re.sub(r"\\(u.{4}|U.{8}|.)", _meant, quoted)
        rest = word.replace("%%", "")
        assert "%" not in rest, f"a specifier in {line}"
        word = word.replace("%%", "%")
        if command:
            assert "$" not in word.replace("$$", ""), f"a variable in {line}"
            word = word.replace("$$", "$")
        words.append(word)
    return words


def _meant(escape: Match[str]) -> str:
    said = str(escape[1])
    return _ESCAPES[said] if len(said) == 1 else chr(int(said[1:], 16))


class Manager:
    """Treats a unit as systemd does: Type=notify and KillMode=process."""

    def __init__(self, unit: Path, environ: Mapping[str, str], folder: Path) -> None:
        lines = unit.read_text().splitlines()
        fields = [line.partition("=")[::2] for line in lines if "=" in line[1:]]
        (command,) = [value for name, value in fields if name == "ExecStart"]
        assert ("KillMode", "process") in fields
        assert ("Type", "notify") in fields
        self._argv = words_of(command, command=True)
        self._environ: Dict[str, str] = {"HOME": environ["HOME"]}
        for name, value in fields:
            if name == "Environment":
                (word,) = words_of(value, command=False)
                key, _, text = word.partition("=")
                self._environ[key] = text
        self._address = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._address))
        self._socket.settimeout(60)
        self.process: Optional[subprocess.Popen[bytes]] = None

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self._socket.close()

    def start(self) -> List[str]:
        """Start it, and return its messages up to readiness."""
        environ = {**self._environ, "NOTIFY_SOCKET": str(self._address)}
        self.process = subprocess.Popen(
            self._argv,
            env=environ,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self.until("READY=1")

    def until(self, word: str) -> List[str]:
        """Wait for a word, and return all messages up to it."""
        said: List[str] = []
        while word not in said:
            said += self._socket.recv(4096).decode().splitlines()
        return said

    def stop(self) -> int:
        """Stop its process only, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """Kill its process only."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(60)
