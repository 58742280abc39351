"""Checkpoints: the state of a run at some length of its journal.

A checkpoint only saves time: the journal alone is authoritative. A checkpoint that is
damaged, of another version, or does not match the bytes before it is ignored, and the
whole journal is replayed. The CRC-32 of all bytes that a checkpoint covers is checked,
so damage there is still detected, at a hundredth of the cost.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Dict, Optional
from zlib import crc32

from provctl import __version__
from provctl.base.light_dataclass import light_dataclass
from provctl.base.safe_open import read_own
from provctl.core.engine.events import RunSubmitted
from provctl.core.engine.snapshot import FIELDS
from provctl.storage.journal.codec import FORMAT, NewerFormat, check_seal, decode, seal
from provctl.storage.journal.file import JournalOffset
from provctl.storage.layout import write_fsync

if TYPE_CHECKING:
    from provctl.storage.layout import RunDir


SIZE_MAX = 1 << 26  # bytes; a larger one would not save time
# With fewer records, reading the checkpoint takes as long as replaying them.
RECORDS_MIN = 50
# After the end of a run a checkpoint saves less: replaying fewer records takes 25 ms.
END_RECORDS_MIN = 1000


@light_dataclass
class Checkpoint:
    """A state, and the part of the journal that leads to it."""

    submitted: RunSubmitted
    position: JournalOffset
    state: Dict[str, Any]


class CheckpointPolicy:
    """When the next checkpoint of a run is due: time and records since the last."""

    def __init__(self, *, interval_s: float, now: float, seq: int) -> None:
        self._interval_s = interval_s
        self._next = now + interval_s
        self._seq = seq

    def is_due(self, now: float, seq: int) -> bool:
        """Whether a checkpoint is due; if so, the next one is due an interval later."""
        if now < self._next or seq < self._seq + RECORDS_MIN:
            return False
        self._next, self._seq = now + self._interval_s, seq
        return True


_UNFIT = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError),
    *(RecursionError, NewerFormat),
)


def save(folder: RunDir, position: JournalOffset, state: Dict[str, Any]) -> None:
    """Write a checkpoint of the durable events; errors are ignored.

    The folder is not synced, because an older checkpoint in its place also works.
    """
    record = {
        "v": FORMAT,
        "version": __version__,
        "fields": FIELDS,
        "length": position.offset,
        "seq": position.seq,
        "last": position.crc,
        "sum": position.sum,
        "state": state,
    }
    draft = folder.path / "checkpoint.json.new"
    with suppress(OSError, ValueError, TypeError):
        text = json.dumps(record, separators=(",", ":"), allow_nan=False)
        write_fsync(draft, seal(text, most=SIZE_MAX)[0])
        draft.replace(folder.checkpoint)
        return
    with suppress(OSError):
        draft.unlink()


def load(folder: RunDir) -> Optional[Checkpoint]:
    """Return the checkpoint, None if there is none that matches the journal."""
    try:
        raw = read_own(folder.checkpoint)
        check_seal(raw[:-1], most=SIZE_MAX)
        record = json.loads(raw)
        made = (record["v"], record["version"], record["fields"])
        if made != (FORMAT, __version__, FIELDS):
            return None
        position = JournalOffset(
            record["length"], record["seq"], record["last"], record["sum"]
        )
        part = read_own(folder.journal)[: position.offset]
        if len(part) != position.offset or crc32(part) != position.sum:
            return None
        first = decode(part[: part.index(b"\n")], folder.id).event
        if part[-11:-3] != position.crc.encode("ascii"):
            return None
        state = record["state"]
    except _UNFIT:
        return None
    if not isinstance(first, RunSubmitted):
        return None
    return Checkpoint(first, position, state)
