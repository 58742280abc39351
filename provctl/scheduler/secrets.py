"""Finding the value of a secret, at the moment a task needs it and not before.

Values go into the environment of the task and nowhere else; messages name where a
value should have been, never what was there.
"""

from __future__ import annotations

import os
from typing import Mapping

from provctl.errors import NotFound

_MAX = 64 * 1024  # bytes; Linux takes no more than 128 KiB in a variable


def find_secret(name: str, reference: str, environ: Mapping[str, str]) -> str:
    """Return the value behind "env:NAME" or "file:PATH".

    A file loses the newline at its end. Raises NotFound when there is no value, or
    none that an environment can hold.
    """
    kind, _, place = reference.partition(":")
    if kind == "env":
        return _check(name, f"the environment variable {place}", environ.get(place))
    try:
        # Opened non-blocking: a FIFO must not block the owner of the run.
        fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            content = file.read(_MAX + 1)
    except OSError as problem:
        message = f"secret {name}: {place}: {problem.strerror}"
        raise NotFound(
            message, hint="the file must be readable by the owner of the run"
        ) from problem
    text = (content or b"").decode("utf-8", "replace")
    return _check(name, place, text[:-1] if text.endswith("\n") else text)


def _check(name: str, where: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        message = f"secret {name}: {where} is not set in the process that owns the run"
        hint = (
            "the scheduler owns submitted runs: set it there, then restart the"
            " scheduler"
        )
        raise NotFound(message, hint=hint)
    # What is no UTF-8 could not be found again in logs and outputs.
    raw = value.encode(errors="replace")
    if {"\0", "\ufffd"} & {*value} or raw.decode() != value or len(raw) > _MAX:
        message = f"secret {name}: {where} must be UTF-8 text of at most 64 KiB"
        raise NotFound(message, hint="encode it, with base64 for example")
    return value
