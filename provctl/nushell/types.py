"""Nushell's types: which values fit, and how they are converted.

JSON has no durations, sizes or dates. They travel as text, and the driver converts them
with a fixed table. Types of a signature are checked here, before anything runs; Nushell
checks them again.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Callable, List, Mapping, Optional, Tuple

# The only Nushell source that a type may add to a call.
_CONVERTERS = {
    "binary": "into binary",
    "cell-path": "into cell-path",
    "datetime": "into datetime",
    "duration": "into duration",
    "filesize": "into filesize",
    "glob": "into glob",
    "range": "from nuon",
}
_EXPECTED = {
    "bool": "true or false",
    "binary": "text",
    "block": "a closure, which can only be given in Nushell",
    "closure": "a closure, which can only be given in Nushell",
    "cell-path": 'a cell path, such as "net.0.ip"',
    "datetime": 'a date, such as "2026-01-31" or "2026-01-31T12:00:00Z"',
    "duration": 'a duration, such as "90sec" or "1hr 30min"',
    "filesize": 'a file size, such as "2GB" or "512MiB"',
    "float": "a number",
    "int": "a whole number of 64 bits",
    "nothing": "null",
    "number": "a number",
    "range": 'a range, such as "1..10"',
    "record": "a record, in JSON",
    "table": "a list of records, in JSON",
}
_TEXTS = frozenset({"string", "path", "directory", "glob", "binary"})
_AS_TEXT = frozenset({"cell-path", "datetime", "duration", "filesize", "range"})
_UNITS = {"s": "sec", "m": "min", "h": "hr", "d": "day", "w": "wk", "µs": "us"}
# Compiled when first used, because most commands use none of them.
_PART = (
    r"(?a)(-?\d+(?:\.\d+)?)\s*(ns|us|µs|ms|sec|s|min|m|hr|h|day|d|wk|w)(?![a-zµ])\s*"
)
_RUN_TOGETHER = r"(?<=[a-zµ])(?=\d)"
_SIZE = r"(?ai)\d+(\.\d+)?\s*([kmgtpe]i?b?|b)?"
_DATE = r"(?a)\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?)?"
_RANGE = r"(?a)-?\d+\.\.(-?\d+\.\.)?[<=]?(-?\d+)?"
_INT = r"[+-]?[0-9][0-9_]*"


def validate(kind: str, value: Any) -> Any:
    """Return a JSON value as a parameter of the type `kind` gets it.

    Raises ValueError if it does not fit; no value fits a type of code.
    """
    name, inner = _split(kind)
    if name in _TEXTS:
        return _must(isinstance(value, str), value)
    if name == "list":
        _must(isinstance(value, list), value)
        return [validate(inner, item) for item in value] if inner else value
    if name in ("record", "table"):
        return _accept_records(name, inner, value)
    if name == "oneof":
        return _accept_one_of(inner, value)
    check = _CHECKS.get(name)
    return value if check is None else check(value)


def parse(kind: str, text: str) -> Any:
    """Convert a command-line argument to a value of a type.

    Lists, records and tables are JSON. Raises like `accept`.
    """
    name, _ = _split(kind)
    if name in _TEXTS or name in _AS_TEXT:
        return validate(kind, text)
    if name == "bool":
        return _must(text in ("true", "false"), text) == "true"
    if name == "int":
        return validate(kind, int(_must(re.fullmatch(_INT, text) is not None, text)))
    if name in ("float", "number", "list", "record", "table", "nothing"):
        return validate(kind, json.loads(text))
    value = _infer_value(text)
    try:
        return validate(kind, value)
    except ValueError:
        return validate(kind, text)


def item_type(kind: str) -> Optional[str]:
    """Return the type of the items of a list type ("any" by default), else None."""
    name, inner = _split(kind)
    return (inner or "any") if name == "list" else None


def expected(kind: str) -> str:
    """Return a description of what fits a type."""
    name, _ = _split(kind)
    if name in _EXPECTED:
        return _EXPECTED[name]
    return "text" if name in _TEXTS else f"a value of the type {kind}"


def conversion_code(kind: str) -> Optional[str]:
    """Return the Nushell code that converts arriving JSON to a type.

    None: no conversion. The result is a constant for each type, never built from one.
    """
    name, inner = _split(kind)
    if name == "list" and inner in _CONVERTERS:
        return f"each {{|item| $item | {_CONVERTERS[inner]} }}"
    return _CONVERTERS.get(name)


def _split(kind: str) -> Tuple[str, str]:
    """Return "list" and "string" of "list<string>"."""
    name, _, inner = kind.partition("<")
    return name.partition("(")[0], inner[:-1]


def _must(fits: bool, value: Any) -> Any:
    if not fits:
        raise ValueError(value)
    return value


def _accept_records(name: str, inner: str, value: Any) -> Any:
    if name == "table":
        return [
            _accept_records("record", inner, item)
            for item in _must(isinstance(value, list), value)
        ]
    _must(isinstance(value, dict), value)
    types = dict(_fields(inner))
    _must(all(field in value for field in types), value)
    return {
        field: validate(types[field], item) if field in types else item
        for field, item in value.items()
    }


def _accept_one_of(inner: str, value: Any) -> Any:
    for kind in _parts(inner):
        try:
            return validate(kind, value)
        except ValueError:
            continue
    raise ValueError(value)


def _fields(inner: str) -> List[Tuple[str, str]]:
    """Return the fields and types of "a: int, b: record<c: string>"."""
    pairs = (part.partition(":") for part in _parts(inner))
    return [
        (name.strip().strip("\"'`"), kind.strip() or "any") for name, _, kind in pairs
    ]


def _parts(inner: str) -> List[str]:
    """Return the parts between the outermost commas."""
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(inner):
        depth += (sign == "<") - (sign == ">")
        if sign == "," and depth == 0:
            parts.append(inner[start:at].strip())
            start = at + 1
    last = inner[start:].strip()
    return [*parts, last] if last else parts


def _infer_value(text: str) -> Any:
    """Return the value that Nushell infers for a bare word of type any."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    fits = not isinstance(value, float) or math.isfinite(value)
    return value if fits else text


def _int(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return _must(whole and -(2**63) <= value < 2**63, value)


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return _must(math.isfinite(value), value)
    return _int(value)


def _duration(value: Any) -> str:
    spaced = re.sub(_RUN_TOGETHER, " ", _must(isinstance(value, str), value).strip())
    _must(re.match(_PART, spaced) is not None and not re.sub(_PART, "", spaced), value)
    return " ".join(
        number + _UNITS.get(unit, unit) for number, unit in re.findall(_PART, spaced)
    )


def _filesize(value: Any) -> Any:
    if isinstance(value, str):
        return _must(re.fullmatch(_SIZE, value) is not None, value)
    return _int(value)


def _cell_path(value: Any) -> Any:
    if isinstance(value, str):
        steps = _must(bool(value), value).lstrip("$").strip(".").split(".")
        return [int(step) if step.isdigit() else step for step in steps]
    _must(isinstance(value, list) and bool(value), value)
    return [_must(isinstance(step, (str, int)), step) for step in value]


def _matching(pattern: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        return _must(
            isinstance(value, str) and bool(re.fullmatch(pattern, value)), value
        )

    return check


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "bool": lambda value: _must(isinstance(value, bool), value),
    "block": lambda value: _must(fits=False, value=value),
    "cell-path": _cell_path,
    "closure": lambda value: _must(fits=False, value=value),
    "datetime": _matching(_DATE),
    "duration": _duration,
    "filesize": _filesize,
    "float": lambda value: float(_number(value)),
    "int": _int,
    "nothing": lambda value: _must(value is None, value),
    "number": _number,
    "range": _matching(_RANGE),
}
