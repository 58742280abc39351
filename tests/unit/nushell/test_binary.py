"""Finding Nushell: on PATH, by its path, and behind start scripts."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from provctl.errors import MissingTool
from provctl.nushell.binary import find_nu, nu_version

if TYPE_CHECKING:
    from pathlib import Path

ARCH = {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
NATIVE = f"node_modules/@nushell/{sys.platform}-{ARCH}/bin/nu"


def program(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)
    return file


def test_name_is_searched_on_path(tmp_path: Path) -> None:
    nu = program(tmp_path / "b/nu", "native")
    assert find_nu("nu", f"{tmp_path}/a:{tmp_path}/b") == str(nu)


def test_path_is_used_unchanged(tmp_path: Path) -> None:
    nu = program(tmp_path / "nu-0.115", "native")
    link = tmp_path / "nu"
    link.symlink_to(nu)
    assert find_nu(str(link), "") == str(link)


@pytest.mark.parametrize(
    ("configured", "hint"),
    [("nu", "provctl doctor --fix"), ("/nowhere/nu", "correct nushell.binary")],
)
def test_missing_program_has_an_install_hint(
    configured: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(MissingTool, match=f"no program '{configured}'") as problem:
        find_nu(configured, str(tmp_path))
    assert hint in (problem.value.hint or "")


def test_own_folder_is_searched_after_path(tmp_path: Path) -> None:
    own, path = str(tmp_path / "own"), str(tmp_path / "path")
    ours = program(tmp_path / "own/nu", "#!/bin/sh\necho 0.115.1\n")
    assert find_nu("nu", path, own) == str(ours)
    other = program(tmp_path / "path/nu", "#!/bin/sh\necho 0.116.0\n")
    assert find_nu("nu", path, own) == str(other)
    with pytest.raises(MissingTool):  # who names a program means that one
        find_nu(str(tmp_path / "gone"), path, own)
    with pytest.raises(MissingTool):
        find_nu("nu-0.114", path, own)


def test_own_program_is_used_if_the_one_on_path_is_too_old(tmp_path: Path) -> None:
    own, path = str(tmp_path / "own"), str(tmp_path / "path")
    other = program(tmp_path / "path/nu", "#!/bin/sh\necho 0.90.1\n")
    assert find_nu("nu", path, own) == str(other)
    ours = program(tmp_path / "own/nu", "#!/bin/sh\necho 0.115.1\n")
    assert find_nu("nu", path, own) == str(ours)


def test_program_behind_the_npm_launcher_is_found(tmp_path: Path) -> None:
    native = program(tmp_path / NATIVE, "native")
    launcher = "#!/usr/bin/env node\n"
    program(tmp_path / "node_modules/nushell/lib/index.js", launcher)
    link = tmp_path / "node_modules/.bin/nu"
    link.parent.mkdir()
    link.symlink_to("../nushell/lib/index.js")
    assert find_nu("nu", str(link.parent)) == str(native)


def test_program_behind_another_script_is_asked_for(tmp_path: Path) -> None:
    native = program(tmp_path / "hidden/nu", "native")
    program(tmp_path / "nu", f"#!/bin/sh\necho {native}\n")
    assert find_nu("nu", str(tmp_path)) == str(native)


def test_script_that_does_not_name_its_program_is_used_itself(tmp_path: Path) -> None:
    nu = program(tmp_path / "nu", "#!/bin/sh\necho\n")
    assert find_nu("nu", str(tmp_path)) == str(nu)


def test_failing_script_is_refused(tmp_path: Path) -> None:
    program(tmp_path / "nu", "#!/bin/sh\nexit 1\n")
    with pytest.raises(MissingTool, match="cannot run"):
        find_nu("nu", str(tmp_path))


def test_version_is_read_from_the_program(tmp_path: Path) -> None:
    nu = program(tmp_path / "nu", "#!/bin/sh\necho 0.115.1\n")
    assert nu_version(str(nu)) == "0.115.1"


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("echo 0.108.0", "Nushell 0.108.0, which is too old"),
        ("echo nu the editor", "is not Nushell"),
        ("exit 3", "cannot run"),
    ],
)
def test_other_program_or_old_version_is_refused(
    tmp_path: Path, says: str, message: str
) -> None:
    nu = program(tmp_path / "nu", f"#!/bin/sh\n{says}\n")
    with pytest.raises(MissingTool, match=message):
        nu_version(str(nu))
