"""The backend that the API calls: a protocol, implemented by `daemon.http_backend`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Protocol, Tuple

from provctl.base.light_dataclass import light_dataclass

if TYPE_CHECKING:
    from provctl.core.engine.requests import Request
    from provctl.core.model.labels import Condition


@light_dataclass
class ListQuery:
    """A part of a list: with a status (None: any), from `offset` on, of a run.

    Of runs and schedules only those that have all `labels`.
    """

    limit: int
    offset: int = 0
    status: Optional[str] = None
    run: Optional[str] = None
    labels: Tuple[Condition, ...] = ()


@light_dataclass
class Submission:
    """A submitted workflow in JSON, perhaps in a wrapper; `key` is from the header."""

    body: bytes
    key: Optional[str] = None


@light_dataclass
class LibraryCall:
    """A command of the Nushell library, and its arguments."""

    noun: str
    verb: str
    body: Mapping[str, Any]
    key: Optional[str] = None


@light_dataclass
class NewSchedule:
    """A schedule as it was sent: the whole JSON `text`, and the fields read from it."""

    name: str
    text: bytes
    fields: Mapping[str, Any]


@light_dataclass
class Stats:
    """The counters of a scheduler: current numbers, and what finished since its start.

    `pools` maps names to used units and capacity; `schedules` to the next time in
    seconds since the epoch, None if the schedule waits for none.
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
        """Return SSE frames, empty if none came in so many seconds; None at the end.

        A closed stream has ended.
        """
        ...

    def close(self) -> None:
        """The reader has disconnected."""
        ...


class ScheduleBackend(Protocol):
    """What the routes of schedules call; the same rules as for `SchedulerBackend`."""

    async def all(self, page: ListQuery) -> bytes:
        """Return the records of all schedules by name, including damaged ones."""
        ...

    async def one(self, name: str) -> bytes:
        """Return a schedule's record."""
        ...

    async def add(self, schedule: NewSchedule) -> bool:
        """Add a schedule; return False if it exists, raise if another has the name."""
        ...

    async def remove(self, name: str) -> None:
        """Remove a schedule; its runs remain."""
        ...

    async def pause(self, name: str, reason: str) -> None:
        """Pause a schedule until it is resumed."""
        ...

    async def resume(self, name: str, reason: str) -> None:
        """Resume a paused schedule."""
        ...

    async def run(self, name: str, key: Optional[str], labels: Dict[str, str]) -> str:
        """Queue the workflow of a schedule now and return the run's id."""
        ...


class SchedulerBackend(Protocol):
    """What the routes call, in the event loop. All methods raise ProvctlErrors.

    Bytes are JSON. Changes are durable when a method returns.
    """

    @property
    def schedules(self) -> ScheduleBackend:
        """The backend of the schedules."""
        ...

    async def submit(self, submission: Submission) -> str:
        """Queue a workflow and return the run's id."""
        ...

    async def call(self, call: LibraryCall) -> str:
        """Queue a command of the Nushell library and return the run's id."""
        ...

    async def control(self, request: Request) -> None:
        """Send a request to the owner of its run."""
        ...

    async def tasks(self, page: ListQuery) -> bytes:
        """Return task records; tasks of the latest runs come first."""
        ...

    async def task(self, run_id: str, task_id: Optional[str]) -> bytes:
        """Return the record of a task; without a name that of the run's only task."""
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
        """Return the events of a run after a sequence number; None at the end."""
        ...

    async def stream_all_events(self, after: Optional[str]) -> EventSource:
        """Return the events of all runs of this scheduler after an id."""
        ...

    def stats(self) -> Stats:
        """Return the counters."""
        ...
