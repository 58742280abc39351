"""A bench for executors: it starts attempts, keeps reports and inspects processes."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

from provctl.executors.local.attempt_file import is_frozen, shim_pid
from provctl.executors.protocol import MARK, AttemptRef, LaunchSpec

if TYPE_CHECKING:
    from provctl.core.engine.requests import Report
    from provctl.executors.protocol import Executor

__all__ = [
    "PATIENCE_S",
    "Bench",
    "alive",
    "children_of",
    "command_of",
    "marked",
    "processes_with",
    "running",
    "shim_of",
    "wait_until",
]

# So long something may take to be so. It is no bar: machines are busy, and what is too
# slow is for tests/bench to say. Tasks that are to be ended sleep for longer.
PATIENCE_S = 50.0


def wait_until(
    condition: Callable[[], Any], what: str, *, within_s: float = PATIENCE_S
) -> Any:
    """Return the first true value of `condition`; fail after a deadline."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.01)


class Bench:
    """An executor, a loop for it, and a folder for the files of attempts.

    Every wait has a deadline.
    """

    def __init__(
        self, make: Callable[[], Executor], folder: Path, run: Optional[str] = None
    ) -> None:
        self.folder = folder
        self.run_id = run or f"r{os.urandom(4).hex()}"
        self._make = make
        self._loop = asyncio.new_event_loop()
        self.reports: Dict[str, List[Report]] = {}
        self._count = 0
        self.executor = make()
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self.executor.start(self._hear)

    def _hear(self, reports: Sequence[Report]) -> None:
        for report in reports:
            self.reports.setdefault(report.task, []).append(report)

    def close(self) -> None:
        """Close the executor and the loop."""
        self.executor.close()
        self._loop.close()

    def change_owner(self) -> None:
        """Close the executor, as if its owner had died, and create the next one."""
        self.executor.close()
        self.executor = self._make()
        self._loop.run_until_complete(self._start())

    def order(
        self, *argv: str, env: Optional[Mapping[str, str]] = None, **fields: Any
    ) -> LaunchSpec:
        """Return a launch spec for a new task."""
        self._count += 1
        task, index = f"t{self._count}", self._count
        place = AttemptRef(self.run_id, task, 1, self.folder, index)
        given: Dict[str, Any] = {
            "cwd": str(self.folder),
            "timeout_s": 60.0,
            "grace_s": 5.0,
            **fields,
        }
        told = {"PATH": os.environ["PATH"], MARK: place.mark, **(env or {})}
        return LaunchSpec(place, argv, told, **given)

    def launch(self, *argv: str, **fields: Any) -> AttemptRef:
        """Start a task and return where its files are."""
        order = self.order(*argv, **fields)
        self.executor.launch(order)
        return order.place

    def shell(self, script: str, **fields: Any) -> AttemptRef:
        """Start a shell script; it writes `ready` to its log when it is running."""
        return self.launch("sh", "-c", script, **fields)

    def until_ready(self, *places: AttemptRef) -> None:
        """Wait until tasks have written `ready`."""
        for place in places:
            said = partial(self._has_said, place, "ready")
            self.until(said, f"{place.name} is ready")

    def _has_said(self, place: AttemptRef, word: str) -> bool:
        return word in self.log(place)

    def log(self, place: AttemptRef) -> str:
        """The log of a task so far."""
        try:
            return place.file("log").read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def end_of(self, place: AttemptRef, *, within_s: float = PATIENCE_S) -> Any:
        """Wait for the report about an attempt, and return it."""
        told = self.reports.setdefault(place.task, [])
        self.until(lambda: told, f"a report about {place.name}", within_s=within_s)
        assert len(told) == 1, told
        return told[0]

    def run(self, *argv: str, **fields: Any) -> Any:
        """Run a task and return the report about its end."""
        return self.end_of(self.launch(*argv, **fields))

    def until(
        self,
        condition: Callable[[], Any],
        what: str,
        *,
        within_s: float = PATIENCE_S,
    ) -> Any:
        """Let the executor work until a condition holds."""
        return self._loop.run_until_complete(self._until(condition, what, within_s))

    async def _until(
        self, condition: Callable[[], Any], what: str, within_s: float
    ) -> Any:
        deadline = time.monotonic() + within_s
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < deadline, f"{what}; known: {self.reports}"
            await asyncio.sleep(0.005)

    def work(self, seconds: float) -> None:
        """Let the executor work for some time."""
        self._loop.run_until_complete(asyncio.sleep(seconds))

    def do(self, act: Callable[[], Any]) -> Any:
        """Call a function inside the running loop, as an owner does."""

        async def inside() -> Any:
            return act()

        return self._loop.run_until_complete(inside())

    def stop(self, place: AttemptRef, *, now: bool = False) -> None:
        """Stop an attempt."""
        self.do(lambda: self.executor.stop(place, now=now))

    def freeze(self, place: AttemptRef) -> None:
        """Suspend the processes of an attempt."""
        self.do(lambda: self.executor.suspend(place))

    def thaw(self, place: AttemptRef) -> None:
        """Resume a frozen attempt."""
        self.do(lambda: self.executor.resume(place))

    def evidence(self, place: AttemptRef) -> AttemptRef:
        """The attempt as the machine that runs it has it."""
        return place

    def is_frozen(self, place: AttemptRef) -> bool:
        """Whether an attempt stands still."""
        return is_frozen(self.evidence(place))

    def until_frozen(self, place: AttemptRef) -> None:
        """Wait until an attempt is suspended."""
        self.until(lambda: self.is_frozen(place), f"{place.name} is frozen")

    def stands_still(self, place: AttemptRef, *, for_s: float = 0.3) -> bool:
        """Whether nothing is written to the log for some time."""
        place = self.evidence(place)
        before = self.log(place)
        self.work(for_s)
        return self.log(place) == before

    def recover(self, place: AttemptRef, *, rebooted: bool = False) -> Any:
        """Recover an attempt of the previous owner."""
        return self.do(lambda: self.executor.recover(place, rebooted=rebooted))


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    return _stat(pid)[0] not in ("", "Z", "X")


def children_of(pid: int) -> List[int]:
    """The child processes of `pid`, including zombies."""
    return [each for each in _pids() if _stat(each)[1] == pid]


def command_of(pid: int) -> List[str]:
    """The arguments of a process; empty if it is gone or a zombie."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return raw.decode("utf-8", "replace").split("\0")[:-1]


def running(what: Callable[[List[str]], bool], among: Iterable[int]) -> List[int]:
    """The processes whose arguments fulfil a condition.

    A forked process has the arguments of its parent until it runs another program; such
    processes do not count.
    """
    found = [pid for pid in among if what(command_of(pid))]
    return [pid for pid in found if _stat(pid)[1] not in found]


def processes_with(variable: str) -> List[int]:
    """The processes started with `variable`, "NAME=value" or "NAME=beginning/"."""
    wanted = variable.encode()
    whole = not variable.endswith("/")
    found = []
    for pid in _pids():
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        variables = environ.split(b"\0")
        fits = wanted in variables if whole else _begins(variables, wanted)
        if fits and alive(pid):
            found.append(pid)
    return found


def _begins(texts: List[bytes], beginning: bytes) -> bool:
    return any(text.startswith(beginning) for text in texts)


def _pids() -> List[int]:
    names = (entry.name for entry in Path("/proc").iterdir())
    return [int(name) for name in names if name.isdigit()]


def _stat(pid: int) -> Tuple[str, int]:
    """State and parent of a process; nothing if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", 0
    state, parent = text.rpartition(")")[2].split()[:2]
    return state, int(parent)


def marked(place: AttemptRef) -> List[int]:
    """Return the processes of an attempt, by the mark in their environment."""
    return processes_with(f"{MARK}={place.mark}")


def shim_of(place: AttemptRef) -> int:
    """Return the shim of an attempt."""
    pid = shim_pid(place)
    assert pid is not None
    return pid
