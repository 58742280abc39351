"""Owns the journal's lines: an event to bytes and back, sealed and chained.

A line is one JSON object, readable with jq and Nushell:

    {"v":1,"seq":7,"dur":6,"type":"attempt_started","at":1763900000.125,
     "task":"server-1","attempt":1,"prev":"6001f309","crc":"d6e1dc96"}

`crc` is CRC-32 of the raw bytes before `,"crc":"`, as 8 lower-case hex digits,
always the last 18 bytes, and compared as bytes (int() would accept "1_0").
`prev` is the CRC of the line before, so a removed, doubled or foreign line
shows. `seq` counts from 1. `dur` is the highest seq known to be on disk when
the line was written: it tells a torn tail from a damaged record.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from typing import Any, Dict, List, Optional, Tuple, Type
from zlib import crc32

from provctl.core import events as ev

__all__ = ["FORMAT", "LINE_MAX", "START", "Line", "NewerFormat", "decode", "encode"]

FORMAT = 1
LINE_MAX = 1 << 20  # bytes; larger lines are refused, not read
START = "00000000"  # `prev` of the first line
_TAIL = 18  # bytes of `,"crc":"d6e1dc96"}`, newline not counted
_OWN = frozenset({"v", "seq", "dur", "type", "prev", "crc"})


class NewerFormat(Exception):
    """The line was written by a newer version."""


@dataclass(frozen=True)
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
    """(name, default) of each field that is written; the run is the folder's."""
    return tuple((f.name, f.default) for f in fields(kind) if f.name != "run")


_KINDS: Dict[str, Type[Any]] = {
    _name_of(kind): kind
    for kind in ev.Event.__args__  # type: ignore[attr-defined]
}
_LAYOUT: Dict[type, Tuple[str, Tuple[Tuple[str, Any], ...]]] = {
    kind: (name, _fields_of(kind)) for name, kind in _KINDS.items()
}
_to_json = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=True, allow_nan=False
).encode


def encode(event: ev.Event, *, seq: int, durable: int, prev: str) -> Tuple[bytes, str]:
    """Return the line with its newline, and its CRC. Defaults are left out."""
    name, layout = _LAYOUT[type(event)]
    record: Dict[str, Any] = {"v": FORMAT, "seq": seq, "dur": durable, "type": name}
    for field, default in layout:
        value = getattr(event, field)
        if default is MISSING or value != default:
            record[field] = round(value, 6) if field == "at" else value
    record["prev"] = prev
    body = _to_json(record)[:-1].encode("ascii")
    crc = f"{crc32(body):08x}"
    return body + b',"crc":"' + crc.encode("ascii") + b'"}\n', crc


def decode(raw: bytes, run: str) -> Line:
    """Return the line that `raw` (without newline) is.

    Raises ValueError when it is not whole and sealed, NewerFormat when it is
    but a newer version wrote it.
    """
    if len(raw) > LINE_MAX or raw[-_TAIL:-10] != b',"crc":"' or raw[-2:] != b'"}':
        message = "not a sealed line"
        raise ValueError(message)
    body = raw[:-_TAIL]
    crc = f"{crc32(body):08x}"
    if raw[-10:-2] != crc.encode("ascii"):
        message = "checksum does not match"
        raise ValueError(message)
    try:
        record = json.loads(raw, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        message = "nested too deeply"
        raise ValueError(message) from None
    return _line_of(record, run, crc)


def _line_of(record: Dict[str, Any], run: str, crc: str) -> Line:
    version = record.get("v")
    if isinstance(version, int) and version > FORMAT:
        message = f"format {version}, this version knows up to {FORMAT}"
        raise NewerFormat(message)
    kind = _KINDS.get(record.get("type", ""))
    if kind is None:
        message = f"unknown type of record {record.get('type')!r}"
        raise NewerFormat(message)
    known = {name for name, _ in _LAYOUT[kind][1]}
    values = {name: value for name, value in record.items() if name in known}
    try:
        event = kind(run=run, **values)
        return Line(record["seq"], record["dur"], record["prev"], crc, event)
    except (KeyError, TypeError) as problem:
        message = f"incomplete record: {problem}"
        raise ValueError(message) from None


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        message = "a key stands twice"
        raise ValueError(message)
    return record


def _no_constant(text: str) -> Optional[float]:
    message = f"{text} is not JSON"
    raise ValueError(message)
