"""How the program starts itself again: installed, and as a single file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from provctl.base.self_command import (
    installed,
    program_name,
    program_path,
    self_command,
)

INSTALLED = (sys.executable, "-I", "-m", "provctl")


def test_installed_program_starts_by_its_python() -> None:
    assert self_command() == INSTALLED
    assert program_path() in ("", str(Path(sys.executable).with_name("provctl")))


def test_single_file_starts_by_its_own_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    single = tmp_path / "provctl"
    single.touch(0o700)
    monkeypatch.setitem(sys._xoptions, "provctl", str(single))
    assert self_command() == (str(single),)
    assert program_path() == str(single)
    # Moved away while it ran: what it was unpacked to goes on.
    single.unlink()
    assert self_command() == INSTALLED


def test_installation_starts_by_its_permanent_link(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = tmp_path / "env.a1" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "provctl"):
        (programs / name).touch(0o700)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    # An environment of somebody else's, whatever its name.
    assert program_path() == str(programs / "provctl")
    assert installed() == self_command()
    (tmp_path / "current").symlink_to("env.a1")
    assert program_path() == str(tmp_path / "current/bin/provctl")
    assert installed() == (program_path(),)
    # This version itself is what it starts while it runs.
    assert self_command()[0] == str(programs / "python")


def test_program_directly_below_the_root_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/sh")
    assert program_path() in ("", "/bin/provctl")
    monkeypatch.setattr(sys, "executable", "/sh")
    assert installed() == self_command()


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("/usr/bin/provctl", "provctl"),
        ("/home/me/.local/bin/provisioning", "provisioning"),
        ("/site-packages/provctl/__main__.py", "provctl"),
        ("/bin/anything", "provctl"),
    ],
)
def test_program_name_is_the_name_it_was_called_by(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, called: str, name: str
) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    assert program_name() == name
    single = tmp_path / "provisioning"
    single.touch(0o700)
    monkeypatch.setitem(sys._xoptions, "provctl", str(single))
    assert program_name() == "provisioning"
