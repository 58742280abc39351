"""The loop: requests, reports and deadlines become events, events become effects.

    request --admit--\\                                    /--> executor
    report ---observe--> events -> journal -> apply -> decide
    deadline ---------/      (fsync before any effect)     \\--> watchers

All of this runs in one thread, between two waits of asyncio. The loop processes a batch
of input as a whole: one write and one fsync for each run it changes. Other threads do
only two things: wait for a busy lock, and wait for programs that print secrets.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import (
    TYPE_CHECKING,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from provctl.core.engine import events as ev
from provctl.core.engine.apply import apply, close_run
from provctl.core.engine.decide import (
    Instruction,
    JournalOnly,
    LaunchAttempt,
    StopAttempt,
    SuspendAttempt,
    decide,
    next_deadline,
    start,
)
from provctl.core.engine.observe import observe
from provctl.core.engine.requests import (
    REOPENING,
    Report,
    ReportProgress,
    Request,
    admit,
)
from provctl.core.engine.run_queue import SLOTS, pool, taken_by
from provctl.core.engine.snapshot import snapshot
from provctl.core.engine.state import RunState, State
from provctl.errors import (
    JournalDamaged,
    NotFound,
    ProvctlError,
    RequestRejected,
    StateDirError,
)
from provctl.executors.protocol import AttemptRef
from provctl.scheduler.circuit_breaker import CircuitBreaker
from provctl.scheduler.order_builder import failed_before_start, missing_resource
from provctl.scheduler.ports import RunUpdate
from provctl.scheduler.progress_throttle import ProgressThrottle
from provctl.scheduler.run_locks import RunLocks
from provctl.scheduler.secret_lookups import SecretLookups
from provctl.scheduler.slot_waiter import SharedSlots
from provctl.scheduler.takeover import OwnedRun, acquire, ownership_error
from provctl.storage.journal.checkpoint import END_RECORDS_MIN, CheckpointPolicy, save
from provctl.storage.journal.file import commit_all
from provctl.storage.slots import Slots

if TYPE_CHECKING:
    from provctl.scheduler.ports import SchedulerDeps


# After these events an attempt uses no resources any more.
_ENDS = (ev.AttemptFinished, ev.AttemptDiscarded, ev.ProbeDue, ev.TaskHeld)

_Effect = Tuple[str, Callable[[], None]]  # run id, effect once durable


class Scheduler:
    """The owner of some runs. Create and use it inside a running event loop.

    Runs at most `slots` tasks at once. All owners with the same settings together run
    at most `common` tasks (None: as many as `slots`) and use at most the `capacity` of
    each pool. Raises StateDirError if these limits cannot be shared with other owners.
    """

    def __init__(
        self,
        deps: SchedulerDeps,
        *,
        slots: int,
        capacity: Mapping[str, int],
        common: Optional[int] = None,
    ) -> None:
        self._deps = deps
        self.state = State(slots=slots, capacity=capacity)
        sizes = {pool(name): size for name, size in capacity.items()}
        sizes[SLOTS] = common or slots
        place = deps.folder.slots
        self._shared = SharedSlots(Slots(place, sizes), place, self._advance)
        self._owned: Dict[str, OwnedRun] = {}
        self._locks = RunLocks()
        self._checkpoints: Dict[str, CheckpointPolicy] = {}
        self._recorded: Dict[str, List[ev.Event]] = {}  # not durable yet
        self._unpublished: Dict[str, List[ev.Event]] = {}  # durable
        self._alarm: Optional[asyncio.TimerHandle] = None
        self._progress = ProgressThrottle(deps.clock, self._advance)
        self._breaker = CircuitBreaker(str(deps.folder.path), deps.warn)
        self._secrets = SecretLookups(deps.secrets, self._advance)
        deps.executor.start(self._on_reports)

    # -- entry points ------------------------------------------------------------------

    async def acquire_run(self, run_id: str, request: Optional[Request] = None) -> None:
        """Become the owner of a run and continue it; apply `request`.

        Reopens a finished run if the request does that. Raises RequestRejected if the
        run has another owner or is finished, NotFound, JournalDamaged, JournalTooNew,
        StateDirError. Also raises the error with which the request is refused; an
        unfinished run is then acquired all the same.
        """
        folder = self._deps.folder.run(run_id)
        if run_id in self._owned:
            raise ownership_error(folder)
        if not self._locks.hold_now(folder):
            await self._locks.wait([folder])
            if run_id in self._owned:  # another caller here waited for it too
                if request is not None:
                    self._request_of_owned(request)
                return
        self._acquire_and_advance(run_id, request)

    def _acquire_and_advance(self, run_id: str, request: Optional[Request]) -> None:
        is_opened = self._start_owning(run_id, request)
        for problem in self._recover_attempts([run_id]).values():
            raise problem
        if request is None or is_opened:
            self._advance_with(run_id, [])
            return
        try:
            # Before any task starts, because the request may be a pause or cancel.
            events = self._admit(request)
        except ProvctlError:
            self._advance()
            raise
        self._advance_with(run_id, events)

    def _start_owning(self, run_id: str, request: Optional[Request] = None) -> bool:
        """Lock a run and record the acquisition; return whether that reopened it."""
        folder = self._deps.folder.run(run_id)
        owned = acquire(self.state, folder, self._deps.holder, self._locks)
        self._owned[run_id] = owned
        self._deps.on_acquire(run_id)
        self._checkpoints[run_id] = CheckpointPolicy(
            interval_s=self._deps.checkpoint_s,
            now=self._deps.clock.now(),
            seq=owned.journal.position.seq,
        )
        run = self.state.runs[run_id]
        is_opened = run.outcome is not None
        if is_opened:
            self._reopen(run, request)
        now, holder = self._deps.clock.now(), self._deps.holder
        self._record(
            ev.OwnershipTaken(run_id, now, holder.kind, holder.pid, holder.boot)
        )
        return is_opened

    async def acquire_queued(self) -> None:
        """Acquire every queued run that has no owner; report the runs where that fails.

        Acquires all of them together, so that the first tasks to start are the first of
        all runs. No run waits for a run whose lock is busy.
        """
        try:
            queued = self._deps.folder.queued()
        except StateDirError as problem:
            self._deps.on_error("", problem)
            queued = []
        wanted = {
            run_id: self._deps.folder.run(run_id)
            for run_id in queued
            if run_id not in self._owned
        }
        busy = {
            run_id: folder
            for run_id, folder in wanted.items()
            if not self._locks.hold_now(folder)
        }
        self._acquire_all(run_id for run_id in wanted if run_id not in busy)
        if busy:
            await self._locks.wait(busy.values())
            self._acquire_all(run_id for run_id in busy if run_id not in self._owned)

    def _acquire_all(self, run_ids: Iterable[str]) -> None:
        begun: List[str] = []
        for run_id in run_ids:
            try:
                self._start_owning(run_id)
            except ProvctlError as problem:
                self._deps.on_error(run_id, problem)
            else:
                begun.append(run_id)
        for run_id, found in self._recover_attempts(begun).items():
            self._deps.on_error(run_id, found)
        self._advance()

    async def request(self, request: Request) -> None:
        """Apply a request; acquire the run first if it has no owner. Durable on return.

        Raises the errors of `acquire_run`, and StateDirError if the request cannot be
        written to the journal. Progress that is reported too fast is written a moment
        later, and only the last report.
        """
        if request.run in self._owned:
            self._request_of_owned(request)
        elif self._may_acquire_for(request):
            await self.acquire_run(request.run, request)
        else:
            message = f"this process does not own run {request.run}"
            raise NotFound(message)

    def _request_of_owned(self, request: Request) -> None:
        events = self._progress.filter(self._admit(request))
        self._advance_with(request.run, events)

    def _may_acquire_for(self, request: Request) -> bool:
        is_scheduler = self._deps.holder.kind == "scheduler"
        return is_scheduler and not isinstance(request, ReportProgress)

    def _admit(self, request: Request) -> List[ev.Event]:
        return admit(self.state, request, self._deps.clock.now())

    def _advance_with(self, run_id: str, events: Iterable[ev.Event]) -> None:
        problem = self._advance(events).get(run_id)
        if problem is not None:
            raise problem

    def _reopen(self, run: RunState, request: Optional[Request]) -> None:
        """Record what reopens a finished run, or release it. Raises RequestRejected."""
        run_id = run.submitted.run
        try:
            if request is None or not isinstance(request, REOPENING):
                message = f"run {run_id} has already finished ({run.outcome})"
                hint = "a finished run can only be retried or rolled back"
                raise RequestRejected(message, hint=hint)
            events = self._admit(request)
            if self._deps.holder.kind == "scheduler":
                # First, and while the lock is held, so that no process takes the marker
                # for an old one.
                self._deps.folder.enqueue(run_id)
        except ProvctlError:
            self._release_run(run_id)
            raise
        for event in events:
            self._record(event)

    def close(self) -> None:
        """Release everything. Tasks continue; the next owner adopts them."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._progress.close()
        self._secrets.close()
        self._deps.executor.close()
        for run_id in list(self._owned):
            self._release_run(run_id, finished=False)
        self._locks.close()
        self._shared.close()

    # -- reports -----------------------------------------------------------------------

    def _on_reports(self, reports: Sequence[Report]) -> None:
        now = self._deps.clock.now()
        for report in reports:
            self._breaker.on_report(report, now)
            for progress in self._progress.flush_last(report.run, report.task):
                self._record(progress)
            # One after the other, because `observe` depends on the state.
            for event in observe(self.state, report, now, self._deps.random()):
                self._record(event)
        self._advance()

    def _recover_attempts(self, run_ids: Sequence[str]) -> Dict[str, ProvctlError]:
        """Record the results of attempts that the previous owner started.

        First makes durable the events of the previous owner, and the change of owner.
        Returns the runs that had to be released, and why.
        """
        tries = {run_id: self._running(run_id) for run_id in run_ids}
        journals = {run: self._owned[run].journal for run in run_ids if tries[run]}
        problems: Dict[str, ProvctlError] = {**commit_all(journals)}
        for run_id in journals:
            if run_id in problems:
                continue
            try:
                self._recover(tries[run_id], rebooted=self._owned[run_id].rebooted)
            except (StateDirError, JournalDamaged) as problem:
                problems[run_id] = problem
        for run_id in problems:
            self._release_run(run_id, finished=False)
        return problems

    def _running(self, run_id: str) -> List[AttemptRef]:
        run = self.state.runs[run_id]
        tasks = [run.tasks[task_id] for task_id in run.active]
        return [
            self._place(run_id, task.task.id, task.attempt)
            for task in tasks
            if task.status == "running" and task.attempt
        ]

    def _recover(self, tries: Sequence[AttemptRef], *, rebooted: bool) -> None:
        deps = self._deps
        now = deps.clock.now()
        for place in tries:
            report = deps.executor.recover(place, rebooted=rebooted)
            if report is None:
                # Another machine is being asked. It locks no slots here, so this
                # process does.
                task = self.state.runs[place.run].tasks[place.task].task
                self._shared.acquire(place.run, place.task, taken_by(task))
                continue
            for event in observe(self.state, report, now, deps.random()):
                self._record(event)

    # -- events, then effects ----------------------------------------------------------

    def _advance(self, events: Iterable[ev.Event] = ()) -> Dict[str, StateDirError]:
        """Record events and their consequences, then carry out the instructions.

        Returns the runs that had to be released, and why.
        """
        for event in events:
            self._record(event)
        effects: List[_Effect] = []
        problems: Dict[str, StateDirError] = {}
        while True:
            effects += self._decide()
            released = self._commit()
            if not released:
                break
            problems.update(released)  # other runs can use what they held
        for run_id, act in effects:
            if run_id in self._owned:
                act()
        self._secrets.start()
        self._publish()
        self._set_alarm()
        return problems

    def _decide(self) -> List[_Effect]:
        """Record everything that has to be done now; return the effects."""
        effects: List[_Effect] = []
        now = self._deps.clock.now()
        lacking: Set[str] = set()
        self._drop_reservations()
        while True:
            is_open = self._breaker.is_open(now)
            if is_open:
                lacking.add(SLOTS)
            instructions = decide(self.state, now, lacking, self._secrets.reserved)
            if not instructions and not is_open:
                instructions = self._start_prepared(now)
            if not instructions:
                if self._drop_reservations():
                    lacking.clear()
                    continue
                self._shared.settle()
                return effects
            for instruction in instructions:
                if isinstance(instruction, LaunchAttempt) and not self._may_start(
                    instruction.event, now, lacking
                ):
                    continue
                event, act = self._to_event_and_effect(instruction, now)
                self._record(event)
                effects += [] if act is None else [(event.run, act)]

    def _start_prepared(self, now: float) -> List[Instruction]:
        """Start a task whose secrets are available; it already holds its resources."""
        key = self._secrets.next_prepared()
        if key is None or not self._may_wait_on(*key):
            return []
        return [start(self.state, *key, now)]

    def _may_wait_on(self, run_id: str, task_id: str) -> bool:
        """Whether a task whose secrets are being looked up may still start."""
        run = self.state.runs.get(run_id)
        if run is None or run.paused:
            return False
        return run.tasks[task_id].status == "ready"

    def _drop_reservations(self) -> bool:
        """Release reservations of tasks that must not start; return if any was."""
        left = [key for key in self._secrets.reserved if not self._may_wait_on(*key)]
        for key in left:
            self._secrets.drop(*key)
            self._shared.give_back(*key)
        return bool(left)

    def _may_start(
        self, event: ev.AttemptStarted, now: float, lacking: Set[str]
    ) -> bool:
        """Acquire the resources of an attempt; start its secret lookups if it has any.

        Returns True if the attempt can start now: no resource and no secret is missing.
        """
        run = self.state.runs[event.run]
        if not self._secrets.is_prepared(event.run, event.task):
            lacks = self._take_slots(event)
            if lacks:
                lacking.update(lacks)
                return False
            if self._secrets.begin(run, run.tasks[event.task]):
                return False
        self._breaker.on_start(now)
        return True

    def _take_slots(self, event: ev.AttemptStarted) -> List[str]:
        run = self.state.runs[event.run]
        wanted = taken_by(run.tasks[event.task].task)
        return self._shared.acquire(event.run, event.task, wanted)

    def _record(self, event: ev.Event) -> None:
        apply(self.state, event)
        if isinstance(event, _ENDS):
            self._shared.give_back(event.run, event.task)
        self._owned[event.run].journal.add(event)
        self._recorded.setdefault(event.run, []).append(event)

    def _commit(self) -> Dict[str, StateDirError]:
        """Make all new events durable; return the runs where that is impossible."""
        recorded, self._recorded = self._recorded, {}
        problems = commit_all({run: self._owned[run].journal for run in recorded})
        for run_id, events in recorded.items():
            if run_id in problems:
                # These events must have no effect. The running attempts continue under
                # their shims, and the next owner adopts them.
                self._release_run(run_id, finished=False)
                self._deps.on_error(run_id, problems[run_id])
            else:
                self._unpublished.setdefault(run_id, []).extend(events)
        return problems

    def _publish(self) -> None:
        """Publish durable events; release runs that have finished.

        Called after the effects, so that tasks start before a view is drawn.
        """
        durable, self._unpublished = self._unpublished, {}
        for run_id, events in durable.items():
            if run_id not in self._owned:
                continue
            run = self.state.runs[run_id]
            self._deps.on_update(RunUpdate(run, events))
            self._maybe_checkpoint(run_id)
            if run.outcome is not None:
                self._release_run(run_id)

    def _maybe_checkpoint(self, run_id: str) -> None:
        """Write a checkpoint if one is due: all events of the run are durable now.

        One is due at the end of a large run, so that later readers need no replay.
        """
        owned, now = self._owned[run_id], self._deps.clock.now()
        position = owned.journal.position
        if self.state.runs[run_id].outcome is not None:
            is_due = position.seq >= END_RECORDS_MIN
        else:
            is_due = self._checkpoints[run_id].is_due(now, position.seq)
        if is_due:
            save(owned.folder, position, snapshot(self.state, run_id))

    def _release_run(self, run_id: str, *, finished: bool = True) -> None:
        owned = self._owned.pop(run_id)
        del self._checkpoints[run_id]
        self._recorded.pop(run_id, None)
        self._progress.forget(run_id)
        self._secrets.forget(run_id)
        self._shared.forget(run_id)
        close_run(self.state, run_id)
        if finished:
            self._deps.folder.dequeue(run_id)
        owned.release()

    def _to_event_and_effect(
        self, instruction: Instruction, now: float
    ) -> Tuple[ev.Event, Optional[Callable[[], None]]]:
        """Return the event, and the effect to carry out when the event is durable.

        Collects first what the attempt needs. If something is missing, the task fails,
        and no event claims that the attempt started.
        """
        if isinstance(instruction, JournalOnly):
            return instruction.event, None
        event = instruction.event
        place = self._place(event.run, event.task, event.attempt)
        executor, run = self._deps.executor, self.state.runs[event.run]
        if isinstance(instruction, StopAttempt):
            return event, partial(executor.stop, place, now=instruction.event.now)
        if not isinstance(instruction, LaunchAttempt):
            freezes = isinstance(instruction, SuspendAttempt)
            return event, partial(
                executor.suspend if freezes else executor.resume, place
            )
        needs = partial(run.needed_by, event.task)
        taken = self._shared.taken(event.run, event.task)
        build = partial(self._deps.launcher.order, needs=needs, taken=taken)
        try:
            secrets = self._secrets.values(run, run.tasks[event.task])
            order = build(instruction, run.workflow, place, secrets=secrets)
        except ProvctlError as problem:
            shortage = missing_resource(place, problem)
            if shortage is not None:
                return event, partial(self._report_soon, shortage)
            why = "; ".join(filter(None, (problem.message, problem.hint)))
            if instruction.event.purpose == "probe":
                # The policy of the task then decides, as it does when a probe has no
                # answer.
                return event, partial(
                    self._report_soon, failed_before_start(place, why, now)
                )
            self._shared.give_back(event.run, event.task)
            return ev.TaskFailed(event.run, now, event.task, why), None
        finally:
            self._secrets.drop(event.run, event.task)
        return event, partial(executor.launch, order)

    def _report_soon(self, report: Report) -> None:
        asyncio.get_running_loop().call_soon(self._on_reports, [report])

    def _place(self, run_id: str, task_id: str, attempt: int) -> AttemptRef:
        folder = self._owned[run_id].folder.attempts
        task = self.state.runs[run_id].tasks[task_id]
        index = task.task.index
        return AttemptRef(run_id, task_id, attempt, folder, index, task.purpose)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        deadlines = (next_deadline(self.state), self._breaker.until)
        deadline = min((at for at in deadlines if at is not None), default=None)
        if deadline is not None:
            wait = max(0.0, deadline - self._deps.clock.now())
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(wait, self._advance)
