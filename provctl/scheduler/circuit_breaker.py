"""A circuit breaker: no attempt starts while the machine lacks a resource.

After a wait, one attempt may start as a trial. If the trial meets the shortage too, the
next wait is longer; if not, attempts start normally again. No trial starts while the
disk reports that it is full. This module reads no clock; times are in seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional

from provctl.base.resource_exhaustion import is_full
from provctl.core.engine.requests import ExitedReport, NeverStartedReport

if TYPE_CHECKING:
    from provctl.core.engine.requests import Report


_FIRST_S = 1.0
_LONGEST_S = 60.0
_TRIAL_S = 5.0  # a trial without a report for this long counts as started


class CircuitBreaker:
    """Decides whether attempts may start; calls `warn` once for each shortage."""

    def __init__(self, folder: str, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn
        self._wait_s = 0.0
        self._is_trial = False
        # When to check again: whether a trial may start, or whether the shortage is
        # over.
        self.until: Optional[float] = None

    def on_report(self, report: Report, now: float) -> None:
        """Process a report about an attempt."""
        if isinstance(report, NeverStartedReport) and report.shortage:
            self._note(report.reason, now)
        elif isinstance(report, ExitedReport) and report.result.ran:
            self._end()

    def _note(self, reason: str, now: float) -> None:
        if self.until is None:
            self._wait_s = _FIRST_S
            self._warn(f"no attempts are started: {reason}")
        elif self._is_trial:
            self._wait_s = min(2 * self._wait_s, _LONGEST_S)
        self._is_trial = False
        self.until = now + self._wait_s

    def is_open(self, now: float) -> bool:
        """Whether no attempt may start now."""
        if self.until is None:
            return False
        if now < self.until:
            return True
        if self._is_trial:
            self._end()
            return False
        if is_full(self._folder):
            self.until = now + self._wait_s
            return True
        return False

    def _end(self) -> None:
        self.until = None
        self._is_trial = False

    def on_start(self, now: float) -> None:
        """Record that an attempt starts. During a shortage it is the only trial."""
        if self.until is not None:
            self._is_trial = True
            self.until = now + _TRIAL_S
