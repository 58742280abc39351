"""Strict JSON: text that two readers could understand differently is refused."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Dict, List, Tuple

from provctl.base.text import NotText, decode

_DEPTH_MAX = 64
_DIGITS_MAX = 400
# It may contain half a character; two adjacent halves are one.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def read_strictly(body: bytes) -> Any:
    """Return the value in a body.

    Raises ValueError with a message for anything that is not exactly one JSON value in
    UTF-8: repeated keys, NaN, halves of characters, endless numbers, and values nested
    more than 64 deep.
    """
    try:
        text = decode(body)
        value = _decode(text)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (UnicodeError, NotText):
        message = "the body is not UTF-8 text"
        raise ValueError(message) from None
    except RecursionError:
        raise _too_deep() from None
    if text.count("[") + text.count("{") > _DEPTH_MAX:
        _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _DEPTH_MAX:
            raise _too_deep()
        level = [
            part
            for node in level
            if isinstance(node, (dict, list))
            for part in (node.values() if isinstance(node, dict) else node)
            if isinstance(part, (dict, list))
        ]


def _too_deep() -> ValueError:
    return ValueError(f"the body is nested more than {_DEPTH_MAX} levels deep")


def _record(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        message = "the body contains a duplicate key"
        raise ValueError(message)
    return record


def _constant(name: str) -> Any:
    message = f"{name} is not valid JSON"
    raise ValueError(message)


def _parse_int(text: str) -> int:
    if len(text) > _DIGITS_MAX:
        message = f"a number in the body has more than {_DIGITS_MAX} digits"
        raise ValueError(message)
    return int(text)


def _real(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        message = "a number in the body is too large"
        raise ValueError(message)
    return number


_decode = json.JSONDecoder(
    object_pairs_hook=_record,
    parse_constant=_constant,
    parse_int=_parse_int,
    parse_float=_real,
).decode
