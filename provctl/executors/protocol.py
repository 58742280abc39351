"""The contract between provctl and whatever runs attempts.

The owner of a run uses `Executor`. Any process that only reads uses `AttemptStore`.

`tests/support` has a fake that implements the contract. One test class checks every
executor against it.
"""

from __future__ import annotations

from dataclasses import field
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Iterator,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    Union,
)

from provctl.base.light_dataclass import light_dataclass

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.engine.requests import ExitedReport, NeverStartedReport, Report
    from provctl.core.model.workflow import Placement


# How the purpose of an attempt appears in the names of its files.
_SUFFIX = {"run": "", "undo": "u", "probe": "p"}

# The environment variable with the attempt's mark. Every process of an attempt has it,
# so that the processes that a dead supervisor left behind can be found.
MARK = "PROVCTL_ATTEMPT_ID"
CHECKPOINT = "PROVCTL_CHECKPOINT_FILE"  # holds `AttemptRef.checkpoint`


@light_dataclass
class AttemptRef:
    """One attempt and where its files are: `<folder>/<index>.<attempt>.*`.

    `purpose` is "run" (the task itself), "undo" or "probe". All attempts of a task are
    numbered together; a letter after the number shows the purpose.
    """

    run: str
    task: str
    attempt: int
    folder: Path
    index: int
    purpose: str = "run"

    @property
    def name(self) -> str:
        """The first part of the names of its files."""
        return f"{self.index}.{self.attempt}{_SUFFIX[self.purpose]}"

    @property
    def mark(self) -> str:
        """The id of the attempt, unique on this machine."""
        return f"{self.run}/{self.name}"

    @property
    def checkpoint(self) -> Path:
        """The file that a task keeps for its next attempts; all attempts share it."""
        return self.folder / f"{self.index}.checkpoint"

    def file(self, suffix: str) -> Path:
        """Return one of its files."""
        return self.folder / f"{self.name}.{suffix}"


# The units of a resource that an attempt holds: file, byte of the owner, first unit,
# number of units.
SlotRange = Tuple[str, int, int, int]


@light_dataclass
class RemoteWork:
    """The input from which a node completes a launch spec, where the owner cannot.

    `action` is the task's work in Nushell (see `runs.node_work`), or None if `argv` is
    complete. `needs` are the outputs of the tasks that this one depends on. `origin` is
    the workflow file and line of a script.
    """

    action: Optional[Mapping[str, Any]] = None
    needs: Mapping[str, Any] = field(default_factory=dict)
    origin: Tuple[str, int] = ("", 0)
    place: Optional[Placement] = None


@light_dataclass
class LaunchSpec:
    """What to start. Times in seconds; `output_max` in bytes, 0 for no output.

    `log_max` is the maximum size of the log in bytes, 0 for unlimited. `masked` are
    texts that must remain neither in the log nor in the output. With `keep_processes`,
    survivors are killed only after a stop request. `taken` are the units that the shim
    locks in addition to the owner (see `storage.slots`). With `remote`, a node adds
    what only it knows: its environment, its Nushell, its folders.
    """

    place: AttemptRef
    argv: Tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    timeout_s: float
    grace_s: float
    output_max: int = 0
    input: Optional[bytes] = None
    log_max: int = 0
    masked: Tuple[str, ...] = ()
    keep_processes: bool = False
    taken: Tuple[SlotRange, ...] = ()
    remote: Optional[RemoteWork] = None


ReportCallback = Callable[[Sequence["Report"]], None]


class Executor(Protocol):
    """Runs attempts; reports results by `ReportCallback`, in the loop's thread."""

    def start(self, tell: ReportCallback) -> None:
        """Get ready, inside the running event loop."""

    def launch(self, order: LaunchSpec) -> None:
        """Start an attempt, at most once in all circumstances. Its end is reported."""

    def stop(self, place: AttemptRef, *, now: bool) -> None:
        """Stop an attempt, with grace time or at once (`now`). Its end is reported."""

    def suspend(self, place: AttemptRef) -> None:
        """Stop an attempt's processes (SIGSTOP) until `resume`; its timeout pauses."""

    def resume(self, place: AttemptRef) -> None:
        """Resume a suspended attempt; no effect on others."""

    def recover(self, place: AttemptRef, *, rebooted: bool) -> Optional[Report]:
        """Find out the state of an attempt that an earlier owner scheduled.

        Returns AdoptedReport (its end will be reported), NeverStartedReport,
        UnknownReport or ExitedReport; None if another machine has to be asked: its
        answer will be reported. Raises StateDirError if the attempt's files cannot be
        written, and JournalDamaged if they do not belong to this attempt.
        """

    def close(self) -> None:
        """Release everything; running attempts continue."""


@light_dataclass
class ResourceUsage:
    """What all processes of an attempt use together.

    `cpu_percent` is relative to one core, since the last measurement; None at the first
    one. `rss_bytes` counts pages that processes share once for each process.
    """

    cpu_percent: Optional[float]
    rss_bytes: int


class ResourceMeter(Protocol):
    """Measures one attempt now and then, from any process."""

    def read(self, now: float) -> Optional[ResourceUsage]:
        """Return its usage; None if it is not running. `now` is in seconds."""


class LogReader(Protocol):
    """Follows the log of one attempt in bounded memory."""

    def pieces(self, *, last: bool) -> Iterator[bytes]:
        """Yield whole new lines, in pieces; with `last` also an unfinished line."""


class AttemptStore(Protocol):
    """Reads the evidence of attempts, from any process; it changes nothing.

    Methods that take an `AttemptRef` raise OSError if no descriptor is free.
    """

    def is_running(self, place: AttemptRef) -> bool:
        """Whether an executor supervises the attempt now."""

    def exit_report(
        self, place: AttemptRef
    ) -> Optional[Union[ExitedReport, NeverStartedReport]]:
        """Return how the attempt ended; None if there is no whole exit record.

        Raises JournalDamaged if the record does not belong to this attempt.
        """

    def is_claimed(self, place: AttemptRef) -> bool:
        """Whether an executor claimed the attempt, so that it may have started."""

    def has_evidence(self, place: AttemptRef) -> bool:
        """Whether files show that the attempt started, claimed or not."""

    def remote_status(self, place: AttemptRef) -> str:
        """Return which node has the attempt, if its end is not known here."""

    def location(self, place: AttemptRef) -> Path:
        """Return the file to name in a report of a fault in the evidence."""

    def open_log(self, path: Path) -> LogReader:
        """Return a reader of a log, from its beginning."""

    def open_meter(self, place: AttemptRef) -> ResourceMeter:
        """Return a meter of the attempt's processes."""
