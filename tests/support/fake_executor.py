"""An executor that runs nothing: it fulfils the contract and records its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

from provctl.core.engine.requests import (
    AdoptedReport,
    ExitedReport,
    NeverStartedReport,
    UnknownReport,
)
from provctl.core.model.attempt_result import RESULT_FIELDS, AttemptResult

if TYPE_CHECKING:
    from provctl.core.engine.requests import Report
    from provctl.core.model.status import ExitCause
    from provctl.executors.protocol import AttemptRef, LaunchSpec, ReportCallback

__all__ = ["FakeExecutor", "adopted", "ended", "exited", "voided"]


class FakeExecutor:
    """Implements `executors.protocol.Executor`; the test decides how attempts end.

    Its calls are recorded as words: `launch a`, `stop a`, `stop a now`, `freeze a`,
    `thaw a`, `recover a`, `recover a rebooted`, `close`; later attempts as `a.2`, undos
    and probes as `a.3u`, `a.3p`. `at_launch` is called before each start, to inspect
    the state at that moment.
    """

    def __init__(
        self, at_launch: Optional[Callable[[LaunchSpec], None]] = None
    ) -> None:
        self.orders: Dict[str, LaunchSpec] = {}
        # What is found of an attempt that an earlier owner decided; by task.
        self.found: Dict[str, Callable[[AttemptRef], Report]] = {}
        self._at_launch = at_launch
        self._said: List[str] = []
        self._tell: Optional[ReportCallback] = None

    def start(self, tell: ReportCallback) -> None:
        """Get ready."""
        self._tell = tell

    def launch(self, order: LaunchSpec) -> None:
        """Start an attempt; never the same one twice."""
        name = _name(order.place)
        assert name not in self.orders, f"{name} was started twice"
        if self._at_launch is not None:
            self._at_launch(order)
        self.orders[name] = order
        self._said.append(f"launch {name}")

    def stop(self, place: AttemptRef, *, now: bool) -> None:
        """Record that an attempt is stopped."""
        self._said.append(f"stop {_name(place)}{' now' if now else ''}")

    def suspend(self, place: AttemptRef) -> None:
        """Record that an attempt is suspended."""
        self._said.append(f"freeze {_name(place)}")

    def resume(self, place: AttemptRef) -> None:
        """Record that an attempt is resumed."""
        self._said.append(f"thaw {_name(place)}")

    def recover(self, place: AttemptRef, *, rebooted: bool) -> Report:
        """Return the report that the test has set; lost by default."""
        self._said.append(f"recover {_name(place)}{' rebooted' if rebooted else ''}")
        find = self.found.get(place.task)
        if find is not None:
            return find(place)
        return UnknownReport(place.run, place.task, place.attempt, "lost", "gone")

    def close(self) -> None:
        """Record that it is closed."""
        self._said.append("close")

    def end(self, name: str, **fields: Any) -> None:
        """Report that an attempt exited: by itself and with 0 by default."""
        self.report(ended(self.orders[name].place, **fields))

    def report(self, *reports: Report) -> None:
        """Report anything."""
        assert self._tell is not None
        self._tell(reports)

    def said(self) -> List[str]:
        """The calls since the last time this was called."""
        said, self._said = self._said, []
        return said

    def assert_nothing_else_said(self) -> None:
        """Check that there were no calls since the last time."""
        assert self.said() == []


def ended(place: AttemptRef, cause: ExitCause = "exit", **fields: Any) -> ExitedReport:
    """The report that an attempt exited, at 1000 and with 0 by default."""
    return exited((place.run, place.task, place.attempt), cause, 1000.0, fields)


def exited(
    attempt: Tuple[str, str, int], cause: ExitCause, at: float, fields: Dict[str, Any]
) -> ExitedReport:
    """A report with 0; `fields` are those of the report, and of its result."""
    result: Dict[str, Any] = {"exit_code": 0, "started_at": at, "finished_at": at}
    result.update({name: fields[name] for name in RESULT_FIELDS if name in fields})
    others = {name: fields[name] for name in fields if name not in RESULT_FIELDS}
    run, task, number = attempt
    return ExitedReport(run, task, number, cause, AttemptResult(**result), **others)


def adopted(place: AttemptRef) -> AdoptedReport:
    """The report that an attempt is adopted."""
    return AdoptedReport(place.run, place.task, place.attempt)


def voided(place: AttemptRef) -> NeverStartedReport:
    """The report that an attempt never started."""
    return NeverStartedReport(place.run, place.task, place.attempt, "it never began")


def _name(place: AttemptRef) -> str:
    _, _, number = place.name.partition(".")
    return place.task if number == "1" else f"{place.task}.{number}"
