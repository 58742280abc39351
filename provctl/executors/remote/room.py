"""What of a node's processors, memory and graphics cards is taken, and who fits in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provctl.core.model.workflow import Placement
    from provctl.executors.remote.node_config import NodeConfig

LOCAL = "local"  # as a node: the machine of the owner


class Room:
    """Counts what the attempts on a node have for themselves."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._cpus = 0.0
        self._memory = 0
        self._gpus = 0

    def take(self, wanted: Placement, sign: int = 1) -> None:
        """Count what an attempt has; with `sign` -1 it has that no more."""
        self._cpus += sign * wanted.cpus
        self._memory += sign * wanted.memory
        self._gpus += sign * wanted.gpus

    def has(self, wanted: Placement) -> bool:
        """Whether an attempt fits in beside the others."""
        config = self._config
        return (
            (not config.cpus or self._cpus + wanted.cpus <= config.cpus + 1e-6)
            and (not config.memory or self._memory + wanted.memory <= config.memory)
            and self._gpus + wanted.gpus <= config.gpus
        )


def satisfies(config: NodeConfig, wanted: Placement) -> bool:
    """Whether a node is what a task asks for, and large enough."""
    if wanted.node and wanted.node != config.name:
        return False
    return set(wanted.labels) <= set(config.labels) and Room(config).has(wanted)
