"""A machine without provctl's tools: an empty home, and a PATH of few programs.

It is a mount namespace in which everything is read-only except the home and the folders
for temporary files. They are empty at first, and are inspected at the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, List

import pytest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PROGRAMS", "FreshMachine", "check_namespaces", "python_there"]

PROGRAMS = "/mnt/programs:/usr/bin:/bin"  # PATH there

_USER = 54321
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")
# What the settings of this account and of its tools are named.
_NOT_PASSED = ("TMPDIR", "SHELL", "VIRTUAL_ENV", "BASH_ENV", "ENV")
_NOT_PASSED_EITHER = ("XDG_", "PROVCTL_", "PROVISIONING_", "PYTHON", "COV_", "_")

# /mnt is there on every Linux; the files of the test are in /mnt for whoever runs.
_ENTER = """
set -e
files=$1 user=$2 temporary=$3
shift 3
mount --bind "$files" /mnt
for folder in $temporary /usr/local/bin; do mount -t tmpfs tmpfs $folder; done
for program in nu uv provctl; do
    [ ! -e /usr/bin/$program ] || mount --bind /dev/null /usr/bin/$program
done
mount -o remount,bind,ro /
code=0
cd /mnt/checkout
$user "$@" </dev/null || code=$?
find $temporary -mindepth 1 >/mnt/left
ls -l /usr/local/bin >/mnt/local
exit $code
"""


def check_namespaces() -> None:
    """Skip the test if this machine does not allow mount namespaces."""
    done = subprocess.run(
        [*_unshare(), "mount", "--bind", "/mnt", "/mnt"], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no mount namespace can be had here: {done.stderr.strip()[:100]}")


def _unshare() -> List[str]:
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def _ordinary() -> str:
    """A command prefix that runs a program as an ordinary user inside the namespace."""
    if os.geteuid() == 0:
        return f"setpriv --reuid={_USER} --regid={_USER} --clear-groups"
    return f"unshare --user --map-user={_USER} --map-group={_USER}"


@dataclass(frozen=True)
class Ended:
    """The result of a command: its exit code, and its whole output."""

    code: int
    out: str
    left: str  # in folders for temporary files
    local: str  # in /usr/local/bin


@dataclass
class FreshMachine:
    """`files` are below /mnt for programs that run there; their home is `home`."""

    files: Path
    root: bool = False

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        self.programs.mkdir()
        (self.files / "checkout").mkdir()
        self.own(self.files)

    @property
    def home(self) -> Path:
        """The home; its path needs quotes."""
        return self.files / "a home"

    @property
    def programs(self) -> Path:
        """The first folder of PATH, with the programs of the test."""
        return self.files / "programs"

    @property
    def data(self) -> Path:
        """The folder into which install.sh puts everything except links."""
        return self.home / ".local/share/provctl"

    def own(self, path: Path) -> None:
        """Give files to the user who runs there."""
        path.chmod(0o755)
        if os.geteuid() == 0 and not self.root:
            subprocess.run(["chown", "-hR", f"{_USER}:{_USER}", str(path)], check=True)

    def put(self, path: Path, text: str) -> Path:
        """Write a program."""
        path.write_text(text, encoding="utf-8")
        self.own(path)
        return path

    def command(self, *words: str, path: str = PROGRAMS) -> List[str]:
        """The command that runs these words there, with that PATH."""
        user = "" if self.root else _ordinary()
        script = [*_unshare(), "sh", "-c", _ENTER, "sh"]
        own = ["env", "HOME=/mnt/a home", f"PATH={path}", *words]
        return [*script, str(self.files), user, " ".join(_TEMPORARY), *own]

    def variables(self) -> Dict[str, str]:
        """This environment without the variables of this account and its tools.

        Variables about proxies and package indexes are kept.
        """
        return {
            name: value
            for name, value in os.environ.items()
            if name not in _NOT_PASSED and not name.startswith(_NOT_PASSED_EITHER)
        }

    def __call__(
        self, *words: str, path: str = PROGRAMS, within_s: float = 120
    ) -> Ended:
        """Run a command there, in the checkout, up to its end."""
        done = subprocess.run(
            self.command(*words, path=path),
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=within_s,
        )
        left, local = (self.files / "left", self.files / "local")
        told = Ended(done.returncode, done.stdout, left.read_text(), local.read_text())
        assert told.left == "", told
        return told

    def listing(self) -> List[str]:
        """All files and links below the home."""
        paths = self.home.rglob("*")
        return sorted(
            str(path.relative_to(self.home))
            for path in paths
            if path.is_symlink() or not path.is_dir()
        )


def python_there(machine: FreshMachine) -> None:
    """Give the machine a Python with venv, or skip the test."""
    for python in ("/usr/bin/python3", f"{sys.base_prefix}/bin/python3"):
        if shutil.which(python) is None:
            continue
        link = machine.programs / "python3"
        link.symlink_to(python)
        if machine("python3", "-c", "import ensurepip, venv").code == 0:
            return
        link.unlink()
    pytest.skip("no Python with venv that an ordinary user can run")
