"""Grants: which node may start an attempt, decided once and durable before it is sent.

A grant is a symbolic link `N.K.grant` beside the evidence of the attempt, in the run's
folder on the owner's machine. Its target is not a file but the text of the grant. A
link has its content from the moment it exists, the kernel refuses a second link with
the same name, and one sync of the folder makes any number of links durable.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterable, Optional
from zlib import crc32

from provctl.base.safe_open import open_own, read_own
from provctl.core.model.workflow import ANYWHERE, Placement
from provctl.errors import JournalDamaged

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.executors.protocol import AttemptRef

SUFFIX = "grant"

_FORMAT = "1"
_WORD = re.compile(r"[A-Za-z0-9._-]{1,100}")
# Set in tests: grants have no effect, to show what they are good for.
_NO_GRANT = bool(os.environ.get("PROVCTL_FAILPOINT_NO_GRANT"))


class GrantExists(Exception):
    """The attempt was granted before, so it must never be sent again."""


@dataclass(frozen=True)
class Grant:
    """The right of one node to start one attempt.

    `boot` is the boot id of the node, `root` the id of the folder in which it keeps
    evidence. `epoch` counts the owners of the run. With `follows`, the log is mirrored
    while it grows. Without, it is mirrored after the end, because it may contain
    secrets. `takes` are the resources of the node that the attempt reserves.
    """

    node: str
    boot: str
    root: str
    epoch: int
    follows: bool = True
    takes: Placement = ANYWHERE

    @property
    def text(self) -> str:
        """The text that the link points to."""
        how = "follow" if self.follows else "end"
        takes = f"{self.takes.cpus:g},{self.takes.memory},{self.takes.gpus}"
        words = (_FORMAT, self.node, self.boot, self.root, str(self.epoch), how, takes)
        body = ":".join(words)
        return f"{body}:{crc32(body.encode()):08x}"


def is_word(text: object) -> bool:
    """Whether a value can be part of a grant: a name, a boot id, a root id."""
    return isinstance(text, str) and _WORD.fullmatch(text) is not None


def write_grant(place: AttemptRef, grant: Grant) -> None:
    """Grant an attempt; durable after `sync_folders`. Raises GrantExists, OSError."""
    path = place.file(SUFFIX)
    if _NO_GRANT:
        with suppress(FileNotFoundError):
            path.unlink()
    try:
        path.symlink_to(grant.text)
    except FileExistsError:
        raise GrantExists from None


def sync_folders(folders: Iterable[Path]) -> None:
    """Make new files in folders durable, one sync per folder. Raises OSError."""
    for folder in folders:
        fd = os.open(str(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def read_grant(place: AttemptRef) -> Optional[Grant]:
    """Return the grant of an attempt; None if there is none. Raises JournalDamaged."""
    path = place.file(SUFFIX)
    try:
        text = os.readlink(str(path))
    except FileNotFoundError:
        return None
    except OSError as problem:
        message = f"{path}: {problem.strerror}"
        raise JournalDamaged(message, hint="nothing was changed") from problem
    body, _, seal = text.rpartition(":")
    words = body.split(":")
    whole = seal == f"{crc32(body.encode(errors='replace')):08x}"
    try:
        _, node, boot, root, epoch, how, takes = words if whole else []
        cpus, memory, gpus = takes.split(",")
        room = Placement(cpus=float(cpus), memory=int(memory), gpus=int(gpus))
        return Grant(node, boot, root, int(epoch), how == "follow", room)
    except ValueError:
        message = f"{path}: this is no grant of this version"
        raise JournalDamaged(message, hint="nothing was changed") from None


def is_granted(place: AttemptRef) -> bool:
    """Whether an attempt was granted to a node, even if the grant is unreadable."""
    return os.path.lexists(place.file(SUFFIX))


def next_epoch(folder: Path) -> int:
    """Return the epoch of a new owner of the run with this folder, and store it.

    Only the owner of the run may call this. Raises OSError.
    """
    path = folder / "epoch"
    try:
        before = int(read_own(path))
    except (FileNotFoundError, ValueError):
        before = 0
    draft = folder / "epoch.new"
    fd = open_own(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(fd, b"%d\n" % (before + 1))
        os.fsync(fd)
    finally:
        os.close(fd)
    draft.replace(path)
    sync_folders([folder])
    return before + 1
