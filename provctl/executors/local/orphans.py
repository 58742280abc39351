"""Killing what a dead shim left behind, found without a parent to ask.

Two nets: the attempt's mark in the environment, which is lost with `env -i`, and
the attempt's log open for writing, which is lost when it is closed; and whatever is
below what they catch. Who merely reads the log is left alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, List, Mapping, Set

import psutil

from provctl.executors.protocol import CHECKPOINT, MARK

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef


_ROUNDS = 20  # one that forks faster than it is killed must not keep us for ever


def kill_leftovers(place: AttemptRef) -> int:
    """Kill all that is found, until nothing is; return how many there were."""
    killed: Set[psutil.Process] = set()
    for _ in range(_ROUNDS):
        found = [process for process in _find_processes(place) if process not in killed]
        if not found:
            break
        for process in found:
            try:
                process.kill()  # psutil checks the start time: no stranger is hit
            except psutil.Error:
                continue
            killed.add(process)
    return len(killed)


def _find_processes(place: AttemptRef) -> List[psutil.Process]:
    # Of the log itself no link is followed: who writes to what it leads to is a
    # stranger.
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
        return False  # gone, or somebody else's
    try:
        return any(_writes(file, log) for file in process.open_files())
    except psutil.Error:
        return False


def _is_of_a_copy(environ: Mapping[str, str], place: AttemptRef) -> bool:
    """Whether a process says that its files are elsewhere: in a copied state directory."""
    checkpoint = environ.get(CHECKPOINT)
    return checkpoint is not None and os.path.realpath(checkpoint) != os.path.realpath(
        place.checkpoint
    )


def _writes(file: object, log: str) -> bool:
    mode = getattr(file, "mode", "r")  # Linux alone says how it was opened
    return getattr(file, "path", "") == log and mode != "r"
