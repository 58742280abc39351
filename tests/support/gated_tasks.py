"""A run for handovers: tasks that wait for a gate, and checks of their results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

__all__ = ["Gated"]


class Gated:
    """`first` and `other` run until the gate is opened; then `after` runs.

    `first` exits with 0, `other` with 7, so the run fails.
    """

    def __init__(self, provctl: Provctl) -> None:
        self._provctl = provctl
        self._starts = provctl.folder / "starts"
        self._gate = provctl.folder / "gate"
        self.file = provctl.file(
            {
                "first": self._task(0),
                "other": self._task(7),
                "after": self._task(0, needs=["first"]),
            }
        )

    def _task(self, code: int, **fields: Any) -> Dict[str, Any]:
        script = (
            f'echo "$PROVCTL_TASK $$" >> "{self._starts}"; echo ready; '
            f'until [ -e "{self._gate}" ] || [ -e "{self._gate}-$PROVCTL_TASK" ]; '
            f"do sleep 0.02; done; exit {code}"
        )
        return {"command": ["sh", "-c", script], **fields}

    @property
    def started(self) -> List[str]:
        """A line for each start: task and process id."""
        return self._starts.read_text().splitlines() if self._starts.exists() else []

    def until_two_run(self) -> str:
        """Wait until the first two tasks run; return the run's id."""
        self._provctl.until(lambda: len(self.started) == 2, "two tasks run")
        return self._provctl.runs()[0]

    def open(self, task: str = "") -> None:
        """Let one task finish, or all."""
        gate = f"{self._gate.name}-{task}" if task else self._gate.name
        self._gate.with_name(gate).touch()

    def owners(self, run: str) -> List[str]:
        """The kinds of its owners so far."""
        facts = self._provctl.journal(run)
        return [fact["owner"] for fact in facts if fact["type"] == "owner_took"]

    def until_in_background(self, run: str) -> None:
        """Wait until the scheduler owns the run."""
        self._provctl.until(
            lambda: self.owners(run)[-1:] == ["scheduler"], "the scheduler has it"
        )

    def check_end(self, run: str) -> None:
        """Open the gate and wait: each task ran once, and none was stopped."""
        before = self.started
        self.open()
        self._provctl("wait", run, code=10)
        assert self.started[:2] == before[:2]
        assert sorted(line.split()[0] for line in self.started) == [
            "after",
            "first",
            "other",
        ]
        codes = {t["id"]: t["exit_code"] for t in self._provctl.status(run)["tasks"]}
        assert codes == {"first": 0, "other": 7, "after": 0}
        kinds = [fact["type"] for fact in self._provctl.journal(run)]
        assert kinds.count("attempt_started") == 3
        assert not {"attempt_stopping", "cancel_requested", "task_held"} & {*kinds}

    def marker(self, run: str) -> Path:
        """The queue marker of the run."""
        return self._provctl.state / "queue" / run
