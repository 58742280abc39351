"""Owns the journal's lines: an event to bytes and back, sealed and chained.

A line is one JSON object, readable with jq and Nushell:

    {"v":1,"seq":7,"dur":6,"type":"attempt_started","at":1763900000.125,
     "task":"server-1","attempt":1,"prev":"6001f309","crc":"d6e1dc96"}

`crc` is the seal of the line (see `journal.seal`), `prev` the CRC of the line before, so a removed, doubled or foreign line
shows. `seq` counts from 1. `dur` is the highest seq known to be on disk when
the line was written: it tells a torn tail from a damaged record.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, fields
from typing import Any, Dict, Tuple, Type

from provctl.core import events as ev
from provctl.fixed import fixed
from provctl.journal.seal import (
    FORMAT,
    LINE_MAX,
    NewerFormat,
    OtherRun,
    check_run,
    seal,
    unseal,
)

__all__ = [
    "FORMAT",
    "LINE_MAX",
    "START",
    "Line",
    "NewerFormat",
    "OtherRun",
    "as_record",
    "decode",
    "encode",
]

START = "00000000"  # `prev` of the first line


@fixed
class Line:
    """One verified line. `crc` is what the next line has as `prev`."""

    seq: int
    durable: int
    prev: str
    crc: str
    event: ev.Event


def _name_of(kind: type) -> str:
    """AttemptStarted -> attempt_started."""
    text = kind.__name__
    return "".join("_" + c.lower() if c.isupper() else c for c in text)[1:]


def _fields_of(kind: Type[Any]) -> Tuple[Tuple[str, Any], ...]:
    """(name, default) of each field that is written.

    The run is the folder's; the first line says which that is, so that a folder under
    another name is known for what it is.
    """
    return tuple(
        (f.name, _default_of(f))
        for f in fields(kind)
        if f.name != "run" or kind is ev.RunSubmitted
    )


def _default_of(field: Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is MISSING else made()


_KINDS: Dict[str, Type[Any]] = {
    _name_of(kind): kind
    for kind in ev.Event.__args__  # type: ignore[attr-defined]
}
_LAYOUT: Dict[type, Tuple[str, Tuple[Tuple[str, Any], ...]]] = {
    kind: (name, _fields_of(kind)) for name, kind in _KINDS.items()
}
_KNOWN = {
    name: frozenset(field for field, _ in _LAYOUT[kind][1] if field != "run")
    for name, kind in _KINDS.items()
}
_to_json = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=True, allow_nan=False
).encode


def encode(event: ev.Event, *, seq: int, durable: int, prev: str) -> Tuple[bytes, str]:
    """Return the line with its newline, and its CRC. Defaults are left out.

    Raises ValueError for what could not be read back: NaN, or too much of it.
    """
    record = {"v": FORMAT, "seq": seq, "dur": durable, **as_record(event)}
    record["prev"] = prev
    return seal(_to_json(record))


def as_record(event: ev.Event) -> Dict[str, Any]:
    """Return the type and the fields of an event, as its line has them."""
    name, layout = _LAYOUT[type(event)]
    record: Dict[str, Any] = {"type": name}
    for field, default in layout:
        value = getattr(event, field)
        if default is MISSING or value != default:
            record[field] = value
    return record


def decode(raw: bytes, run: str) -> Line:
    """Return the line that `raw` (without newline) is.

    Raises ValueError when it is not whole and sealed, of that OtherRun when it says
    that it is of another run, NewerFormat when a newer version wrote it.
    """
    record, crc = unseal(raw)
    check_run(record, run)
    name = str(record.get("type"))
    kind = _KINDS.get(name)
    if kind is None:
        message = f"unknown type of record {name}"
        raise NewerFormat(message)
    known = _KNOWN[name]
    values = {field: value for field, value in record.items() if field in known}
    try:
        event = kind(run=run, **values)
        return Line(int(record["seq"]), int(record["dur"]), record["prev"], crc, event)
    except (KeyError, TypeError) as problem:
        message = f"incomplete record: {problem}"
        raise ValueError(message) from None
