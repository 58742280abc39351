"""Checked names and generated literals for Nushell source.

Everything else a workflow contains is data and travels as JSON.
"""

from __future__ import annotations

import json
import math
import os.path
import re
from pathlib import PurePosixPath
from typing import Any, Iterable, Tuple

from provctl.core.model.nushell_names import is_command, is_flag, is_module
from provctl.errors import UsageError

_CONTROL = r"[\x00-\x1f\x7f-\x9f]"


def check_command(name: str) -> str:
    """Return `name` if it can name a command: "list" or "server list".

    Raises UsageError otherwise.
    """
    if is_command(name):
        return name
    message = f"{name!r} is not a valid name of a Nushell command"
    raise UsageError(
        message, hint="use letters, digits, - and _, for example create-server"
    )


def check_flag(name: str) -> str:
    """Return `name` if it can name a flag, without its dashes.

    Raises UsageError otherwise.
    """
    if is_flag(name):
        return name
    message = f"{name!r} is not a valid name of a flag"
    raise UsageError(
        message, hint="use the long name without dashes, for example zone for --zone"
    )


def module_path(library: str, module: str) -> str:
    """Return the absolute path of `module`, which must be below `library`.

    Raises UsageError for an empty or absolute path, or one with "..".
    """
    if not is_module(module):
        message = f"{module!r} is not a path below the Nushell library"
        raise UsageError(
            message, hint="use a path below the library, for example servers/create.nu"
        )
    parts = PurePosixPath(module).parts
    return os.path.join(os.path.abspath(library), *parts)  # noqa: PTH100, PTH118


def main_name(module: str) -> str:
    """Return Nushell's name of the command "main" of a module.

    Raises UsageError for a name that Nushell would read as something else.
    """
    name = PurePosixPath(module).stem
    check_command(name.replace(".", "-"))
    return name


def nu_literal(text: str) -> str:
    """Return `text` as a double-quoted Nushell string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        escaped = re.sub(_CONTROL, lambda c: f"\\u{{{ord(c.group()):x}}}", escaped)
    return f'"{escaped}"'


MAX_DEPTH = 200  # lists and records inside one another
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


def encode_payload(value: Any) -> str:
    """Return `value` as JSON in ASCII.

    Raises UsageError, with the place of the value, for what Nushell would
    change or refuse: not-a-number, integers beyond 64 bit, text that is not
    Unicode, anything nested deeper than `MAX_DEPTH` or that is not JSON.
    """
    pending = [(value, "", 0)]
    while pending:
        item, place, depth = pending.pop()
        children = [(child, f"{place}.{name}") for name, child in _inside(item, place)]
        if children and depth == MAX_DEPTH:
            raise _quoting_error(place, f"it is nested deeper than {MAX_DEPTH} levels")
        pending.extend((child, where, depth + 1) for child, where in children)
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def check_text(text: str, place: str) -> None:
    """Raise UsageError if `text` has halves of surrogate pairs: it is not Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _quoting_error(place, "it is not valid Unicode") from None


def _inside(item: Any, place: str) -> Iterable[Tuple[Any, Any]]:
    """Check one value; return the named values inside it."""
    if isinstance(item, dict):
        for name in item:
            if not isinstance(name, str):
                raise _quoting_error(
                    place, f"the name of its field {name!r} is not text"
                )
            check_text(name, place)
        return item.items()
    if isinstance(item, (list, tuple)):
        return enumerate(item)
    _check_single(item, place)
    return ()


def _check_single(item: Any, place: str) -> None:
    if isinstance(item, str):
        check_text(item, place)
    elif isinstance(item, float) and not math.isfinite(item):
        raise _quoting_error(place, f"{item} is not a valid JSON number")
    elif isinstance(item, int) and not _INT_MIN <= item <= _INT_MAX:
        raise _quoting_error(place, "the number is larger than 64 bits")
    elif not isinstance(item, (int, float, type(None))):
        raise _quoting_error(place, f"{type(item).__name__} is not a JSON type")


def _quoting_error(place: str, why: str) -> UsageError:
    where = place.lstrip(".") or "the value"
    return UsageError(f"{where} cannot be passed to Nushell: {why}")
