"""Kills the processes that a dead shim left behind, found without the shim.

Finds processes in two ways. The first is the attempt's mark in the environment, which
`env -i` removes. The second is the attempt's log open for writing, until the process
closes it. Descendants of these processes are killed too. A process that only reads the
log is left alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, List, Mapping, Set

import psutil

from provctl.executors.protocol import CHECKPOINT, MARK

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef


_ROUNDS = 20  # limit for a process that forks faster than it is killed


def kill_leftovers(place: AttemptRef) -> int:
    """Kill everything that is found, until nothing is; return how many were killed."""
    killed: Set[psutil.Process] = set()
    for _ in range(_ROUNDS):
        found = [process for process in _find_processes(place) if process not in killed]
        if not found:
            break
        for process in found:
            try:
                process.kill()  # psutil checks the start time, so a reused pid is safe
            except psutil.Error:
                continue
            killed.add(process)
    return len(killed)


def _find_processes(place: AttemptRef) -> List[psutil.Process]:
    # Does not follow a link in place of the log itself: a process that writes to its
    # target is unrelated.
    log = os.path.realpath(str(place.folder)) + f"/{place.name}.log"
    found = [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _belongs(process, place, log)
    ]
    for process in list(found):
        try:
            found += process.children(recursive=True)
        except psutil.Error:
            continue
    return found


def _belongs(process: psutil.Process, place: AttemptRef, log: str) -> bool:
    try:
        environ = process.environ()
        if environ.get(MARK) == place.mark and not _is_of_a_copy(environ, place):
            return True
    except psutil.Error:
        return False  # gone, or of another user
    try:
        return any(_writes(file, log) for file in process.open_files())
    except psutil.Error:
        return False


def _is_of_a_copy(environ: Mapping[str, str], place: AttemptRef) -> bool:
    """Whether the process belongs to a copied state directory, by its environment."""
    checkpoint = environ.get(CHECKPOINT)
    return checkpoint is not None and os.path.realpath(checkpoint) != os.path.realpath(
        place.checkpoint
    )


def _writes(file: object, log: str) -> bool:
    mode = getattr(file, "mode", "r")  # only Linux reports how it was opened
    return getattr(file, "path", "") == log and mode != "r"
