"""Event streams: of one run from its journal, of all runs from a buffer.

The stream of one run reads its journal from any event on, so slow readers cost nothing.
The stream of all runs has no file. A reader that falls behind the buffer gets a `reset`
event and has to start again.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Mapping, Optional, Set, Tuple

from provctl.base.safe_open import reader
from provctl.storage.journal.codec import NewerFormat, as_record, unseal

if TYPE_CHECKING:
    from provctl.core.engine.events import Event
    from provctl.storage.layout import RunDir


_STEP = 256 * 1024  # bytes of a journal read at once; a longer line is read whole
_LOOK_S = 0.5  # between two reads of a journal that another process writes
_REMEMBERED = 8 << 20  # bytes of frames
_FRAMES = 200  # frames returned at once
_ALL = ""
_INNER = frozenset({"v", "dur", "prev", "crc"})


class EventNotifier:
    """Wakes those who wait for events of one run, or of any. Used in the event loop."""

    def __init__(self) -> None:
        self._waiting: Dict[str, Set[asyncio.Event]] = {}
        self.closed = False

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, run_id: str = _ALL) -> asyncio.Event:
        """Return an asyncio event that is set when the run has new events."""
        bell = asyncio.Event()
        self._waiting.setdefault(run_id, set()).add(bell)
        return bell

    def remove(self, bell: asyncio.Event, run_id: str = _ALL) -> None:
        """Stop setting this asyncio event."""
        notifier = self._waiting.get(run_id, set())
        notifier.discard(bell)
        if not notifier:
            self._waiting.pop(run_id, None)

    def ring(self, run_id: str) -> None:
        """Wake all who wait for events of this run."""
        for key in (run_id, _ALL):
            for bell in self._waiting.get(key, ()):
                bell.set()

    def close(self) -> None:
        """End all streams."""
        self.closed = True
        for notifier in self._waiting.values():
            for bell in notifier:
                bell.set()


class RunEventStream:
    """The events of one run after a seq; the stream ends when the run has finished."""

    def __init__(self, folder: RunDir, after: int, notifier: EventNotifier) -> None:
        self._folder = folder
        self._after = after
        self._notifier = notifier
        self._bell = notifier.add(folder.id)
        self._offset = 0
        self._over = False
        self._first: List[bytes] = []

    async def has_ended(self) -> bool:
        """Whether the run has finished and no events are left; call it first."""
        self._first = await self.read(0) or []
        return self._over and not self._first

    async def read(self, wait_s: float) -> Optional[List[bytes]]:
        """See `api.http.backend.EventSource`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        if self._first:
            frames, self._first = self._first, []
            return frames
        while not self._notifier.closed:
            self._bell.clear()
            frames, went_on = await loop.run_in_executor(None, self._step)
            if frames:
                return frames
            if went_on:
                continue
            left = deadline - loop.time()
            if self._over:
                return None
            if left <= 0:
                return []
            await _wait_for_event(self._bell, min(left, _LOOK_S))
        return None

    def close(self) -> None:
        """See `api.http.backend.EventSource`."""
        self._notifier.remove(self._bell, self._folder.id)

    def _step(self) -> Tuple[List[bytes], bool]:
        """Read a part of the journal; return its frames, and whether there was one."""
        try:
            lines = self._lines()
            frames = [frame for frame in map(self._frame, lines) if frame]
        except (OSError, ValueError, NewerFormat) as problem:
            self._over = True
            return [_format_frame("problem", {"error": str(problem)})], False
        return frames, bool(lines)

    def _lines(self) -> List[bytes]:
        size = _STEP
        with reader(self._folder.journal) as file:
            file.seek(self._offset)
            data = file.read(size)
            while b"\n" not in data and len(data) == size:
                size *= 2
                file.seek(self._offset)
                data = file.read(size)
        end = data.rfind(b"\n") + 1
        self._offset += end
        return data[:end].splitlines()

    def _frame(self, line: bytes) -> Optional[bytes]:
        record, _ = unseal(line)
        self._over = record["type"] == "run_finished"
        seq = record["seq"]
        if seq <= self._after:
            return None
        return _format_frame(
            record["type"], _public_record(record, self._folder.id), str(seq)
        )


class EventBuffer:
    """The last events of all runs, encoded, of limited size. Used in the event loop."""

    def __init__(self) -> None:
        self._epoch = os.urandom(4).hex()
        self._frames: Deque[bytes] = deque()
        self._size = 0
        self.first = 1  # the number of the oldest frame
        self.next = 1

    def add(self, events: List[Event]) -> None:
        """Add events, and drop the oldest ones."""
        for event in events:
            record = as_record(event)
            name = f"{self._epoch}-{self.next}"
            frame = _format_frame(
                record["type"], _public_record(record, event.run), name
            )
            self._frames.append(frame)
            self._size += len(frame)
            self.next += 1
        while self._size > _REMEMBERED and self._frames:
            self._size -= len(self._frames.popleft())
            self.first += 1

    def place_of(self, name: str) -> Optional[int]:
        """Return the number after an event's id; None if it is not in the buffer."""
        epoch, _, number = name.partition("-")
        if epoch != self._epoch or not (number.isascii() and number.isdigit()):
            return None
        place = int(number[:18]) + 1
        return place if self.first <= place <= self.next else None

    def frames(self, start: int) -> List[bytes]:
        """Return some frames from a number on."""
        begin = start - self.first
        end = min(len(self._frames), begin + _FRAMES)
        return [self._frames[index] for index in range(begin, end)]


class GlobalEventStream:
    """The events of all runs from a number on; it ends with the scheduler."""

    def __init__(
        self, memory: EventBuffer, after: Optional[str], notifier: EventNotifier
    ) -> None:
        self._memory = memory
        self._notifier = notifier
        self._bell = notifier.add()
        place = memory.next if after is None else memory.place_of(after)
        self._reset = place is None
        self._at = memory.next if place is None else place

    async def read(self, wait_s: float) -> Optional[List[bytes]]:
        """See `api.http.backend.EventSource`."""
        if (
            not self._notifier.closed
            and not self._reset
            and self._at == self._memory.next
        ):
            self._bell.clear()
            await _wait_for_event(self._bell, wait_s)
        if self._notifier.closed:
            return None
        if self._reset or self._at < self._memory.first:
            self._reset, self._at = False, self._memory.next
            return [_format_frame("reset", {"reason": "events were missed"})]
        frames = self._memory.frames(self._at)
        self._at += len(frames)
        return frames

    def close(self) -> None:
        """See `api.http.backend.EventSource`."""
        self._notifier.remove(self._bell)


def _public_record(record: Mapping[str, Any], run_id: str) -> Dict[str, Any]:
    """Return a journal record without the fields that only journal readers need."""
    plain = {name: value for name, value in record.items() if name not in _INNER}
    return {"run": run_id, **plain}


def _format_frame(kind: str, data: Mapping[str, Any], name: str = "") -> bytes:
    lines = [f"id: {name}"] if name else []
    lines += [f"event: {kind}", f"data: {json.dumps(data, separators=(',', ':'))}"]
    return ("\n".join(lines) + "\n\n").encode("ascii")


async def _wait_for_event(bell: asyncio.Event, wait_s: float) -> None:
    try:
        await asyncio.wait_for(bell.wait(), wait_s)
    except asyncio.TimeoutError:
        return
