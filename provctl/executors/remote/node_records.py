"""The files about nodes in an owner's state directory: last contact, drained or not.

nodes/<name>.json       what it reported about itself, and its last contact
nodes/<name>.drained    it gets no new attempts
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from provctl.base.safe_open import open_own, read_own

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class NodeRecord:
    """What is known of a node. `heard_at` is seconds since the epoch, 0 for never."""

    name: str
    heard_at: float = 0.0
    hello: Optional[Mapping[str, Any]] = None
    problem: str = ""
    drained: bool = False


class NodeRecords:
    """Reads and writes the files of nodes below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> NodeRecord:
        """Return what is known of a node; mostly defaults if it never connected."""
        drained = self.is_drained(name)
        try:
            record = json.loads(read_own(self._folder / f"{name}.json"))
            return NodeRecord(
                name,
                float(record["heard_at"]),
                record.get("hello"),
                str(record.get("problem", "")),
                drained,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return NodeRecord(name, drained=drained)

    def write(
        self,
        name: str,
        heard_at: float,
        hello: Optional[Mapping[str, Any]],
        problem: str,
    ) -> None:
        """Record the last contact with a node, for display: a full disk is no error."""
        record: Dict[str, Any] = {
            "heard_at": round(heard_at, 3),
            "hello": hello,
            "problem": problem,
        }
        draft = self._folder / f"{name}.json.{os.getpid()}.new"
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            fd = open_own(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                os.write(fd, json.dumps(record).encode("ascii") + b"\n")
            finally:
                os.close(fd)
            draft.replace(self._folder / f"{name}.json")

    def is_drained(self, name: str) -> bool:
        """Whether a node gets no new attempts."""
        return os.path.lexists(self._folder / f"{name}.drained")

    def drain(self, name: str) -> None:
        """Give a node no new attempts. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        os.close(open_own(self._folder / f"{name}.drained", os.O_WRONLY | os.O_CREAT))

    def resume(self, name: str) -> None:
        """Give a node new attempts again. Raises OSError."""
        with suppress(FileNotFoundError):
            (self._folder / f"{name}.drained").unlink()
