"""The file from which `nu` reads a script, and locations in its errors.

A script begins there on the same line as in the workflow file, whose name is in a
comment above it. So line numbers in errors of Nushell are those of the workflow file,
and logs show its name.
"""

from __future__ import annotations

import os
import re
from typing import Dict, Match

from provctl.base.safe_open import reader

_NAME = "# The lines of this script are those of "
_NAME_MAX = 8192  # bytes
_FILE = re.compile(rb"\[(/[^\n]*/attempts/[0-9]+\.[0-9]+[up]?\.in)(?=:[0-9]+:[0-9]+\])")


def in_its_lines(text: str, file: str, line: int) -> str:
    """Return a script after as many lines as precede it in `file`.

    It is unchanged if `line` is 0 (unknown), or leaves no room for the name.
    """
    name = f"{_NAME}{file}"
    if line < 2 or not file.isprintable() or len(name.encode()) >= _NAME_MAX:
        return text
    blank = "\n" * (line - 1)
    return f"{name}{blank}{text}"


def with_origins(log: bytes) -> bytes:
    """Return a part of a log in which errors name workflow files, not ours.

    For a script without a known location it is "script" and its own line.
    """
    if b".in:" not in log:
        return log
    known: Dict[bytes, bytes] = {}

    def named(match: Match[bytes]) -> bytes:
        file = match[1]
        if file not in known:
            known[file] = _origin(file)
        return b"[" + known[file]

    return _FILE.sub(named, log)


def _origin(file: bytes) -> bytes:
    prefix = _NAME.encode()
    try:
        with reader(os.fsdecode(file)) as script:
            first = script.readline(_NAME_MAX)
    except OSError:
        return b"script"
    return first[len(prefix) :].rstrip() if first.startswith(prefix) else b"script"
