"""A disk on which each sync takes 2 ms longer, as a library to preload."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SYNC_S", "preload"]

SYNC_S = 0.002
_SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int slow(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    usleep(%d);
    return real(fd);
}
int fsync(int fd) { return slow("fsync", fd); }
int fdatasync(int fd) { return slow("fdatasync", fd); }
"""


def preload(folder: Path) -> str:
    """Build the library with `cc` and return its path. Raises CalledProcessError."""
    source, library = folder / "slow_disk.c", folder / "slow_disk.so"
    source.write_text(_SOURCE % round(SYNC_S * 1e6), encoding="utf-8")
    build = ["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(build, check=True)
    return str(library)
