"""The four shells at a terminal, with provctl's completion as users install it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, List

import pyte

from tests.support.attempts import PATIENCE_S
from tests.support.terminals import Terminal
from tests.support.tools import need

if TYPE_CHECKING:
    from tests.support.installed import Provctl

__all__ = ["SHELLS", "Shell"]

SHELLS = ("bash", "zsh", "fish", "nu")

_PROMPT = "READY> "
_CLEAR = "\x05\x15\x0c"  # to the end of the line, away with it, and with all above


class Shell(Terminal):
    """An interactive shell, and what its terminal shows."""

    mute = True  # pyte answers

    def __init__(self, name: str, provctl: Provctl, command: str = "provctl") -> None:
        home = Path(provctl.environ["HOME"])
        script = provctl("completion", name).out
        environ = {**provctl.environ, "TERM": "xterm-256color", "ZDOTDIR": str(home)}
        argv = _INSTALL[name](home, script, command)
        self._screen = pyte.Screen(110, 40)
        # Nushell asks the terminal where its cursor is, and waits for the answer.
        self._screen.write_process_input = self.press
        self._stream = pyte.Stream(self._screen)
        super().__init__(argv, environ, provctl.folder)
        self.until(lambda text: text.endswith(_PROMPT.rstrip()), "its prompt")

    def type(self, keys: str) -> None:
        """Type a new line; a tab in it asks for completion."""
        self.press(_CLEAR)
        self.until(lambda text: text == _PROMPT.rstrip(), "an empty line")
        self.press(keys)

    def shows(self, *texts: str) -> str:
        """Wait until all of `texts` are visible; return the screen as one line."""
        return self.until(lambda seen: all(t in seen for t in texts), f"{texts}")

    def until(self, holds: Callable[[str], bool], what: str) -> str:
        """Wait until the screen fulfils a condition."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if holds(self._seen):
                return self._seen
            # What is read before something else is typed may come in pieces.
            self.read_some(within_s=0.1)
        message = f"no {what} at the terminal, but:\n" + "\n".join(self._rows)
        raise AssertionError(message)

    @property
    def _rows(self) -> List[str]:
        return [row.rstrip() for row in self._screen.display if row.strip()]

    @property
    def _seen(self) -> str:
        # A line that is too long goes on in the next row, wherever that is.
        return "".join(row.ljust(110) for row in self._screen.display).rstrip()

    def _read(self, deadline: float) -> bool:
        before = len(self.raw)
        more = super()._read(deadline)
        self._stream.feed(self.raw[before:])
        return more


def _bash(home: Path, script: str, _: str) -> List[str]:
    file = home / ".bashrc"
    file.write_text(f"PS1='{_PROMPT}'\n{script}", encoding="utf-8")
    return ["bash", "--noprofile", "--rcfile", str(file), "-i"]


def _zsh(home: Path, script: str, command: str) -> List[str]:
    need("zsh")
    (home / ".zfunc").mkdir()
    (home / f".zfunc/_{command}").write_text(script, encoding="utf-8")
    config = "fpath=(~/.zfunc $fpath)\nautoload -Uz compinit && compinit -u\n"
    (home / ".zshrc").write_text(f"PS1='{_PROMPT}'\n{config}", encoding="utf-8")
    return ["zsh", "-i"]


def _fish(home: Path, script: str, command: str) -> List[str]:
    need("fish")
    folder = home / "config/fish"
    (folder / "completions").mkdir(parents=True)
    (folder / f"completions/{command}.fish").write_text(script, encoding="utf-8")
    prompt = f"function fish_prompt; printf '{_PROMPT}'; end\nset -g fish_greeting ''\n"
    (folder / "config.fish").write_text(prompt, encoding="utf-8")
    return ["fish"]


def _nu(home: Path, script: str, command: str) -> List[str]:
    folder = home / "config/nushell"
    (folder / "autoload").mkdir(parents=True)
    (folder / f"autoload/{command}.nu").write_text(script, encoding="utf-8")
    prompt = "$env.PROMPT_COMMAND = ''\n$env.PROMPT_COMMAND_RIGHT = ''\n"
    prompt += f"$env.PROMPT_INDICATOR = '{_PROMPT}'\n$env.config.show_banner = false\n"
    (folder / "config.nu").write_text(prompt, encoding="utf-8")
    (folder / "env.nu").write_text("", encoding="utf-8")
    return ["nu"]


_INSTALL: Dict[str, Callable[[Path, str, str], List[str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
    "nu": _nu,
}
