"""Runs hooks: programs that get the result of a run as JSON on stdin.

A separate process runs them, and no process waits for it: a hook cannot delay or fail a
run. The output of hooks goes to a log of limited size.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from tempfile import TemporaryFile
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    Sequence,
    Tuple,
)

from provctl.api.records import run_record, task_record
from provctl.base.light_dataclass import light_dataclass
from provctl.base.safe_open import open_own
from provctl.base.text import plain
from provctl.core.engine.view import task_view, view
from provctl.errors import ProvctlError
from provctl.runs.follow import Follower
from provctl.runs.log_tail import last_lines
from provctl.runs.owner_client import log_line
from provctl.runs.task_environment import task_environment
from provctl.storage.lock import Lock
from provctl.storage.log_rotation import append
from provctl.storage.pending_hooks import PendingHooks

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.config.settings import Settings
    from provctl.core.engine.state import RunState
    from provctl.storage.layout import RunDir, StateDir


VERSION = 2  # of the record; fields may be added without a new version
_FAILED_SHOWN = 20
_LOG_LINES = 20
_OUTPUT_MAX = 8 << 10  # bytes that are kept of the output of one hook
_LOOK_S = 0.05


def _record(folder: RunDir, run: RunState, exit_code: int) -> Dict[str, Any]:
    """Return the record of a finished run that hooks get."""
    started, finished = run.started_at, run.finished_at
    took = None if started is None or finished is None else round(finished - started, 3)
    return {
        "version": VERSION,
        "event": "run_finished",
        **run_record(view(run, rows=0), owned=False),
        "exit_code": exit_code,
        "duration_s": took,
        "failed": _failed_tasks(folder, run),
        "folder": str(folder.path),
    }


def _failed_tasks(folder: RunDir, run: RunState) -> List[Dict[str, Any]]:
    """Return the first failed tasks, each with the end of its log."""
    return [
        {
            **task_record(task_view(task)),
            "log_tail": last_lines(
                folder.log_of(task.task.index, task.attempt), _LOG_LINES
            ),
        }
        for task in run.tasks_needing_attention()[:_FAILED_SHOWN]
    ]


@light_dataclass
class HookRunner:
    """Runs the hooks of runs in one state directory.

    `exit_code` returns the exit code of an outcome, `note` writes to the scheduler's
    log.
    """

    settings: Settings
    folder: StateDir
    environ: Mapping[str, str]
    exit_code: Callable[[str], int]
    note: Callable[[str], None]

    def run(self, run_ids: Sequence[str]) -> None:
        """Run the hooks of those runs that are marked and have finished."""
        marks = PendingHooks(self.folder)
        turn = Lock.wait(self.folder.scheduler / "hooks.lock")
        try:
            for run_id in run_ids:
                if marks.claim(run_id):
                    self._run_hooks_of(self.folder.run(run_id), marks)
        finally:
            turn.release()

    def _run_hooks_of(self, run: RunDir, marks: PendingHooks) -> None:
        follower = Follower(run)
        try:
            follower.read_state()
        except ProvctlError as problem:
            if run.path.is_dir():
                self.note(f"hooks of run {run.id}: {problem.message}")
                marks.release(run.id)
            else:
                marks.done(run.id)  # the run was removed
            return
        outcome = follower.run.outcome
        if outcome is None:
            marks.release(run.id)
            return
        record = _record(run, follower.run, self.exit_code(outcome))
        document = json.dumps(record).encode("ascii") + b"\n"
        failures = [
            failure
            for argv in self.settings.hooks.on_run_finished
            for failure in self._run_hook(run, argv, document)
        ]
        self._keep_last_failure(failures)
        marks.done(run.id)

    def _run_hook(self, run: RunDir, argv: Sequence[str], document: bytes) -> List[str]:
        """Run one hook; return the failures, if any."""
        limit_s = self.settings.hooks.timeout_seconds
        passthrough = self.settings.executor.env_passthrough
        env = {
            **task_environment(self.environ, passthrough),
            "PROVCTL_RUN": run.id,
            "PROVCTL_STATE_DIR": str(self.folder.path),
        }
        begun = time.monotonic()
        problem, output = _run_program(argv, document, env, limit_s)
        took = time.monotonic() - begun
        about = f"hook {argv[0]} of run {run.id}"
        self._log(f"{about}: {problem or 'exit code 0'} ({took:.1f} s)", output)
        if not problem:
            return []
        self.note(f"{about}: {problem}")
        return [f"{about}: {problem}"]

    def _log(self, words: str, output: bytes) -> None:
        path = self.folder.scheduler / "hooks.log"
        text = log_line(words)
        for line in output.decode("utf-8", "replace").splitlines():
            text += f"    {plain(line)}\n"
        append(path, text)

    def _keep_last_failure(self, failures: Sequence[str]) -> None:
        """Store the last failure for `doctor`; remove it when all hooks succeed."""
        path = failure_file(self.folder.path)
        with suppress(OSError):
            if failures:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                with os.fdopen(open_own(path, flags), "wb") as file:
                    file.write(log_line(failures[-1]).encode("utf-8", "replace"))
            elif path.exists():
                path.unlink()


def failure_file(state_dir: Path) -> Path:
    """Return the path of the last failure; it exists if the latest hooks failed."""
    return state_dir / "scheduler" / "hooks.failed"


def _run_program(
    argv: Sequence[str], document: bytes, env: Mapping[str, str], limit_s: float
) -> Tuple[str, bytes]:
    """Run a program; return what went wrong ("" if nothing), and its output."""
    with TemporaryFile() as stdin:
        # Not a pipe: a hook that does not read it would block this process.
        stdin.write(document)
        stdin.seek(0)
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=dict(env),
                start_new_session=True,
            )
        except OSError as problem:
            return f"could not be started: {problem.strerror}", b""
    output = _Output(process)
    deadline = time.monotonic() + limit_s
    while process.poll() is None and time.monotonic() < deadline:
        output.take(min(_LOOK_S, deadline - time.monotonic()))
    late = process.poll() is None
    if late:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    output.take(0)
    output.close()
    if late:
        return f"exceeded its time limit of {limit_s:g} s and was killed", output.kept
    if code:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"failed: {how}", output.kept
    return "", output.kept


class _Output:
    """The output of a program: all of it is read, only the beginning is kept."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._pipe = process.stdout
        self._process = process
        self._open = True
        self.kept = b""
        os.set_blocking(self._pipe.fileno(), False)

    def take(self, wait_s: float) -> None:
        """Read output for up to this time; after its end, wait for the process."""
        if not self._open:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, wait_s))
            return
        if select.select([self._pipe], [], [], max(0.0, wait_s))[0]:
            piece = os.read(self._pipe.fileno(), 1 << 16)
            self._open = bool(piece)
            self.kept += piece[: max(0, _OUTPUT_MAX - len(self.kept))]

    def close(self) -> None:
        """Stop reading; a process that still writes gets an error."""
        self._pipe.close()
