"""What the configuration says of a node, and the command that reaches it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Tuple

# Of the user's own configuration all counts but what would open further connections:
# a shared one would outlive its owner, forwarded ports could be opened only once.
_OPTIONS = (
    "IgnoreUnknown=RemoteCommand",  # clients before 7.6 do not know it
    "BatchMode=yes",
    "ConnectTimeout=5",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ControlMaster=no",
    "ControlPath=none",
    "ClearAllForwardings=yes",
    "RemoteCommand=none",
    "RequestTTY=no",
    "EscapeChar=none",
)


@dataclass(frozen=True)
class NodeConfig:
    """A node as the configuration has it.

    `ssh` is a host of the user's ssh configuration. Of `cpus` and `memory` 0 is no
    limit. `program` is provctl on the node,
    `state_dir` its state directory there and `cwd` where tasks start, "" for the
    usual ones.
    """

    name: str
    ssh: str
    slots: int = 1
    cpus: float = 0.0
    memory: int = 0
    gpus: int = 0
    labels: Tuple[str, ...] = ()
    program: str = "provctl"
    state_dir: str = ""
    cwd: str = ""

    @property
    def agent(self) -> Tuple[str, ...]:
        """The command that starts the agent on the node."""
        place = ("--state-dir", self.state_dir) if self.state_dir else ()
        start = ("--cwd", self.cwd) if self.cwd else ()
        return (self.program, *place, "node", "agent", *start)

    @property
    def command(self) -> Tuple[str, ...]:
        """The command that connects to the node and starts the agent there."""
        options = (word for option in _OPTIONS for word in ("-o", option))
        # ssh joins the words, and a shell on the node takes them apart again.
        return ("ssh", *options, "--", self.ssh, shlex.join(self.agent))
