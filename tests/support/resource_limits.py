"""Shortages of a machine, for tests: descriptors, threads."""

from __future__ import annotations

import os
import resource
import threading
from contextlib import contextmanager, suppress
from typing import Iterator

__all__ = ["no_descriptor_free", "no_thread_free"]


@contextmanager
def no_descriptor_free(*, but: int = 0) -> Iterator[None]:
    """This process can open no file, or only so many at a time."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(but + 1)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, before[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(but):
            os.close(taken.pop())
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def no_thread_free() -> Iterator[None]:
    """This process can start no thread: there is no memory for its stack."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)
