"""Disks that lose their power: ext4 on a loop device, shut down by an ioctl.

A shutdown without flushing its log keeps what was synced and loses the rest, as a disk
does when the machine is unplugged.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from functools import lru_cache
from typing import TYPE_CHECKING, List

import pytest

from tests.support.attempts import wait_until
from tests.support.tools import need

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PowerDisk", "need_power_disk"]

_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
_NO_LOG_FLUSH = struct.pack("I", 2)
_SIZE = 64 * 1024 * 1024
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
_ENVIRON = {**os.environ, "PATH": _PATH}


class PowerDisk:
    """A file system at `folder`, in the file `image`."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._image = image
        self._folder = folder
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(_SIZE)
        _do("mkfs.ext4", "-q", "-F", str(image))
        self.mount()
        folder.chmod(0o700)

    def mount(self) -> None:
        """Mount it; the kernel then replays its log.

        The usual commit every five seconds is turned off: what exists after a cut was
        synced by its writer.
        """
        _do("mount", "-o", "loop,commit=600", str(self._image), str(self._folder))

    def cut(self) -> None:
        """Cut the power: nothing is read or written any more; unsynced data is lost."""
        folder = os.open(str(self._folder), os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(folder)

    def unmount(self) -> None:
        """Unmount it; killed processes may need a moment to release it.

        Other mount namespaces, created while it was mounted, have it too: it is gone
        when its loop device is. Otherwise the next mount would be the disk after the
        cut.
        """

        def is_done() -> bool:
            asked = ["umount", str(self._folder)]
            return subprocess.run(asked, capture_output=True).returncode == 0

        wait_until(is_done, f"{self._folder} is unmounted")
        wait_until(lambda: not self._devices(), f"no device has {self._image}")

    def _devices(self) -> List[str]:
        asked = ["losetup", "--noheadings", "--associated", str(self._image)]
        told = subprocess.run(asked, check=True, stdout=subprocess.PIPE, env=_ENVIRON)
        return told.stdout.decode().splitlines()

    def remove(self) -> None:
        """Remove everything, whatever happened before."""
        subprocess.run(
            ["umount", "--lazy", str(self._folder)], capture_output=True, check=False
        )
        self._image.unlink()


@lru_cache(maxsize=None)
def _problem(folder: Path) -> str:
    if os.geteuid() != 0:
        return "only root may mount a disk to cut its power"
    try:
        disk = PowerDisk(folder / "probe.img", folder / "probe")
    except subprocess.CalledProcessError as error:
        return f"no ext4 may be mounted here: {error.stderr.decode().strip()}"
    try:
        disk.cut()
    except OSError as error:
        return f"ext4 cannot be shut down here: {error.strerror}"
    finally:
        disk.remove()
    return ""


def need_power_disk(folder: Path) -> None:
    """Skip the test if the power of a disk cannot be cut here."""
    need("mkfs.ext4")
    problem = _problem(folder)
    if problem:
        pytest.skip(problem)


def _do(*command: str) -> None:
    words: List[str] = list(command)
    subprocess.run(words, check=True, capture_output=True, env=_ENVIRON)
