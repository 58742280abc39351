"""Owns the tally of a run by stage, and which of its tasks are to begin next."""

from __future__ import annotations

from collections import Counter
from itertools import chain, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Dict, Iterator, List, Mapping, Optional, Tuple

from provctl.core.graph import stages

if TYPE_CHECKING:
    from provctl.core.state import RunState

__all__ = ["Levels"]

_COUNT_S = 0.5  # between two looks through all tasks
_NEXT = 100  # of those that have not begun

_bucket = attrgetter("bucket")


class Levels:
    """Counts anew only when a count of the run changed, and now and then at most."""

    def __init__(self, run: RunState) -> None:
        self.run = run
        table = stages(run.workflow.tasks)
        self._stage_of = [n for n, found in enumerate(table) for _ in found]
        self._tasks = [run.tasks[task.id] for found in table for task in found]
        self._depth = len(table)
        self._counted: Mapping[str, int] = {}
        self._counted_at: Optional[float] = None
        self.counts: Tuple[Mapping[str, int], ...] = ()
        self.next_up: List[str] = []

    def look(self, now: float) -> None:
        """Bring `counts` (of each stage, by status or outcome) and `next_up` up to date.

        `now` is in seconds, of a clock that may be set back.
        """
        early = self._counted_at is not None and (
            0 <= now - self._counted_at < _COUNT_S and self.run.outcome is None
        )
        if early or self._counted == self.run.counts:
            return
        self._counted_at = now
        self._counted = dict(self.run.counts)
        counts: List[Dict[str, int]] = [{} for _ in range(self._depth)]
        pairs = Counter(zip(self._stage_of, map(_bucket, self._tasks)))
        for (stage, bucket), number in pairs.items():
            counts[stage][bucket] = number
        self.counts = tuple(counts)
        both = chain(self._those("ready"), self._those("waiting"))
        self.next_up = list(islice(both, _NEXT))

    def _those(self, bucket: str) -> Iterator[str]:
        if not self.run.counts.get(bucket):
            return iter(())
        return (task.task.id for task in self._tasks if task.bucket == bucket)
