"""The installed `provctl`: with its own account, and no process left at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
)

from tests.support.attempts import (
    PATIENCE_S,
    command_of,
    processes_with,
    running,
    wait_until,
)
from tests.support.terminals import Terminal

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["PROGRAM", "ROOT", "Done", "Provctl", "Started"]

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("provctl")


@dataclass(frozen=True)
class Done:
    """The result of a command."""

    command: str
    code: int
    out: str
    err: str

    @property
    def last_word(self) -> str:
        """The last word on stdout."""
        return self.out.split()[-1]

    def json(self) -> Any:
        """The JSON on stdout."""
        return json.loads(self.out)


class Started(subprocess.Popen):  # type: ignore[type-arg]  # cannot be given on 3.8
    """A started command; it is killed if the test fails."""

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if error is not None:
            self.kill()
        super().__exit__(kind, error, traceback)


class Provctl:
    """The command, with its own home and state directory below `folder`."""

    def __init__(self, folder: Path, program: Path = PROGRAM) -> None:
        assert program.is_file(), f"{program}: the project is not installed"
        self.folder = folder
        self.program = str(program)
        self.state = folder / "state"
        home = folder / "account"
        home.mkdir()
        self.environ: Dict[str, str] = {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "PROVCTL_STATE_DIR": str(self.state),
            "PROVCTL_EXECUTOR_GRACE_SECONDS": "5",
            "PROVISIONING_SPEED": "0",
            "TERM": "xterm",
            **{f"XDG_{n}_HOME": str(home / n.lower()) for n in ("CONFIG", "STATE")},
        }
        self._sign = f"HOME={home}"
        self._files = 0

    # -- commands --------------------------------------------------------------------

    def __call__(
        self,
        *args: object,
        code: Optional[int] = 0,
        env: Optional[Mapping[str, str]] = None,
        within_s: float = 120,
        cwd: Optional[Path] = None,
        **how: Any,
    ) -> Done:
        """Run a command; it must exit with `code`, never with a traceback.

        `code` None accepts any exit code.
        """
        process = self.start(*args, env=env, cwd=cwd, **how)
        try:
            out, err = process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate(timeout=60)
            message = f"{args} did not end: {out.decode()}\n{err.decode()}"
            raise AssertionError(message) from None
        line = " ".join(map(str, args))
        done = Done(line, process.returncode, out.decode(), err.decode())
        assert "Traceback" not in done.err, done.err
        assert code in (None, done.code), f"{line}: {done.code}\n{done.out}\n{done.err}"
        return done

    def start(
        self,
        *args: object,
        env: Optional[Mapping[str, str]] = None,
        cwd: Optional[Path] = None,
        under: Sequence[str] = (),
        **how: Any,
    ) -> subprocess.Popen[bytes]:
        """Start a command with an empty stdin and its output in pipes.

        `under` is the program that runs it, such as strace with its options.
        """
        pipes = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        return Started(
            [*under, self.program, *map(str, args)],
            env={**self.environ, **(env or {})},
            cwd=str(cwd or self.folder),
            **{**pipes, **how},
        )

    def terminal(
        self,
        *args: object,
        env: Optional[Mapping[str, str]] = None,
        size: Tuple[int, int] = (40, 110),
    ) -> Terminal:
        """Start a command at a terminal with so many rows and columns."""
        told = {**self.environ, **(env or {})}
        return Terminal([self.program, *map(str, args)], told, self.folder, size)

    # -- files ------------------------------------------------------------------------

    def file(self, tasks: Mapping[str, Any], name: str = "w", **fields: Any) -> Path:
        """Write a workflow file with these tasks."""
        self._files += 1
        path = self.folder / f"{name}-{self._files}.json"
        path.write_text(json.dumps({"name": name, "tasks": tasks, **fields}))
        return path

    def ends_badly(self) -> Path:
        """Write a workflow in which one task fails at once."""
        tasks: Dict[str, Any] = {
            "good": {"command": ["true"]},
            "bad": {"command": ["sh", "-c", "exit 3"]},
            "after": {"command": ["true"], "needs": ["bad"]},
        }
        return self.file(tasks)

    def endless(self, first: str = "true") -> Path:
        """Write a workflow with a task that runs until it is stopped."""
        script = f"{first}; echo ready; while :; do sleep 0.1; done"
        tasks: Dict[str, Any] = {
            "a": {"command": ["sh", "-c", script]},
            "b": {"command": ["true"], "needs": ["a"]},
        }
        return self.file(tasks)

    def text(self, name: str, text: str) -> Path:
        """Write any file."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def submit(self, file: Path, *args: object, **how: Any) -> str:
        """Submit a file and return the run's id."""
        return self("workflow", "submit", file, *args, **how).last_word

    # -- what there is -----------------------------------------------------------------

    def status(self, run: str) -> Dict[str, Any]:
        """The output of `workflow status`."""
        told: Dict[str, Any] = self("workflow", "status", run, "-o", "json").json()
        return told

    def task(self, run: str, task: str) -> Dict[str, Any]:
        """A task in the output of `workflow status`."""
        (found,) = [t for t in self.status(run)["tasks"] if t["id"] == task]
        return dict(found)

    def journal(self, run: str) -> List[Dict[str, Any]]:
        """The records of a run's journal, without an incomplete last one."""
        path = self.state / "runs" / run / "journal.jsonl"
        whole = path.read_bytes().rpartition(b"\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def runs(self) -> List[str]:
        """The ids of all runs on disk."""
        try:
            names = [folder.name for folder in (self.state / "runs").iterdir()]
        except FileNotFoundError:
            return []
        return sorted(name for name in names if not name.startswith("."))

    def schedulers(self) -> List[int]:
        """The running schedulers of this state directory."""
        return running(lambda words: "serve" in words, self.processes())

    def processes(self) -> List[int]:
        """All running processes that were started here."""
        return processes_with(self._sign)

    def log(self, run: str, index: int = 0) -> Path:
        """The log of the first attempt of a task."""
        return self.state / "runs" / run / "attempts" / f"{index}.1.log"

    def until_ready(self, run: str, index: int = 0) -> None:
        """Wait until a task of a run, by default the first, has written `ready`."""
        self.wait_for_text(self.log(run, index), "ready")

    def wait_for_text(self, path: Path, text: str = "") -> str:
        """Wait until a file contains a text; return its content."""
        self.until(lambda: text in _read(path) and _read(path), f"{text!r} in {path}")
        return _read(path)

    def until(
        self,
        condition: Callable[[], Any],
        what: str,
        *,
        within_s: float = PATIENCE_S,
    ) -> Any:
        """Wait for a condition; fail after a deadline and say what was there."""
        try:
            return wait_until(condition, what, within_s=within_s)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self._account()}") from None

    def _account(self) -> str:
        lines = [
            f"{pid}: {' '.join(command_of(pid))[:200]}" for pid in self.processes()
        ]
        lines += [_read(self.state / "scheduler" / "log")]
        for run in self.runs()[:5]:
            lines.append(_read(self.state / "runs" / run / "journal.jsonl")[-2000:])
        return "\n".join(lines)

    def kill_scheduler(self) -> None:
        """Kill the scheduler with SIGKILL."""
        found = self.schedulers()
        assert len(found) == 1, f"schedulers: {found}\n{self._account()}"
        os.kill(found[0], signal.SIGKILL)
        # And what it had just forked, which has its lock until it runs a program.
        self.until(lambda: not self.schedulers(), "the scheduler is gone")

    def end(self) -> None:
        """Stop the scheduler and kill the rest; nothing may survive that."""
        try:
            if self.schedulers():
                self("scheduler", "stop")
        finally:
            self.kill_everything()

    def kill_everything(self) -> None:
        """Kill all that was started here, until nothing is left."""

        def none_left() -> bool:
            left = self.processes()
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            return not left

        wait_until(none_left, "everything is killed")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
