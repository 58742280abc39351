"""Owns what the API can do: the contract of `api.service`, with a scheduler behind it.

What touches the scheduler is done in the event loop; reading, checking and writing of
submissions in threads.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from provctl.api.service import Figures, LibraryCall, Page, Submission
from provctl.app.api_submission import put_workflow
from provctl.app.catalogue import Catalogue
from provctl.app.environment import task_environment
from provctl.app.feeds import AllFeed, Bells, Memory, RunFeed
from provctl.app.reach import Reach
from provctl.app.schedule_service import FiledSchedules, Hall
from provctl.app.submission_process import LARGE, SubmissionProcesses
from provctl.core import events as ev
from provctl.core.requests import ReportProgress
from provctl.errors import NotFound, Refused, UsageProblem
from provctl.journal.lock import holder_of

if TYPE_CHECKING:
    from provctl.app.timetable import Timetable
    from provctl.config.settings import Settings
    from provctl.core.requests import Request
    from provctl.journal.folder import StateFolder
    from provctl.nushell.signatures import Signature
    from provctl.scheduler.loop import Scheduler
    from provctl.scheduler.world import Facts

__all__ = ["SchedulerService"]

_FEEDS_MAX = 32  # readers of events at a time; other requests need connections too


class SchedulerService:
    """Answers for one scheduler, in its event loop. See `api.service.Service`."""

    def __init__(
        self,
        settings: Settings,
        folder: StateFolder,
        scheduler: Scheduler,
        timetable: Timetable,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._scheduler = scheduler
        self._catalogue = Catalogue(folder, scheduler.state.runs)
        self._bells = Bells()
        self._memory: Optional[Memory] = None
        self._runs_finished: Counter[str] = Counter()
        self._attempts_finished: Counter[str] = Counter()
        self._events = 0
        self._reach = Reach(
            folder,
            environ=os.environ,
            timeout_s=settings.orchestrator.timeout_seconds,
            auto_start=False,
        )
        self._processes = SubmissionProcesses(folder)
        self.schedules = FiledSchedules(
            Hall(
                settings,
                folder,
                timetable,
                self._processes,
                take=scheduler.take_queued,
                note=self._reach.note,
            )
        )

    def hear(self, facts: Facts) -> None:
        """Take in what happened to a run; durable by now."""
        self._events += len(facts.events)
        for event in facts.events:
            if isinstance(event, ev.AttemptFinished):
                self._attempts_finished[event.outcome] += 1
            elif isinstance(event, ev.RunFinished):
                self._runs_finished[event.outcome] += 1
        self._catalogue.hear(facts)
        if self._memory is not None:
            self._memory.add(list(facts.events))
        self._bells.ring(facts.run.submitted.run)

    def close(self) -> None:
        """End all streams."""
        self._bells.close()
        self.schedules.close()
        self._processes.close()

    # -- what changes something --------------------------------------------------------

    async def submit(self, submission: Submission) -> str:
        """Queue a workflow that was sent, and return the run's id."""
        if len(submission.body) > LARGE:
            run_id = await self._processes.put_workflow(submission)
            self._scheduler.take_queued()
            return run_id
        put = partial(put_workflow, self._settings, self._folder)
        return await self._queued(put, submission)

    async def call(self, call: LibraryCall) -> str:
        """Queue a command of the library, and return the run's id."""
        return await self._queued(self._put_call, call)

    async def _queued(self, put: Any, *args: Any) -> str:
        loop = asyncio.get_running_loop()
        run_id: str = await loop.run_in_executor(None, put, *args)
        self._scheduler.take_queued()
        return run_id

    def _put_call(self, call: LibraryCall) -> str:
        from provctl.app.library import library_folder, open_library
        from provctl.app.loading import check_tools
        from provctl.app.orchestrated import given_in_body, one_task
        from provctl.app.submit import Wishes, queue

        folder = library_folder(self._settings)
        library = open_library(self._settings, os.environ)
        found = library.find(call.noun, call.verb) if library is not None else None
        if folder is None or found is None:
            message = f"the library has no command {call.noun} {call.verb}"
            hint = "nushell.provisioning_lib names the library"
            raise NotFound(message, hint=None if folder else hint)
        if found.signature is None:
            raise UsageProblem(found.problem)
        passthrough = self._settings.executor.env_passthrough
        workflow = one_task(
            found,
            given_in_body(found.signature, _body_for(found.signature, call.body)),
            library=str(folder),
            cwd=str(Path.home()),
            environment=task_environment(os.environ, passthrough),
        )
        check_tools(self._settings, workflow)
        wishes = Wishes(key=call.key, labels=call.body.get("labels", {}))
        return queue(self._folder, workflow, wishes)

    async def control(self, request: Request) -> None:
        """Bring a request to the owner of its run."""
        if request.run in self._scheduler.state.runs:
            self._scheduler.request(request)
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._send, request)

    def _send(self, request: Request) -> None:
        run = self._folder.run(request.run)
        if not run.journal.exists():
            message = f"no run is called {request.run}"
            raise NotFound(message, hint="GET /workflows lists them")
        if isinstance(request, ReportProgress) and holder_of(run.lock) is None:
            message = f"run {request.run} does not run: no task of it makes progress"
            raise Refused(message)
        self._reach.send(request)

    # -- what looks ----------------------------------------------------------------------

    async def tasks(self, page: Page) -> bytes:
        """Return task records."""
        return await self._catalogue.tasks(page)

    async def task(self, run_id: str, task_id: Optional[str]) -> bytes:
        """Return one task."""
        return await self._catalogue.task(run_id, task_id)

    async def only_task(self, run_id: str) -> str:
        """Return the name of a run's only task."""
        return await self._catalogue.only_task(run_id)

    async def runs(self, page: Page) -> bytes:
        """Return records of runs."""
        word = page.status.lower() if page.status else None
        return await self._catalogue.runs(replace(page, status=word))

    async def run(self, run_id: str) -> bytes:
        """Return one run."""
        return await self._catalogue.run(run_id)

    async def follow(self, run_id: str, after: int) -> Optional[RunFeed]:
        """Return the events of a run; None if it has ended and all are known."""
        self._check_feeds()
        folder = self._folder.run(run_id)
        if not folder.journal.exists():
            message = f"no run is called {run_id}"
            raise NotFound(message, hint="GET /workflows lists them")
        feed = RunFeed(folder, after, self._bells)
        if await feed.has_ended():
            feed.close()
            return None
        return feed

    async def follow_all(self, after: Optional[str]) -> AllFeed:
        """Return the events of all runs in this scheduler's hands."""
        self._check_feeds()
        if self._memory is None:
            self._memory = Memory()
        return AllFeed(self._memory, after, self._bells)

    def _check_feeds(self) -> None:
        if len(self._bells) >= _FEEDS_MAX:
            message = f"{_FEEDS_MAX} clients read events already"
            raise Refused(message, hint="close one of them")

    def figures(self) -> Figures:
        """Return what is counted."""
        state = self._scheduler.state
        tasks: Counter[str] = Counter()
        for run in state.runs.values():
            tasks.update(run.counts)
        return Figures(
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
    """What a client of the platform sends, without what the command does not take."""
    taken = {each.name for each in signature.parameters}
    extras = {n: body[n] for n in ("settings", "wait") if n in body and n in taken}
    return {"infra": body.get("infra"), "params": {**extras, **body.get("params", {})}}
