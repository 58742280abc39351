"""The access token of the API: created once, private, and compared."""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
from typing import TYPE_CHECKING

from provctl.base.safe_open import open_own, reader
from provctl.errors import StateDirError

if TYPE_CHECKING:
    from pathlib import Path


_BYTES = 32
_LOOK = re.compile(rb"[0-9a-f]{64}\n?")


def load_or_create_token(path: Path) -> str:
    """Return the token in a file, created if there is none: 64 hex digits.

    Raises StateDirError if the file is not our own or contains no token.
    """
    try:
        return _create(path)
    except FileExistsError:
        return _read(path)
    except OSError as problem:
        raise _unusable(path, problem) from problem


def _create(path: Path) -> str:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    token = secrets.token_hex(_BYTES)
    try:
        # First under another name, so that nobody reads half a token after a kill.
        with os.fdopen(open_own(draft, flags), "wb") as file:
            file.write(token.encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(str(draft), str(path))
    finally:
        if draft.exists():
            draft.unlink()
    return token


def _read(path: Path) -> str:
    try:
        with reader(path) as file:
            info = os.fstat(file.fileno())
            content = file.read(100)
    except OSError as problem:
        raise _unusable(path, problem) from problem
    hint = f"remove {path}: the scheduler creates a new one when it starts"
    if stat.S_IMODE(info.st_mode) & 0o077:
        message = f"{path}: other users can read it"
        raise StateDirError(message, hint=hint)
    if not _LOOK.fullmatch(content):
        message = f"{path}: it does not contain a token"
        raise StateDirError(message, hint=hint)
    return content.decode("ascii").strip()


def _unusable(path: Path, problem: OSError) -> StateDirError:
    message = f"{path}: {problem.strerror}"
    return StateDirError(message, hint="it must be a regular file with mode 0600")


def matches(header: bytes, token: str) -> bool:
    """Whether an Authorization header has the token; constant time for others."""
    scheme, _, given = header.partition(b" ")
    is_bearer = scheme.lower() == b"bearer"
    return hmac.compare_digest(given.strip(), token.encode("ascii")) and is_bearer
