"""Owns nodes for tests: sshd on this machine, one state directory for each node."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, Optional

import pytest

from provctl.executors.local.executor import LocalExecutor
from provctl.executors.remote.executor import RemoteExecutor
from provctl.executors.remote.node_config import NodeConfig
from provctl.executors.remote.node_records import NodeRecords
from tests.support.attempts import Bench, command_of, wait_until
from tests.support.tools import need

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef
    from tests.support.installed import Provctl

__all__ = [
    "PROGRAM",
    "Link",
    "NodeBench",
    "Nodes",
    "agents_of",
    "configure",
    "link",
    "sshd",
]

PROGRAM = Path(sys.executable).with_name("provctl")

_SSHD = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PidFile none
MaxStartups 100
MaxSessions 100
PasswordAuthentication no
PermitUserEnvironment no
LogLevel ERROR
"""
_SSH = """\
Host *
  HostName {address}
  Port {port}
  User {user}
  IdentityFile {folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
  StrictHostKeyChecking no
  LogLevel ERROR
"""


@contextmanager
def sshd(
    folder: Path, address: str = "127.0.0.1", inside: tuple[str, ...] = ()
) -> Iterator[Path]:
    """Serve ssh on a port of this machine; yields the folder of a client `ssh`.

    Every name of a host leads here. `inside` is a command that starts another one
    where `address` is. OpenSSH reads the configuration of the account,
    whatever HOME is: so the client is a script that names another.
    """
    need("sshd")
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    client = shutil.which("ssh")
    assert program is not None
    assert client is not None
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)],
            check=True,
        )
    port = _free_port()
    user = subprocess.check_output(["id", "-un"], encoding="utf-8").strip()
    values = {"port": port, "folder": folder, "user": user, "address": address}
    (folder / "sshd_config").write_text(_SSHD.format(**values))
    (folder / "ssh_config").write_text(_SSH.format(**values))
    place = folder / "bin"
    place.mkdir()
    script = f'#!/bin/sh\nexec {client} -F {shlex.quote(str(folder))}/ssh_config "$@"\n'
    (place / "ssh").write_text(script)
    (place / "ssh").chmod(0o755)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # as its package would at boot
    log = folder / "sshd.log"
    command = [
        *inside,
        program,
        "-D",
        "-f",
        str(folder / "sshd_config"),
        "-E",
        str(log),
    ]
    server = subprocess.Popen(command)
    try:
        wait_until(lambda: _answers(address, port), f"sshd answers: {log}")
        yield place
    finally:
        server.terminate()
        server.wait(30)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _answers(address: str, port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(5)
        return sock.connect_ex((address, port)) == 0


class Link:
    """A network of two machines, the second a namespace of this one; can be cut."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.address = f"10.213.{number}.2"
        self.inside = ("ip", "netns", "exec", name)
        self._outer, self._inner = f"v{name}a"[-15:], f"v{name}b"[-15:]
        self._own = f"10.213.{number}.1/24"

    def up(self) -> None:
        """Connect them."""
        _ip("link", "set", self._outer, "up")

    def cut(self) -> None:
        """Let nothing pass, and tell nobody."""
        _ip("link", "set", self._outer, "down")

    def make(self) -> None:
        """Make both ends."""
        _ip("netns", "add", self.name)
        ends = (self._outer, "type", "veth", "peer", "name", self._inner)
        _ip("link", "add", *ends, "netns", self.name)
        _ip("addr", "add", self._own, "dev", self._outer)
        for words in (
            ("addr", "add", f"{self.address}/24", "dev", self._inner),
            ("link", "set", self._inner, "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", self.name, *words)
        self.up()

    def remove(self) -> None:
        """Take it away again."""
        subprocess.run(["ip", "netns", "del", self.name], check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def link(number: int) -> Iterator[Link]:
    """A link to another machine; skips the test where none can be made."""
    made = Link(f"pv{os.getpid()}n{number}", number)
    try:
        made.make()
    except (OSError, subprocess.CalledProcessError) as problem:
        made.remove()
        pytest.skip(f"this machine can make no network namespaces: {problem}")
    try:
        yield made
    finally:
        made.remove()


class Nodes:
    """Nodes by their names, each with a state directory below `folder`."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("web1",)) -> None:
        self.folder = folder
        self.names = names

    def state(self, name: str) -> Path:
        """The state directory of a node."""
        return self.folder / name

    def root(self, name: str) -> Path:
        """Where a node keeps its evidence."""
        return self.state(name) / "node"

    def config(self, name: str, **fields: Any) -> NodeConfig:
        """What an owner knows of a node."""
        given = {"slots": 16, "program": str(PROGRAM), **fields}
        return NodeConfig(name, name, state_dir=str(self.state(name)), **given)

    def executor(self, **fields: Any) -> RemoteExecutor:
        """An owner's executor for all nodes."""
        return RemoteExecutor(
            [self.config(name) for name in self.names],
            LocalExecutor(),
            NodeRecords(self.folder / "nodes"),
            clock=lambda: 1_800_000_000.0,
            **fields,
        )


def configure(
    provctl: Provctl,
    client: Path,
    names: tuple[str, ...],
    environ: Optional[Mapping[str, str]] = None,
) -> None:
    """Give an account nodes, of which `client` has the `ssh`.

    Each has a state directory of its name in the account's folder; `environ` is for its
    agents.
    """
    folder = provctl.folder
    program = folder / "provctl-on-node"
    # A command over ssh has the PATH of a login, and not that of the tests.
    told = {"PATH": os.environ["PATH"], **(environ or {})}
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in told.items())
    program.write_text(f'#!/bin/sh\n{words} exec {PROGRAM} "$@"\n')
    program.chmod(0o755)
    lines = ['[executor]\nkind = "ssh"\n']
    for name in names:
        lines.append(f'[nodes.{name}]\nssh = "{name}"\nslots = 4\n')
        lines.append(f'program = "{program}"\nstate_dir = "{folder / name}"\n')
    (folder / "config.toml").write_text("".join(lines))
    provctl.environ["PATH"] = f"{client}:{provctl.environ['PATH']}"
    provctl.environ["PROVCTL_CONFIG"] = str(folder / "config.toml")


def agents_of(state: Path) -> List[int]:
    """The agents on a node, by its state directory; not the shells around them."""
    found = []
    for entry in Path("/proc").iterdir():
        words = command_of(int(entry.name)) if entry.name.isdigit() else []
        is_agent = words[-2:] == ["node", "agent"] and str(state) in words
        if is_agent and "python" in Path(words[0]).name:
            found.append(int(entry.name))
    return found


class NodeBench(Bench):
    """A bench whose executor runs attempts on nodes."""

    def __init__(
        self, nodes: Nodes, folder: Path, *, run: Optional[str] = None, **fields: Any
    ) -> None:
        self.nodes = nodes
        super().__init__(lambda: nodes.executor(**fields), folder, run)

    def evidence(self, place: AttemptRef) -> AttemptRef:
        """The attempt as its node has it."""
        from dataclasses import replace

        name = self.nodes.names[0]
        folder = self.nodes.root(name) / "runs" / place.run / "attempts"
        return replace(place, folder=folder)

    def recover(self, place: AttemptRef, *, rebooted: bool = False) -> Any:
        """Ask what became of an attempt; its node may have to be asked first."""
        told = self.reports.setdefault(place.task, [])
        report = super().recover(place, rebooted=rebooted)
        if report is None:
            self.until(lambda: told, f"what became of {place.name}")
            report = told.pop(0)
        return report
