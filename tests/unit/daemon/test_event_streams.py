"""The event buffer is limited, and readers learn what they have missed."""

from __future__ import annotations

import asyncio
from typing import Any, List

from provctl.core.engine import events as ev
from provctl.daemon.event_streams import EventBuffer, EventNotifier, GlobalEventStream
from tests.support.scheduler_harness import in_a_loop


def some(count: int, text: str = "x") -> List[ev.Event]:
    return [ev.RunPaused("r", 1.0, reason=f"{text}{n}") for n in range(count)]


def ids(frames: Any) -> List[int]:
    return [int(f.split(b"-", 1)[1].split(b"\n", 1)[0]) for f in frames]


@in_a_loop
async def test_reader_gets_new_events_and_continues_where_it_was() -> None:
    memory, notifier = EventBuffer(), EventNotifier()
    feed = GlobalEventStream(memory, None, notifier)
    assert await feed.read(0) == []
    memory.add(some(3))
    notifier.ring("r")
    frames = await feed.read(1)
    assert frames is not None
    assert ids(frames) == [1, 2, 3]
    name = frames[1].decode().splitlines()[0][4:]
    again = await GlobalEventStream(memory, name, notifier).read(1)
    assert again == frames[2:]


@in_a_loop
async def test_reader_learns_that_events_were_dropped() -> None:
    memory, notifier = EventBuffer(), EventNotifier()
    memory.add(some(1))
    slow = GlobalEventStream(memory, None, notifier)
    memory.add(some(9, "y" * (1 << 20)))
    assert memory.first > 2
    first = await slow.read(1)
    assert first is not None
    assert first[0].startswith(b"event: reset\n")
    assert await slow.read(0) == []
    for unknown in ("", "x", "0badcafe-1", "-", "0badcafe-\u0663"):
        told = await GlobalEventStream(memory, unknown, notifier).read(0)
        assert told is not None
        assert told[0].startswith(b"event: reset\n")


@in_a_loop
async def test_streams_end_when_the_notifier_closes() -> None:
    notifier = EventNotifier()
    feed = GlobalEventStream(EventBuffer(), None, notifier)
    reading = asyncio.ensure_future(feed.read(60))
    await asyncio.sleep(0)
    notifier.close()
    assert await reading is None
    assert len(notifier) == 1
    feed.close()
    assert len(notifier) == 0
