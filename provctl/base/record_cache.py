"""A file of cached records: lines by name, believed only when whole.

1a2b3c4d                    checksum of all that follows
<head>                      what the records were made with
<name> <tab> <record>       one line each, decoded only when asked for
"""

from __future__ import annotations

import os
from binascii import crc32
from contextlib import suppress
from typing import TYPE_CHECKING, Dict, Mapping, Optional

if TYPE_CHECKING:
    from pathlib import Path


def cache_path(folder: Path, about: Path) -> Path:
    """Return the file in `folder` for the records about `about`."""
    return folder / f"{crc32(os.fsencode(about)):08x}"


def read_cache(path: Path, head: Optional[str]) -> Dict[str, str]:
    """Return the records at `path` by name.

    None if the file is missing, damaged or owned by another user, or if its head
    differs from `head`; with None for `head` any head is accepted.
    """
    try:
        # Others may be able to write to the folder: follow no link, wait for no FIFO.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            if os.fstat(fd).st_uid != os.geteuid():
                return {}
            checksum, _, content = file.read().partition(b"\n")
        if int(checksum, 16) != crc32(content):
            return {}
        first, *lines = content.decode("ascii").splitlines()
        found = dict(line.split("\t", 1) for line in lines)
    except (OSError, ValueError):
        return {}
    return found if head in (None, first) else {}


def write_cache(path: Path, head: str, records: Mapping[str, str]) -> None:
    """Replace the records at `path`; those that are no ASCII line are left out.

    Only its owner can read it. If it cannot be written, nothing happens: without a
    cache everything works, only slower.
    """
    lines = [f"{name}\t{record}" for name, record in records.items()]
    lines = [line for line in lines if line.isascii() and line.splitlines() == [line]]
    content = "\n".join([head, *lines]).encode("ascii")
    aside = path.with_name(f"{path.name}.{os.urandom(8).hex()}")
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Never into an existing file or the target of a link.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        fd = os.open(aside, flags, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(b"%08x\n" % crc32(content) + content)
            aside.replace(path)
        except OSError:
            aside.unlink()
