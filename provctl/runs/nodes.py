"""Use cases of nodes: list, probe, drain and resume them, and check placements."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence

from provctl import __version__
from provctl.base.suggest import did_you_mean
from provctl.errors import NotFound, StateDirError
from provctl.executors.remote.messages import (
    ProtocolMismatch,
    decode,
    version_problem,
)
from provctl.executors.remote.node_config import NodeConfig
from provctl.executors.remote.node_records import NodeRecord, NodeRecords
from provctl.executors.remote.room import LOCAL, satisfies

if TYPE_CHECKING:
    from provctl.config.settings import Settings
    from provctl.core.model.workflow import Placement
    from provctl.storage.layout import StateDir

_PROBE_S = 20.0
_CLOCK_TOLERANCE_S = 60.0


@dataclass(frozen=True)
class NodeProbe:
    """What a node reports about itself now; `problem` is why it does not, else ""."""

    hello: Mapping[str, Any]
    problem: str = ""


def node_configs(settings: Settings) -> Sequence[NodeConfig]:
    """Return the nodes of the configuration."""
    return [NodeConfig(name, **given) for name, given in settings.nodes.items()]


def find_node(settings: Settings, name: str) -> NodeConfig:
    """Return a node of the configuration. Raises NotFound."""
    for config in node_configs(settings):
        if config.name == name:
            return config
    hint = did_you_mean(name, settings.nodes, "see: provctl node list")
    message = f"no node {name} is configured"
    raise NotFound(message, hint=hint)


def node_record(folder: StateDir, name: str) -> NodeRecord:
    """Return what is known of a node without connecting to it."""
    return _records(folder).read(name)


def node_rows(settings: Settings, folder: StateDir) -> List[Dict[str, Any]]:
    """Return what is known of all nodes, without connecting to them."""
    return [
        _row(config, node_record(folder, config.name))
        for config in node_configs(settings)
    ]


def _row(config: NodeConfig, record: NodeRecord) -> Dict[str, Any]:
    return {
        "name": config.name,
        "ssh": config.ssh,
        "slots": config.slots,
        "labels": list(config.labels),
        "status": "drained" if record.drained else "active",
        "heard_at": record.heard_at or None,
        "problem": record.problem or None,
    }


def drain_node(settings: Settings, folder: StateDir, name: str) -> None:
    """Give a node no new tasks. Raises NotFound, StateDirError."""
    find_node(settings, name)
    folder.prepare()
    try:
        _records(folder).drain(name)
    except OSError as problem:
        raise _not_noted(folder, problem) from problem


def resume_node(settings: Settings, folder: StateDir, name: str) -> None:
    """Give a node new tasks again. Raises NotFound, StateDirError."""
    find_node(settings, name)
    try:
        _records(folder).resume(name)
    except OSError as problem:
        raise _not_noted(folder, problem) from problem


def _not_noted(folder: StateDir, problem: OSError) -> StateDirError:
    return StateDirError(f"{folder.path}: {problem.strerror}")


def probe_node(config: NodeConfig) -> NodeProbe:
    """Connect to a node and return what its agent reports; disconnect at once."""
    try:
        done = subprocess.run(
            list(config.command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return NodeProbe({}, f"no answer within {_PROBE_S:.0f} s")
    except OSError as problem:
        return NodeProbe({}, f"ssh cannot be started: {problem.strerror}")
    for line in done.stdout.splitlines():
        try:
            hello = decode(line)
        except ProtocolMismatch:
            continue  # output of the shell at its start
        return NodeProbe(hello, version_problem(hello, __version__) or "")
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    code = f"exit code {done.returncode}"
    return NodeProbe({}, f"{said[-1]} ({code})" if said else code)


def clock_problem(hello: Mapping[str, Any], now: float) -> Optional[str]:
    """Return how far a node's clock differs from this machine's, if too far."""
    ahead_s = float(hello.get("now", now)) - now
    if abs(ahead_s) <= _CLOCK_TOLERANCE_S:
        return None
    how = "ahead of" if ahead_s > 0 else "behind"
    return f"its clock is {abs(ahead_s):.0f} s {how} that of this machine"


def place_problem(settings: Settings, wanted: Placement) -> str:
    """Return why no node can run a task with this placement; "" if one can."""
    if wanted.node == LOCAL:
        return ""
    if settings.executor.kind == "local":
        return 'tasks run on this machine (executor.kind is "local")'
    if wanted.node and wanted.node not in settings.nodes:
        return f"no node {wanted.node} is configured"
    if any(satisfies(config, wanted) for config in node_configs(settings)):
        return ""
    what = f"node {wanted.node} is not" if wanted.node else "no node is"
    return f"{what} as the task wants it: labels, cpus, memory and gpus"


def _records(folder: StateDir) -> NodeRecords:
    return NodeRecords(folder.path / "nodes")
