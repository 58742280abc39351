"""Checks large submissions to the API in separate processes.

Checking one may take a gigabyte, which Python would not return to the system. In a
thread, nothing could protect the scheduler from that. A separate process has a limit on
its memory, and its end frees all of it. It does the same as a thread does for a small
submission.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from threading import Lock
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Set, Tuple

from provctl import errors
from provctl.api.http.backend import NewSchedule, Submission
from provctl.base.self_command import self_command

if TYPE_CHECKING:
    import subprocess

    from provctl.config.settings import Settings
    from provctl.storage.layout import StateDir


LARGE = 64 << 10  # bytes; checking fewer takes less time than starting a process
_AT_ONCE = 2
_WALL_S, _CPU_S, _MEMORY = 900.0, 300, 1 << 30
_NAME = "body"
_VERB = ("scheduler", "load-workflow")


class SubmissionProcesses:
    """Checks and queues large submissions in processes. Used in the event loop."""

    def __init__(self, folder: StateDir) -> None:
        self._folder = folder
        self._pool: Optional[ThreadPoolExecutor] = None
        self._lock = Lock()
        self._processes: Set[subprocess.Popen[bytes]] = set()
        self._closed = False

    async def put_workflow(self, submission: Submission) -> str:
        """See `api_submission`."""
        run_id: str = await self._put({"key": submission.key}, submission.body)
        return run_id

    async def put_schedule(self, wish: NewSchedule) -> bool:
        """See `api_submission`."""
        fields = {n: value for n, value in wish.fields.items() if n != "workflow"}
        is_new: bool = await self._put(
            {"schedule": wish.name, "fields": fields}, wish.text
        )
        return is_new

    def close(self) -> None:
        """Stop the running processes and start no others."""
        from provctl.base.limited_process import kill

        with self._lock:
            self._closed = True
            for process in self._processes:
                kill(process)
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    async def _put(self, asked: Mapping[str, Any], body: bytes) -> Any:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_AT_ONCE)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._ask, asked, body)

    def _ask(self, asked: Mapping[str, Any], body: bytes) -> Any:
        from provctl.base.limited_process import limit_reached, run_with_limits
        from provctl.workflow_files.source_text import invalid

        if self._closed:
            raise _stopped_error()
        limits = _limits()
        request = b"%b\n%b" % (json.dumps(asked).encode("ascii"), body)
        env = {**os.environ, "PROVCTL_STATE_DIR": str(self._folder.path)}
        try:
            ended = run_with_limits(
                [*self_command(), *_VERB], request, limits, env=env, on_start=self._add
            )
        except OSError as problem:  # for example, no process or descriptor is free
            message = f"the workflow cannot be checked now: {problem.strerror}"
            raise errors.StateDirError(message) from problem
        finally:
            self._forget()
        if ended.code == 0:
            return _read_reply(json.loads(ended.out))
        if self._closed:
            raise _stopped_error()
        why = limit_reached(ended, limits, died_of=-ended.code)
        if why:
            raise invalid(_NAME, why)
        raise RuntimeError(ended.err.decode(errors="replace"))

    def _add(self, process: subprocess.Popen[bytes]) -> None:
        from provctl.base.limited_process import kill

        with self._lock:
            self._processes.add(process)
            if self._closed:
                kill(process)

    def _forget(self) -> None:
        with self._lock:
            ended = {each for each in self._processes if each.returncode is not None}
            self._processes -= ended


def answer(open_state: Callable[[], Tuple[Settings, StateDir]], raw: bytes) -> bytes:
    """Process a request of another process and return the answer; sets the limits.

    `open_state` may raise ProvctlErrors.
    """
    from provctl.daemon.api_submission import put_schedule, put_workflow
    from provctl.workflow_files.source_text import invalid

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, most in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CPU, _CPU_S)):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, hard))
    head, _, body = raw.partition(b"\n")
    del raw
    asked = json.loads(head)
    try:
        settings, folder = open_state()
        if "schedule" in asked:
            fields = {**asked["fields"], "workflow": json.loads(body)["workflow"]}
            wish = NewSchedule(asked["schedule"], body, fields)
            return _as_line({"done": put_schedule(settings, folder, wish)})
        submission = Submission(body, asked["key"])
        return _as_line({"done": put_workflow(settings, folder, submission)})
    except MemoryError:
        size = _MEMORY >> 20
        message = f"used more than {size} MiB of memory, the limit on it"
        return _as_line(_refusal(invalid(_NAME, message)))
    except errors.ProvctlError as problem:
        return _as_line(_refusal(problem))


def _limits() -> Any:
    from provctl.base.limited_process import ProcessLimits

    return ProcessLimits(wall_s=_WALL_S, cpu_s=_CPU_S, memory_bytes=_MEMORY)


def _as_line(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told).encode("ascii") + b"\n"


def _refusal(problem: errors.ProvctlError) -> Dict[str, Any]:
    record: Dict[str, Any] = {"class": type(problem).__name__}
    if isinstance(problem, errors.InvalidWorkflow):
        mistakes = [asdict(mistake) for mistake in problem.mistakes]
        return {**record, "mistakes": mistakes, "others": problem.others}
    return {**record, "message": problem.message, "hint": problem.hint}


def _read_reply(told: Mapping[str, Any]) -> Any:
    """Return the result. Raises the error with which the request was refused."""
    if "done" in told:
        return told["done"]
    if "mistakes" in told:
        mistakes = [errors.Diagnostic(**each) for each in told["mistakes"]]
        raise errors.InvalidWorkflow(mistakes, others=told["others"])
    raise getattr(errors, told["class"])(told["message"], hint=told["hint"])


def _stopped_error() -> errors.SchedulerUnreachable:
    message = "the scheduler is stopping; the workflow was not checked"
    return errors.SchedulerUnreachable(
        message, hint="submit it again with the same key"
    )
