"""The reserved processors, memory and GPUs of a node, and which attempts fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provctl.core.model.workflow import Placement
    from provctl.executors.remote.node_config import NodeConfig

LOCAL = "local"  # the name of the owner's machine as a node


class Room:
    """Adds up the resources that the attempts on a node reserve."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._cpus = 0.0
        self._memory = 0
        self._gpus = 0

    def take(self, wanted: Placement, sign: int = 1) -> None:
        """Add the resources of an attempt; with `sign` -1 subtract them."""
        self._cpus += sign * wanted.cpus
        self._memory += sign * wanted.memory
        self._gpus += sign * wanted.gpus

    def has(self, wanted: Placement) -> bool:
        """Whether an attempt fits in addition to the others."""
        config = self._config
        return (
            (not config.cpus or self._cpus + wanted.cpus <= config.cpus + 1e-6)
            and (not config.memory or self._memory + wanted.memory <= config.memory)
            and self._gpus + wanted.gpus <= config.gpus
        )


def satisfies(config: NodeConfig, wanted: Placement) -> bool:
    """Whether a node meets the requirements of a task and is large enough."""
    if wanted.node and wanted.node != config.name:
        return False
    return set(wanted.labels) <= set(config.labels) and Room(config).has(wanted)
