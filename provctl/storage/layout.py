"""The layout of the state directory and of a run's folder; creates both.

<state>/                     0700
  queue/<run>                marker: unfinished run for the scheduler
  runs/<run>/
    workflow.json            the frozen workflow
    journal.jsonl            the events
    checkpoint.json          the state at a journal offset; may be missing
    owner.lock               flock held by the owner
    attempts/<n>.<k>.*       task index and attempt; the shim writes them
  schedules/<name>.*         see `storage.schedules`
  hooks/<run>                see `storage.pending_hooks`
  slots/<resource>           see `storage.slots`
  scheduler/                 lock, log, control socket of the background process
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator, List, Mapping, Optional, Set

from provctl.base.light_dataclass import light_dataclass
from provctl.base.safe_open import ForeignFile, check_folder, open_own, read_own
from provctl.errors import JournalDamaged, StateDirError
from provctl.storage.read_error import unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.model.workflow import Workflow


@light_dataclass
class RunDir:
    """The paths of one run."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id, which is the name of its folder."""
        return self.path.name

    @property
    def workflow(self) -> Path:
        """workflow.json."""
        return self.path / "workflow.json"

    @property
    def journal(self) -> Path:
        """journal.jsonl."""
        return self.path / "journal.jsonl"

    @property
    def checkpoint(self) -> Path:
        """checkpoint.json."""
        return self.path / "checkpoint.json"

    @property
    def lock(self) -> Path:
        """owner.lock."""
        return self.path / "owner.lock"

    @property
    def socket(self) -> Path:
        """Control socket of a foreground owner."""
        return self.path / "control.sock"

    @property
    def pin(self) -> Path:
        """Marker that protects a run from pruning."""
        return self.path / "pinned"

    @property
    def state(self) -> StateDir:
        """The state directory that contains the run."""
        return StateDir(self.path.parent.parent)

    @property
    def marker(self) -> Path:
        """Marker that exists while the scheduler is responsible for the run."""
        return self.state.queue / self.id

    @property
    def attempts(self) -> Path:
        """Folder of the attempt files."""
        return self.path / "attempts"

    def check_lock(self) -> None:
        """Raise JournalDamaged if the lock exists but is not a file of this user."""
        try:
            os.close(open_own(self.lock))
        except FileNotFoundError:
            return
        except OSError as problem:
            raise unreadable(self.lock, problem) from problem

    def log_of(self, index: int, attempt: int) -> Path:
        """Path of the log of one attempt, whatever its purpose."""
        name, folder = f"{index}.{attempt}", str(self.attempts)
        for purpose in "up":
            path = f"{folder}/{name}{purpose}.log"
            if os.path.exists(path):  # noqa: PTH110  # thousands of calls: Path is slow
                name += purpose
                break
        return self.attempts / f"{name}.log"

    def load_workflow(
        self, digest: str, known: Optional[Mapping[str, Workflow]] = None
    ) -> Workflow:
        """Return the frozen workflow, if it is the one that was submitted.

        `known` are workflows by digest. If it has the same workflow, that object is
        returned. Raises JournalDamaged, JournalTooNew, StateDirError.
        """
        from provctl.storage import workflow_json

        try:
            content = read_own(self.workflow)
        except OSError as problem:
            raise unreadable(self.workflow, problem) from problem
        if workflow_json.digest(content) != digest:
            message = f"{self.workflow}: it differs from what was submitted"
            raise JournalDamaged(message, hint="it was modified, or the disk is faulty")
        same = known.get(digest) if known else None
        return same or workflow_json.load_workflow(content, str(self.workflow))


@light_dataclass
class StateDir:
    """The state directory."""

    path: Path

    @property
    def queue(self) -> Path:
        """Markers of unfinished runs for the background scheduler."""
        return self.path / "queue"

    @property
    def runs(self) -> Path:
        """Folder with one folder per run."""
        return self.path / "runs"

    @property
    def scheduler(self) -> Path:
        """Files of the background scheduler itself."""
        return self.path / "scheduler"

    @property
    def slots(self) -> Path:
        """What all owners share; see `storage.slots`."""
        return self.path / "slots"

    def run(self, run_id: str) -> RunDir:
        """Return the paths of a run, whether or not it exists."""
        return RunDir(self.runs / run_id)

    def run_ids(self) -> List[str]:
        """Return the ids of all runs, sorted; empty if there is no directory."""
        return _names(self.runs)

    def pinned(self) -> Set[str]:
        """Return the ids of the runs that are protected from pruning."""
        runs, name = str(self.runs), self.run("x").pin.name
        return {
            run_id
            for run_id in self.run_ids()
            if os.path.exists(f"{runs}/{run_id}/{name}")  # noqa: PTH110  # see `log_of`
        }

    def queued(self) -> List[str]:
        """Return the ids of the runs that have a marker, sorted."""
        return _names(self.queue)

    def prepare(self) -> None:
        """Create what is missing. Raises StateDirError if others have access."""
        with reported(self.path):
            for folder in (self.path, self.queue, self.runs, self.scheduler):
                if not folder.is_dir():
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    fsync_dir(folder.parent)
            self._check_parts()

    def _check_parts(self) -> None:
        """Check the folders. The state directory may be a symlink, they may not."""
        info = self.path.stat()
        if info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) & 0o022:
            raise _not_ours(self.path, "other users own it or can write to it")
        others = (self.path / name for name in ("schedules", "hooks"))
        for folder in (self.queue, self.runs, self.scheduler, self.slots, *others):
            try:
                check_folder(folder)
            except FileNotFoundError:
                continue
            except ForeignFile as problem:
                raise _not_ours(folder, str(problem.strerror)) from None

    @contextmanager
    def submitting(self) -> Iterator[None]:
        """Mark that a submission is in progress, from the run's folder to its marker.

        Meanwhile, a run without a marker is not treated as left by a killed submission.
        Raises StateDirError.
        """
        self.prepare()
        with reported(self.path):
            fd = open_own(self._submitters, os.O_RDWR | os.O_CREAT)
        try:
            with reported(self.path):
                fcntl.flock(fd, fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def no_submitters(self) -> Iterator[bool]:
        """Yield whether no submission is in progress; none can start meanwhile."""
        try:
            fd = open_own(self._submitters, os.O_RDWR | os.O_CREAT)
        except OSError:
            yield False  # unknown
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
        finally:
            os.close(fd)

    @property
    def _submitters(self) -> Path:
        return self.queue / ".submitters"

    def sync_run_index(self) -> None:
        """Make sure that a run of another process survives a power cut.

        That process may have died before it synced the folder. Raises StateDirError.
        """
        with reported(self.path):
            fsync_dir(self.runs)

    def enqueue(self, run_id: str) -> None:
        """Mark a run for the background scheduler, durably. Raises StateDirError."""
        with reported(self.path):
            create_empty(self.queue / run_id)
            fsync_dir(self.queue)

    def pin(self, run_id: str) -> None:
        """Protect a run from pruning, durably. Raises StateDirError."""
        run = self.run(run_id)
        with reported(self.path):
            create_empty(run.pin)
            fsync_dir(run.path)

    def unpin(self, run_id: str) -> None:
        """Allow pruning of a run again. Raises StateDirError."""
        run = self.run(run_id)
        with reported(self.path):
            if run.pin.exists():
                run.pin.unlink()

    def dequeue(self, run_id: str) -> None:
        """Remove the marker. The marker of a finished run does no harm if it stays."""
        try:
            (self.queue / run_id).unlink()
        except OSError:
            return


def _not_ours(path: Path, why: str) -> StateDirError:
    is_folder = path.is_dir() and not path.is_symlink()
    hint = f"chown and chmod 700 {path}" if is_folder else "move it away"
    return StateDirError(f"{path}: {why}", hint=hint)


def fsync_dir(folder: Path) -> None:
    """Make the entries of a folder durable."""
    fd = os.open(str(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_fsync(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, and make its content durable."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(open_own(path, flags), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def create_empty(path: Path) -> None:
    """Create an empty private file; syncing its folder makes it durable."""
    os.close(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))


def _names(folder: Path) -> List[str]:
    try:
        check_folder(folder)
        names = os.listdir(folder)  # noqa: PTH208 - Path is slow for thousands of runs
    except FileNotFoundError:
        return []
    except ForeignFile as problem:
        raise _not_ours(folder, str(problem.strerror)) from None
    except OSError as problem:
        message = f"{folder}: {problem.strerror}"
        raise StateDirError(message) from problem
    return sorted(name for name in names if not name.startswith("."))


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Convert an OSError to a StateDirError that names the file."""
    try:
        yield
    except OSError as problem:
        where = problem.filename or path
        message = f"{where}: {problem.strerror}"
        raise StateDirError(
            message,
            hint=(
                "the state directory must be writable; choose another one with"
                " --state-dir"
            ),
        ) from problem
