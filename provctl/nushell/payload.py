"""Owns values on their way to Nushell: what JSON it reads without changing a value.

Nushell's `from json` is lenient where it should not be (`NaN` becomes text,
2^63 a rounded float, a very deep list a crash), so values are checked here.
"""

from __future__ import annotations

import json
import math
from typing import Any, Iterable, Tuple

from provctl.errors import UsageProblem

__all__ = ["MAX_DEPTH", "check_text", "encode_payload"]

MAX_DEPTH = 200  # lists and records inside one another
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


def encode_payload(value: Any) -> str:
    """Return `value` as JSON in ASCII.

    Raises UsageProblem, with the place of the value, for what Nushell would
    change or refuse: not-a-number, integers beyond 64 bit, text that is not
    Unicode, anything nested deeper than `MAX_DEPTH` or that is not JSON.
    """
    pending = [(value, "", 0)]
    while pending:
        item, place, depth = pending.pop()
        children = [(child, f"{place}.{name}") for name, child in _inside(item, place)]
        if children and depth == MAX_DEPTH:
            raise _refused(place, f"it is nested deeper than {MAX_DEPTH} levels")
        pending.extend((child, where, depth + 1) for child, where in children)
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def check_text(text: str, place: str) -> None:
    """Raise UsageProblem if `text` has halves of surrogate pairs: it is not Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused(place, "it is not valid Unicode") from None


def _inside(item: Any, place: str) -> Iterable[Tuple[Any, Any]]:
    """Check one value; return the named values inside it."""
    if isinstance(item, dict):
        for name in item:
            if not isinstance(name, str):
                raise _refused(place, f"its field {name!r} is not named by text")
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
        raise _refused(place, f"{item} is not a number in JSON")
    elif isinstance(item, int) and not _INT_MIN <= item <= _INT_MAX:
        raise _refused(place, "the number does not fit into 64 bits")
    elif not isinstance(item, (int, float, type(None))):
        raise _refused(place, f"{type(item).__name__} is not JSON")


def _refused(place: str, why: str) -> UsageProblem:
    where = place.lstrip(".") or "the value"
    return UsageProblem(f"{where} cannot be given to Nushell: {why}")
