"""Owns small disks for tests: a tmpfs where it may be mounted, else a size limit."""

from __future__ import annotations

import os
import resource
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Dict, Iterator

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SmallDisk", "small_disk"]

_SIZE = 512 * 1024


class SmallDisk:
    """A folder that can be filled and freed again.

    `how` are arguments for commands that are to meet the full disk: where nothing
    may be mounted, the kernel is told to let them write no byte into any file.
    """

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.mounted = mounted
        self.how: Dict[str, Any] = {}
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no room for a byte."""
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

    def free(self) -> None:
        """Make room again."""
        self.how = {}
        if self.mounted:
            self._ballast.unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """A small disk at `folder`; it says which kind it is."""
    folder.mkdir(mode=0o700)
    options = f"size={_SIZE},mode=0700,uid={os.geteuid()}"
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
