"""Small disks for tests: a tmpfs if it can be mounted, else a size limit."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Dict, Iterator, List

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SmallDisk", "small_disk"]

_SIZE = 512 * 1024


class SmallDisk:
    """A folder that can be filled and freed again.

    `how` are arguments for commands that must see the full disk. If nothing can be
    mounted, the kernel lets these commands write no byte into any file.
    """

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.mounted = mounted
        self.how: Dict[str, Any] = {}
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Fill the disk completely."""
        if not self.mounted:
            self.how = {"preexec_fn": _write_nothing}
            return
        with self._ballast.open("ab", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def fill_inodes(self, *, but: int = 0) -> None:
        """Leave room for so many more files; only for a mounted disk."""
        assert self.mounted
        files = self._ballast.with_suffix(".files")
        files.mkdir()
        made: List[Path] = []
        with suppress(OSError):
            while True:
                made.append(files / str(len(made)))
                made[-1].touch()
        for path in made[len(made) - 1 - but : -1]:
            path.unlink()

    def free(self) -> None:
        """Free the disk again."""
        self.how = {}
        if self.mounted:
            shutil.rmtree(str(self._ballast.with_suffix(".files")), ignore_errors=True)
            with suppress(FileNotFoundError):
                self._ballast.unlink()


@contextmanager
def small_disk(folder: Path, *, inodes: int = 0) -> Iterator[SmallDisk]:
    """Return a small disk at `folder` with at most so many files (0: any).

    It prints which kind it is.
    """
    folder.mkdir(mode=0o700)
    options = f"size={_SIZE},mode=0700,uid={os.geteuid()},nr_inodes={inodes}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command).returncode == 0
    if not mounted:
        print("no tmpfs may be mounted here: full disks are played by RLIMIT_FSIZE")  # noqa: T201
    try:
        yield SmallDisk(folder, mounted=mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _write_nothing() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
