"""The single file in tests: how it is built, where it unpacks, an empty root for it."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, List, Optional

from tests.support.attempts import processes_with, wait_until
from tests.support.fresh_machine import check_namespaces
from tests.support.installed import ROOT, Done
from tests.support.tools import BUILDING, need

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BareRoot", "SingleFile", "build", "is_in_use"]

# Enters the root in a mount namespace of its own, so nothing has to be unmounted.
_ENTER = """
mount --rbind /proc "$1/proc" && mount --bind /dev/null "$1/dev/null" || exit 99
root=$1; shift
exec chroot "$root" "$@"
"""


def build() -> Path:
    """Build the file with the Python of the tests, and return its path.

    The first of the test workers builds it, the others wait.
    """
    need(*BUILDING)
    command = ["bash", str(ROOT / ".ci" / "single-file"), sys.executable]
    workers_of = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "built-for").open("a+") as note:
        fcntl.flock(note, fcntl.LOCK_EX)
        note.seek(0)
        if not workers_of or note.read() != workers_of:
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
            note.truncate(0)
            note.write(workers_of)
    return ROOT / "dist" / "provctl"


def is_in_use(tree: Path) -> bool:
    """Whether any process holds an unpacked tree."""
    with (tree / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@dataclass(frozen=True)
class SingleFile:
    """A single file, and a cache into which it unpacks."""

    program: Path
    cache: Path

    @property
    def folder(self) -> Path:
        """The folder of the trees."""
        return self.cache / "provctl" / "program"

    @property
    def trees(self) -> List[Path]:
        """The complete trees, and everything beside them."""
        there = self.folder.iterdir() if self.folder.exists() else ()
        return sorted(path for path in there if path.name != ".lock")

    @property
    def tree(self) -> Path:
        """The only tree."""
        (tree,) = self.trees
        return tree

    def start(self, *args: object, under: List[str]) -> subprocess.Popen[str]:
        """Start it with its output in pipes; `under` is the program that runs it."""
        return subprocess.Popen(
            [*under, str(self.program), *map(str, args)],
            env={"XDG_CACHE_HOME": str(self.cache), "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, code: int = 0, under: Optional[List[str]] = None) -> str:
        """Run `--version` and return its output; the exit code must be `code`."""
        with self.start("--version", under=under or []) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == code, f"{process.returncode}\n{out}\n{err}"
        return err if code else out

    def other(self, program: Path) -> SingleFile:
        """Build another version that uses the same cache."""
        key = self.tree.name.rpartition("-")[0].encode()
        text = self.program.read_bytes()
        assert key in text
        program.write_bytes(text.replace(key, b"9.9.9-" + b"f" * (len(key) - 6)))
        program.chmod(0o755)
        return SingleFile(program, self.cache)


class BareRoot:
    """A root filesystem with the single file and Nushell only."""

    def __init__(self, folder: Path, program: Path) -> None:
        self.folder = folder / "root"
        for name in ("bin", "dev", "home", "proc", "tmp"):
            (self.folder / name).mkdir(parents=True)
        shutil.copy(program, self.folder / "bin" / "provctl")
        nu = shutil.which("nu")
        assert nu is not None, "tests/run puts nu on PATH"
        shutil.copy(nu, self.folder / "bin" / "nu")
        (self.folder / "dev" / "null").touch()
        self.state = self.folder / "home" / ".local" / "state" / "provctl"
        self.environ: Dict[str, str] = {
            "HOME": "/home",
            "PATH": "/bin:/usr/bin:/sbin:/usr/sbin",
            "PROVISIONING_SIGN": str(self.folder),
        }

    def files(self) -> List[str]:
        """All files in it."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.folder)) for path in paths)

    def __call__(self, *args: object, code: int = 0) -> Done:
        """Run the single file in it up to its end; the exit code must be `code`."""
        check_namespaces()
        mapped = [] if os.geteuid() == 0 else ["--map-root-user"]
        enter = ["unshare", "--mount", *mapped, "sh", "-c", _ENTER, "sh"]
        words = ["/bin/provctl", *map(str, args)]
        done = subprocess.run(
            [*enter, str(self.folder), *words],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        told = Done(" ".join(words), done.returncode, done.stdout, done.stderr)
        assert told.code == code, told
        return told

    def end(self) -> None:
        """Kill all that was started in it, until nothing is left."""

        def none_left() -> bool:
            left = processes_with(f"PROVISIONING_SIGN={self.folder}")
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        wait_until(none_left, "everything is killed")
