"""The configuration of a node, and the command that connects to it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Tuple

# The user's own ssh configuration applies, except what would open more connections: a
# shared connection would outlive its owner, and forwarded ports can be opened only
# once.
_OPTIONS = (
    "IgnoreUnknown=RemoteCommand",  # ssh before 7.6 does not know it
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
    """A node in the configuration.

    `ssh` is a host of the user's ssh configuration. `cpus` and `memory` are limits, 0
    for none. `program` is provctl on the node, `state_dir` its state directory there
    and `cwd` the folder in which tasks start; "" means the default.
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
        # ssh joins the words, and a shell on the node splits them again.
        return ("ssh", *options, "--", self.ssh, shlex.join(self.agent))
