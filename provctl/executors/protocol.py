"""The contract between provctl and whatever runs attempts.

`Executor` is for the owner of a run, `AttemptStore` for everybody who looks.

`tests/support` ships a fake that keeps it; one test class holds every executor
to it.
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


# The purpose of an attempt in the names of its files.
_SUFFIX = {"run": "", "undo": "u", "probe": "p"}

# Every process of an attempt has the attempt's mark in its environment under this
# name, so that what a dead supervisor left behind can be found.
MARK = "PROVCTL_ATTEMPT_ID"
CHECKPOINT = "PROVCTL_CHECKPOINT_FILE"  # where they find `Place.checkpoint`


@light_dataclass
class AttemptRef:
    """One attempt and where its files are: `<folder>/<index>.<attempt>.*`.

    `purpose` is "run" (the task itself), "undo" or "probe"; attempts of a task are
    counted together, and a letter after the number tells them apart.
    """

    run: str
    task: str
    attempt: int
    folder: Path
    index: int
    purpose: str = "run"

    @property
    def name(self) -> str:
        """First part of the names of its files."""
        return f"{self.index}.{self.attempt}{_SUFFIX[self.purpose]}"

    @property
    def mark(self) -> str:
        """What names the attempt among all of this machine."""
        return f"{self.run}/{self.name}"

    @property
    def checkpoint(self) -> Path:
        """What the task keeps from one attempt to the next; all of them have it."""
        return self.folder / f"{self.index}.checkpoint"

    def file(self, suffix: str) -> Path:
        """Return one of its files."""
        return self.folder / f"{self.name}.{suffix}"


# Units of a resource that an attempt has: file, byte of the owner, first unit, number.
SlotRange = Tuple[str, int, int, int]


@light_dataclass
class RemoteWork:
    """What a node makes an order of, where not all of it is known before.

    `action` is the task's work in Nushell (see `runs.node_work`), None where `argv` is
    complete. `needs` are the outputs of the tasks before, `origin` the workflow file
    and line of a script.
    """

    action: Optional[Mapping[str, Any]] = None
    needs: Mapping[str, Any] = field(default_factory=dict)
    origin: Tuple[str, int] = ("", 0)
    place: Optional[Placement] = None


@light_dataclass
class LaunchSpec:
    """What to start. Times in seconds; `output_max` in bytes, 0 for no output.

    `log_max` is how many bytes of log are kept at most, 0 for all; `masked` are
    texts that must stay neither in the log nor in the output. With `keep_processes`
    only what is told to end is swept. `taken` is what the shim holds beside the
    owner, see `storage.slots`. With `remote` a node adds what it alone knows: its
    environment, its Nushell, its folders.
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
        """Start an attempt; its end is reported. At most once, whatever happens."""

    def stop(self, place: AttemptRef, *, now: bool) -> None:
        """Tell an attempt to end, with grace or at once; its end is reported."""

    def suspend(self, place: AttemptRef) -> None:
        """Stop the processes of an attempt (SIGSTOP) until `thaw`; no time runs out."""

    def resume(self, place: AttemptRef) -> None:
        """Resume a suspended attempt; no effect on others."""

    def recover(self, place: AttemptRef, *, rebooted: bool) -> Optional[Report]:
        """Find out the state of an attempt that an earlier owner scheduled.

        Returns Adopted (its end will be reported), Voided, Unknown or Ended; None if
        another machine has to be asked: what it says is reported.
        Raises StateDirError if its files cannot be written, and JournalDamaged if
        they are none of this attempt.
        """

    def close(self) -> None:
        """Release everything; running attempts continue."""


@light_dataclass
class ResourceUsage:
    """What all processes of an attempt use together.

    `cpu_percent` is of one core, since the measurement before; None at the first one.
    `rss_bytes` counts pages that processes share once for each.
    """

    cpu_percent: Optional[float]
    rss_bytes: int


class ResourceMeter(Protocol):
    """Measures one attempt now and then, from any process."""

    def read(self, now: float) -> Optional[ResourceUsage]:
        """Return what it uses; None if it does not run. `now` is in seconds."""


class LogReader(Protocol):
    """Follows the log of one attempt; its memory is bounded."""

    def pieces(self, *, last: bool) -> Iterator[bytes]:
        """Whole new lines, in pieces; with `last` also what has no newline yet."""


class AttemptStore(Protocol):
    """Reads the evidence of attempts, from any process; it changes nothing.

    What takes a reference raises OSError where there is no descriptor to look with.
    """

    def is_running(self, place: AttemptRef) -> bool:
        """Whether something supervises the attempt now."""

    def exit_report(
        self, place: AttemptRef
    ) -> Optional[Union[ExitedReport, NeverStartedReport]]:
        """Return how the attempt ended; None if there is no whole exit record.

        Raises JournalDamaged if what is there is not of this attempt.
        """

    def is_claimed(self, place: AttemptRef) -> bool:
        """Whether an executor claimed the attempt, so that it may have started."""

    def has_evidence(self, place: AttemptRef) -> bool:
        """Whether files show that the attempt started, claimed or not."""

    def remote_status(self, place: AttemptRef) -> str:
        """Say which node an attempt was given to, if its end is not known here."""

    def location(self, place: AttemptRef) -> Path:
        """Return the file that a fault in the evidence is about."""

    def open_log(self, path: Path) -> LogReader:
        """Return a reader of a log, from its beginning."""

    def open_meter(self, place: AttemptRef) -> ResourceMeter:
        """Return what measures the attempt's processes."""
