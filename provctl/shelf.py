"""Owns a file of cached records: lines by name, believed only when whole.

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

__all__ = ["read_shelf", "write_shelf"]


def read_shelf(path: Path, head: Optional[str]) -> Dict[str, str]:
    """Return the records at `path` by name.

    None if there are none, if they are damaged, or if their head is another one;
    with None for `head` any will do.
    """
    try:
        checksum, _, content = path.read_bytes().partition(b"\n")
        if int(checksum, 16) != crc32(content):
            return {}
    except (OSError, ValueError):
        return {}
    first, *lines = content.decode("ascii").splitlines()
    return dict(line.split("\t", 1) for line in lines) if head in (None, first) else {}


def write_shelf(path: Path, head: str, records: Mapping[str, str]) -> None:
    """Put records, ASCII without line ends, in place of those at `path`.

    Only its owner can read it. Where it cannot be written nothing is: without a
    cache everything works, only slower.
    """
    lines = (f"{name}\t{record}" for name, record in records.items())
    content = "\n".join([head, *lines]).encode("ascii")
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(aside, flags, 0o600), "wb") as file:
            file.write(b"%08x\n" % crc32(content) + content)
        aside.replace(path)
