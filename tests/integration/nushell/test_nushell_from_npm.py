"""Installing Nushell from npm: completely or not at all."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Dict, Mapping

import pytest

from provctl.errors import MissingTool
from provctl.nushell.install import NUSHELL_VERSION, fetch_nu

if TYPE_CHECKING:
    from pathlib import Path

ARCH = {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)

# Does as npm does, by its flags; what the program says is the word behind.
NPM = f"""#!/bin/sh
echo "$@" >>"$HOME/asked"
while [ "$1" != --prefix ]; do shift; done
bin=$2/node_modules/@nushell/{sys.platform}-{ARCH}/bin
mkdir -p "$bin"
printf '#!/bin/sh\\n%s\\n' '{{says}}' >"$bin/nu"
chmod 755 "$bin/nu"
{{then}}
"""


@pytest.fixture
def environ(tmp_path: Path) -> Dict[str, str]:
    (tmp_path / "tools").mkdir()
    path = f"{tmp_path}/tools:/usr/bin:/bin"
    return {"PATH": path, "HOME": str(tmp_path)}


def put_npm(
    tmp_path: Path, *, says: str = f"echo {NUSHELL_VERSION}", then: str = ":"
) -> None:
    npm = tmp_path / "tools" / "npm"
    npm.write_text(NPM.format(says=says, then=then), encoding="utf-8")
    npm.chmod(0o755)


def get(folder: Path, environ: Mapping[str, str]) -> str:
    return fetch_nu(folder, environ, tell=lambda words: None)


def test_install_keeps_only_the_program(
    tmp_path: Path, environ: Dict[str, str]
) -> None:
    put_npm(tmp_path)
    folder = tmp_path / "its own" / "bin"
    assert get(folder, environ) == str(folder / "nu")
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "nu"]
    asked = (tmp_path / "asked").read_text(encoding="utf-8")
    assert asked.rstrip().endswith(f"nushell@{NUSHELL_VERSION}")
    assert "-g " not in asked


@pytest.mark.parametrize(
    ("says", "then", "message"),
    [
        ("echo 0.115.1", "echo npm error code ENOTFOUND; exit 1", "code ENOTFOUND"),
        ("exit 126", ":", "cannot run"),
        ("echo 0.80.0", ":", "too old"),
        ("echo 0.115.1", 'rm -r "$bin"', "no Nushell for this kind of machine"),
    ],
)
def test_failed_install_changes_nothing(
    tmp_path: Path, environ: Dict[str, str], says: str, then: str, message: str
) -> None:
    folder = tmp_path / "own"
    put_npm(tmp_path)
    get(folder, environ)
    before = (folder / "nu").stat()
    put_npm(tmp_path, says=says, then=then)
    with pytest.raises(MissingTool, match=message) as problem:
        get(folder, environ)
    assert problem.value.hint
    assert (folder / "nu").stat() == before
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "nu"]


def test_killed_install_is_repeated(tmp_path: Path, environ: Dict[str, str]) -> None:
    folder = tmp_path / "own"
    put_npm(tmp_path, then="kill -9 $PPID")
    pid = os.fork()  # noqa: TID251  # what is killed is this process
    if pid == 0:
        get(folder, environ)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    assert not (folder / "nu").exists()
    assert (folder / ".new").exists()
    put_npm(tmp_path)
    get(folder, environ)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "nu"]


def test_missing_npm_is_reported_with_a_hint(
    tmp_path: Path, environ: Dict[str, str]
) -> None:
    environ["PATH"] = f"{tmp_path}/tools"
    with pytest.raises(MissingTool, match="npm") as problem:
        get(tmp_path / "own", environ)
    assert "apt-get install npm" in (problem.value.hint or "")
    assert not (tmp_path / "own").exists()


def test_unwritable_folder_is_reported(tmp_path: Path, environ: Dict[str, str]) -> None:
    put_npm(tmp_path)
    (tmp_path / "own").write_text("a file", encoding="utf-8")
    with pytest.raises(
        MissingTool, match=f"cannot install Nushell into {tmp_path}/own"
    ):
        get(tmp_path / "own" / "bin", environ)
