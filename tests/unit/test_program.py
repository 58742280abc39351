"""How the program is started once more: installed, and as a single file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provctl.program import again, program_path

if TYPE_CHECKING:
    import pytest

INSTALLED = (sys.executable, "-I", "-m", "provctl")


def test_the_installed_program_goes_by_its_python() -> None:
    assert again() == INSTALLED
    assert program_path() in ("", str(Path(sys.executable).with_name("provctl")))


def test_the_single_file_goes_by_its_own_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    single = tmp_path / "provctl"
    single.touch(0o700)
    monkeypatch.setitem(sys._xoptions, "provctl", str(single))
    assert again() == (str(single),)
    assert program_path() == str(single)
    # Moved away while it ran: what it was unpacked to goes on.
    single.unlink()
    assert again() == INSTALLED
