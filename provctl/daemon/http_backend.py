"""Implements the contract `api.http.backend` with a scheduler.

Code that uses the scheduler runs in the event loop. Submissions are read, checked and
written in threads.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from provctl.api.http.backend import LibraryCall, ListQuery, Stats, Submission
from provctl.core.engine import events as ev
from provctl.core.engine.requests import ReportProgress
from provctl.daemon.api_submission import put_workflow
from provctl.daemon.event_streams import (
    EventBuffer,
    EventNotifier,
    GlobalEventStream,
    RunEventStream,
)
from provctl.daemon.run_index import RunIndex
from provctl.daemon.schedule_backend import ScheduleApiDeps, StoredSchedules
from provctl.daemon.validation_process import LARGE, SubmissionProcesses
from provctl.errors import NotFound, RequestRejected, UsageError
from provctl.runs.owner_client import OwnerClient
from provctl.runs.task_environment import task_environment
from provctl.storage.lock import lock_owner

if TYPE_CHECKING:
    from provctl.config.settings import Settings
    from provctl.core.engine.requests import Request
    from provctl.nushell.library.signatures import Signature
    from provctl.scheduler.loop import Scheduler
    from provctl.scheduler.ports import RunUpdate
    from provctl.schedules.runner import ScheduleRunner
    from provctl.storage.layout import StateDir


_FEEDS_MAX = 32  # readers of events at a time; other requests need connections too


class SchedulerService:
    """Serves the API of one scheduler in its event loop. See `SchedulerBackend`."""

    def __init__(
        self,
        settings: Settings,
        folder: StateDir,
        scheduler: Scheduler,
        schedule_runner: ScheduleRunner,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._scheduler = scheduler
        self._run_index = RunIndex(folder, scheduler.state.runs)
        self._notifier = EventNotifier()
        self._memory: Optional[EventBuffer] = None
        self._runs_finished: Counter[str] = Counter()
        self._attempts_finished: Counter[str] = Counter()
        self._events = 0
        self._owner_client = OwnerClient(
            folder,
            environ=os.environ,
            timeout_s=settings.orchestrator.timeout_seconds,
            auto_start=False,
        )
        self._processes = SubmissionProcesses(folder)
        self.schedules = StoredSchedules(
            ScheduleApiDeps(
                settings,
                folder,
                schedule_runner,
                self._processes,
                take=scheduler.acquire_queued,
                note=self._owner_client.log_note,
            )
        )

    def on_events(self, facts: RunUpdate) -> None:
        """Process events of a run, which are durable by now."""
        self._events += len(facts.events)
        for event in facts.events:
            if isinstance(event, ev.AttemptFinished):
                self._attempts_finished[event.outcome] += 1
            elif isinstance(event, ev.RunFinished):
                self._runs_finished[event.outcome] += 1
        self._run_index.on_events(facts)
        if self._memory is not None:
            self._memory.add(list(facts.events))
        self._notifier.ring(facts.run.submitted.run)

    def close(self) -> None:
        """End all streams."""
        self._notifier.close()
        self.schedules.close()
        self._processes.close()

    # -- requests that change something ------------------------------------------------

    async def submit(self, submission: Submission) -> str:
        """Queue a submitted workflow, and return the run's id."""
        if len(submission.body) > LARGE:
            run_id = await self._processes.put_workflow(submission)
            await self._scheduler.acquire_queued()
            return run_id
        put = partial(put_workflow, self._settings, self._folder)
        return await self._enqueue(put, submission)

    async def call(self, call: LibraryCall) -> str:
        """Queue a command of the library, and return the run's id."""
        return await self._enqueue(self._put_call, call)

    async def _enqueue(self, put: Any, *args: Any) -> str:
        loop = asyncio.get_running_loop()
        run_id: str = await loop.run_in_executor(None, put, *args)
        await self._scheduler.acquire_queued()
        return run_id

    def _put_call(self, call: LibraryCall) -> str:
        from provctl.runs.library.as_workflow import (
            single_task_workflow,
            values_from_body,
        )
        from provctl.runs.library.open import library_folder, open_library
        from provctl.runs.load_context import check_tools
        from provctl.runs.submit import SubmitOptions, submit_and_enqueue

        folder = library_folder(self._settings)
        library = open_library(self._settings, os.environ)
        found = library.find(call.noun, call.verb) if library is not None else None
        if folder is None or found is None:
            message = f"the library has no command {call.noun} {call.verb}"
            hint = "nushell.provisioning_lib names the library"
            raise NotFound(message, hint=None if folder else hint)
        if found.signature is None:
            raise UsageError(found.problem)
        passthrough = self._settings.executor.env_passthrough
        workflow = single_task_workflow(
            found,
            values_from_body(found.signature, _body_for(found.signature, call.body)),
            library=str(folder),
            cwd=str(Path.home()),
            environment=task_environment(os.environ, passthrough),
        )
        check_tools(self._settings, workflow)
        wishes = SubmitOptions(key=call.key, labels=call.body.get("labels", {}))
        return submit_and_enqueue(self._folder, workflow, wishes)

    async def control(self, request: Request) -> None:
        """Send a request to the owner of its run."""
        if request.run in self._scheduler.state.runs:
            await self._scheduler.request(request)
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._send, request)

    def _send(self, request: Request) -> None:
        run = self._folder.run(request.run)
        if not run.journal.exists():
            message = f"run {request.run} not found"
            raise NotFound(message, hint="GET /workflows lists them")
        if isinstance(request, ReportProgress) and lock_owner(run.lock) is None:
            message = (
                f"run {request.run} is not running, so progress cannot be reported"
            )
            raise RequestRejected(message)
        self._owner_client.send(request)

    # -- requests that only read -----------------------------------------------------

    async def tasks(self, page: ListQuery) -> bytes:
        """Return task records."""
        return await self._run_index.tasks(page)

    async def task(self, run_id: str, task_id: Optional[str]) -> bytes:
        """Return one task."""
        return await self._run_index.task(run_id, task_id)

    async def only_task(self, run_id: str) -> str:
        """Return the name of a run's only task."""
        return await self._run_index.only_task(run_id)

    async def runs(self, page: ListQuery) -> bytes:
        """Return records of runs."""
        word = page.status.lower() if page.status else None
        return await self._run_index.runs(replace(page, status=word))

    async def run(self, run_id: str) -> bytes:
        """Return one run."""
        return await self._run_index.run(run_id)

    async def follow(self, run_id: str, after: int) -> Optional[RunEventStream]:
        """Return the events of a run; None if it has finished and no events follow."""
        self._check_feeds()
        folder = self._folder.run(run_id)
        if not folder.journal.exists():
            message = f"run {run_id} not found"
            raise NotFound(message, hint="GET /workflows lists them")
        feed = RunEventStream(folder, after, self._notifier)
        if await feed.has_ended():
            feed.close()
            return None
        return feed

    async def stream_all_events(self, after: Optional[str]) -> GlobalEventStream:
        """Return the events of all runs that this scheduler owns."""
        self._check_feeds()
        if self._memory is None:
            self._memory = EventBuffer()
        return GlobalEventStream(self._memory, after, self._notifier)

    def _check_feeds(self) -> None:
        if len(self._notifier) >= _FEEDS_MAX:
            message = f"{_FEEDS_MAX} clients are already reading events"
            raise RequestRejected(message, hint="close one of them")

    def stats(self) -> Stats:
        """Return the counters."""
        state = self._scheduler.state
        tasks: Counter[str] = Counter()
        for run in state.runs.values():
            tasks.update(run.counts)
        return Stats(
            runs=Counter(run.status for run in state.runs.values()),
            tasks=tasks,
            running=state.running,
            slots=state.slots,
            pools={
                name: (state.used.get(name, 0), size)
                for name, size in state.capacity.items()
            },
            runs_finished=self._runs_finished,
            attempts_finished=self._attempts_finished,
            events=self._events,
            schedules=self.schedules.times,
        )


def _body_for(signature: Signature, body: Mapping[str, Any]) -> Dict[str, Any]:
    """Return a platform client's body, without fields unknown to the command."""
    taken = {each.name for each in signature.parameters}
    extras = {n: body[n] for n in ("settings", "wait") if n in body and n in taken}
    return {"infra": body.get("infra"), "params": {**extras, **body.get("params", {})}}
