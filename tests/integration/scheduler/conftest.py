"""Owns the installed command for the tests here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

from tests.support.installed import Provctl

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def provctl(tmp_path: Path) -> Iterator[Provctl]:
    """The command with an account of its own; in the end nothing of it runs."""
    provctl = Provctl(tmp_path)
    try:
        yield provctl
    finally:
        provctl.end()
