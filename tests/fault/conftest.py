"""Owns the figures of the fault tests: what was measured is said when all is over."""

from __future__ import annotations

from typing import Callable, List

import pytest

_FIGURES = pytest.StashKey[List[str]]()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keep a line that says what was done how often and what came of it."""
    return request.config.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    lines = config.stash.get(_FIGURES, [])
    if lines:
        terminalreporter.section("figures")
    for line in lines:
        terminalreporter.line(line)
