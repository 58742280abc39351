"""What the API needs of whoever has the runs: a contract, kept by `daemon.http_backend`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Protocol, Tuple

from provctl.base.light_dataclass import light_dataclass

if TYPE_CHECKING:
    from provctl.core.engine.requests import Request
    from provctl.core.model.labels import Condition


@light_dataclass
class ListQuery:
    """A part of a list: those with a status (None: any), from `offset` on, of a run.

    Of runs, and of schedules, those that have all of `labels`.
    """

    limit: int
    offset: int = 0
    status: Optional[str] = None
    run: Optional[str] = None
    labels: Tuple[Condition, ...] = ()


@light_dataclass
class Submission:
    """A workflow as it was sent, JSON by itself or in a wrapper; `key` by header."""

    body: bytes
    key: Optional[str] = None


@light_dataclass
class LibraryCall:
    """A command of the Nushell library, and what it is to be called with."""

    noun: str
    verb: str
    body: Mapping[str, Any]
    key: Optional[str] = None


@light_dataclass
class NewSchedule:
    """A schedule as it was sent: the whole `text`, JSON, and what was read of it."""

    name: str
    text: bytes
    fields: Mapping[str, Any]


@light_dataclass
class Stats:
    """What a scheduler counts: what there is now, and what ended since its start.

    `pools` maps names to what is used of them, and their capacity; `schedules` to
    the next time, in seconds since the epoch, None where none is waited for.
    """

    runs: Mapping[str, int]
    tasks: Mapping[str, int]
    running: int
    slots: int
    pools: Mapping[str, Tuple[int, int]]
    runs_finished: Mapping[str, int]
    attempts_finished: Mapping[str, int]
    events: int
    schedules: Mapping[str, Optional[float]]


class EventSource(Protocol):
    """A stream of events for one reader."""

    async def read(self, wait_s: float) -> Optional[List[bytes]]:
        """Return frames of SSE, none if none came in so many seconds; None: the end.

        A feed that was closed has ended.
        """
        ...

    def close(self) -> None:
        """The reader has gone."""
        ...


class ScheduleBackend(Protocol):
    """What routes of schedules call; as of `Service`."""

    async def all(self, page: ListQuery) -> bytes:
        """Return records of schedules, by their names, damaged ones too."""
        ...

    async def one(self, name: str) -> bytes:
        """Return a schedule's record."""
        ...

    async def add(self, wish: NewSchedule) -> bool:
        """Add a schedule; return False if it is there and the same, raise if another is."""
        ...

    async def remove(self, name: str) -> None:
        """Remove a schedule; its runs stay."""
        ...

    async def pause(self, name: str, reason: str) -> None:
        """Submit nothing of a schedule until it is resumed."""
        ...

    async def resume(self, name: str, reason: str) -> None:
        """Go on with a paused schedule."""
        ...

    async def run(self, name: str, key: Optional[str], labels: Dict[str, str]) -> str:
        """Queue the workflow of a schedule now and return the run's id."""
        ...


class SchedulerBackend(Protocol):
    """What routes call, in the event loop. All raise ProvctlErrors.

    Bytes are JSON. What changes something is durable on return.
    """

    @property
    def schedules(self) -> ScheduleBackend:
        """Whoever has the schedules."""
        ...

    async def submit(self, submission: Submission) -> str:
        """Queue a workflow and return the run's id."""
        ...

    async def call(self, call: LibraryCall) -> str:
        """Queue a command of the Nushell library and return the run's id."""
        ...

    async def control(self, request: Request) -> None:
        """Bring a request to the owner of its run."""
        ...

    async def tasks(self, page: ListQuery) -> bytes:
        """Return task records, those of the latest runs first."""
        ...

    async def task(self, run_id: str, task_id: Optional[str]) -> bytes:
        """Return a task's record; without a name that of a run's only task."""
        ...

    async def only_task(self, run_id: str) -> str:
        """Return the name of a run's only task. Raises NotFound."""
        ...

    async def runs(self, page: ListQuery) -> bytes:
        """Return records of runs, the latest first."""
        ...

    async def run(self, run_id: str) -> bytes:
        """Return a run's record, with its tasks."""
        ...

    async def follow(self, run_id: str, after: int) -> Optional[EventSource]:
        """Return the events of a run behind a seq; None if there will be none."""
        ...

    async def stream_all_events(self, after: Optional[str]) -> EventSource:
        """Return the events of all runs in this scheduler's hands behind an id."""
        ...

    def stats(self) -> Stats:
        """Return what is counted."""
        ...
