"""Slow lookups of secrets: threads wait for the programs, so that the loop does not.

A task whose secrets are being looked up has not started. It holds its slot and its
pools as a reservation, so that it starts as soon as the last value is available. If the
task is stopped meanwhile, its reservation is released and the program is killed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Callable, Deque, Dict, Mapping, Optional, Tuple, Union

from provctl.base.program_output import RunningProgram
from provctl.base.redact import encodings_of, redact_bytes
from provctl.core.engine.run_queue import Reservations
from provctl.errors import NotFound
from provctl.scheduler.secrets import ask_program, find_secret, is_immediate

if TYPE_CHECKING:
    from provctl.core.engine.state import RunState, TaskState
    from provctl.scheduler.secrets import SecretSource

_THREADS = 32  # parallel lookups; the time limit of a queued one is not running

_TaskKey = Tuple[str, str]  # run id and task id
_Result = Union[str, NotFound]


class _Lookup:
    """One lookup of a reference, for all tasks that wait for it."""

    __slots__ = ("cwd", "name", "program", "reference", "result", "waiting")

    def __init__(self, name: str, reference: str, cwd: str) -> None:
        self.name = name  # the variable of the first task
        self.reference = reference
        self.cwd = cwd
        self.program = RunningProgram()
        self.waiting: Dict[_TaskKey, None] = {}  # in the order of their starts
        self.result: Optional[_Result] = None


class SecretLookups:
    """The lookups of one owner; calls `wake` when a task can start. Event loop only."""

    def __init__(self, source: SecretSource, wake: Callable[[], object]) -> None:
        self._source = source
        self._wake = wake
        self.reserved = Reservations()
        # The lookups that each task needs, by reference.
        self._wanted: Dict[_TaskKey, Dict[str, _Lookup]] = {}
        self._prepared: Dict[_TaskKey, None] = {}
        # With `secrets_once`: by run and reference. In memory only, until the run is
        # released.
        self._kept: Dict[_TaskKey, _Lookup] = {}
        self._queue: Deque[_Lookup] = deque()
        self._running = 0
        self._closed = False

    def begin(self, run: RunState, task: TaskState) -> bool:
        """Queue the lookups of a task; return whether it has to wait for them.

        If so, the task is reserved. After `start`, `next_prepared` returns it at some
        point.
        """
        secrets = task.task.secrets
        if all(map(is_immediate, secrets.values())):
            return False
        key = (run.submitted.run, task.task.id)
        wanted = self._wanted[key] = {}
        for name, reference in secrets.items():
            if reference not in wanted and not is_immediate(reference):
                lookup = self._lookup(run, task, name, reference)
                lookup.waiting[key] = None
                wanted[reference] = lookup
        if all(lookup.result is not None for lookup in wanted.values()):
            return False
        self.reserved.add(run, task)
        return True

    def _lookup(
        self, run: RunState, task: TaskState, name: str, reference: str
    ) -> _Lookup:
        key = (run.submitted.run, reference)
        lookup = self._kept.get(key) if task.task.secrets_once else None
        if lookup is None:
            lookup = _Lookup(name, reference, run.workflow.cwd)
            self._queue.append(lookup)
        if task.task.secrets_once:
            self._kept[key] = lookup
        return lookup

    def is_prepared(self, run_id: str, task_id: str) -> bool:
        """Whether all lookups of a reserved task have ended."""
        return (run_id, task_id) in self._prepared

    def next_prepared(self) -> Optional[_TaskKey]:
        """Return a reserved task whose lookups have ended, successfully or not."""
        return next(iter(self._prepared), None)

    def values(self, run: RunState, task: TaskState) -> Dict[str, str]:
        """Return the secrets of a task that starts; each error names its variable.

        Raises NotFound for the first secret that has no value.
        """
        run_id = run.submitted.run
        wanted = self._wanted.get((run_id, task.task.id), {})
        found: Dict[str, str] = {}
        for name, reference in task.task.secrets.items():
            if reference not in wanted:
                found[name] = self._at_hand(run_id, task, name, reference)
                continue
            lookup = wanted[reference]
            if isinstance(lookup.result, NotFound):
                raise self._error(name, lookup.result, task, wanted)
            assert lookup.result is not None, "it waited for the lookup"
            found[name] = lookup.result
        return found

    def _at_hand(self, run_id: str, task: TaskState, name: str, reference: str) -> str:
        kept = self._kept.get((run_id, reference)) if task.task.secrets_once else None
        if kept is not None and isinstance(kept.result, str):
            return kept.result
        value = find_secret(name, reference, self._source.environ)
        if task.task.secrets_once:
            lookup = self._kept[(run_id, reference)] = _Lookup(name, reference, "")
            lookup.result = value
        return value

    def _error(
        self,
        name: str,
        problem: NotFound,
        task: TaskState,
        wanted: Mapping[str, _Lookup],
    ) -> NotFound:
        """Return the error for a task; its variable for the secret may differ."""
        _, _, what = problem.message.partition(": ")
        # The program's error may contain values it knows, such as another secret of the
        # task.
        known = [each.result for each in wanted.values()]
        for other, reference in task.task.secrets.items():
            if reference not in wanted:
                with suppress(NotFound):
                    known.append(find_secret(other, reference, self._source.environ))
        forms = encodings_of(value for value in known if isinstance(value, str))
        raw = [form.encode("utf-8", "surrogatepass") for form in forms]
        covered = redact_bytes(what.encode("utf-8", "replace"), raw)
        text = covered.decode("utf-8", "replace")
        error = NotFound(f"secret {name}: {text}", hint=problem.hint)
        error.__cause__ = problem.__cause__
        return error

    def drop(self, run_id: str, task_id: str) -> None:
        """Forget the lookups and values of a task, which starts or never will."""
        key = (run_id, task_id)
        self.reserved.discard(run_id, task_id)
        self._prepared.pop(key, None)
        for lookup in self._wanted.pop(key, {}).values():
            lookup.waiting.pop(key, None)
            if lookup.result is None and not lookup.waiting:
                lookup.program.kill()
                with suppress(ValueError):
                    self._queue.remove(lookup)
                self._unkeep(run_id, lookup)

    def _unkeep(self, run_id: str, lookup: _Lookup) -> None:
        if self._kept.get((run_id, lookup.reference)) is lookup:
            del self._kept[(run_id, lookup.reference)]

    def forget(self, run_id: str) -> None:
        """Forget everything about a run that is finished or has another owner."""
        for key in [key for key in self._wanted if key[0] == run_id]:
            self.drop(*key)
        for key in [key for key in self._kept if key[0] == run_id]:
            del self._kept[key]

    def close(self) -> None:
        """Kill all programs, without a callback."""
        self._closed = True
        for key in list(self._wanted):
            self.drop(*key)
        self._kept.clear()

    # -- threads -----------------------------------------------------------------------

    def start(self) -> None:
        """Start the queued lookups. Called once the journal has all earlier events."""
        loop = asyncio.get_running_loop()
        while self._queue and self._running < _THREADS:
            lookup = self._queue.popleft()
            self._running += 1
            # A daemon thread: this process may exit while a program hangs in the
            # kernel.
            thread = threading.Thread(
                target=self._look_up, args=(loop, lookup), daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # a shortage of the machine
                loop.call_soon(self._on_end, lookup, _no_thread(lookup))

    def _look_up(self, loop: asyncio.AbstractEventLoop, lookup: _Lookup) -> None:
        result: _Result
        try:
            result = ask_program(
                lookup.name,
                lookup.reference,
                self._source,
                lookup.program,
                lookup.cwd,
            )
        except NotFound as problem:
            result = problem
        except Exception as bug:  # noqa: BLE001 - otherwise its task would wait forever
            kind = type(bug).__name__
            result = NotFound(f"secret {lookup.name}: the lookup failed: {kind}")
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._on_end, lookup, result)

    def _on_end(self, lookup: _Lookup, result: _Result) -> None:
        self._running -= 1
        if self._closed:
            return
        self.start()
        lookup.result = result
        for key in lookup.waiting:
            wanted = self._wanted[key].values()
            if all(each.result is not None for each in wanted):
                self._prepared[key] = None
            if isinstance(result, NotFound):
                self._unkeep(key[0], lookup)  # the next task tries again
        if lookup.waiting:
            self._wake()


def _no_thread(lookup: _Lookup) -> NotFound:
    error = NotFound(f"secret {lookup.name}: {lookup.reference}: no thread is free")
    error.__cause__ = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), lookup.reference)
    return error
