"""The journal's lines: encodes and decodes events, with seal and chain.

A line is one JSON object, readable with jq and Nushell:

    {"v":1,"seq":7,"dur":6,"type":"attempt_started","at":1763900000.125,
     "task":"server-1","attempt":1,"prev":"6001f309","crc":"d6e1dc96"}

`crc` is the seal of the line (see `storage.journal.codec`). `prev` is the CRC of the
previous line, so a removed, duplicated or foreign line is detected. `seq` counts from
1. `dur` is the highest seq known to be on disk when the line was written: it
distinguishes a torn tail from a damaged record.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, fields
from operator import attrgetter
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Type
from zlib import crc32

from provctl.base.light_dataclass import light_dataclass
from provctl.core.engine import events as ev
from provctl.core.model.attempt_result import NO_RESULT, RESULT_FIELDS, AttemptResult

START = "00000000"  # `prev` of the first line


@light_dataclass
class JournalRecord:
    """One verified line. The next line has its `crc` as `prev`."""

    seq: int
    durable: int
    prev: str
    crc: str
    event: ev.Event


# The format has its own names, so that a class can be renamed.
_NAMES = {
    ev.OwnershipTaken: "owner_took",
    ev.AttemptDiscarded: "attempt_voided",
    ev.AttemptSuspended: "attempt_frozen",
    ev.AttemptResumed: "attempt_thawed",
}


def _name_of(kind: Type[Any]) -> str:
    """Return the snake case of a class name: AttemptStarted -> attempt_started."""
    if kind in _NAMES:
        return _NAMES[kind]
    text = kind.__name__
    return "".join("_" + c.lower() if c.isupper() else c for c in text)[1:]


def _fields_of(kind: Type[Any]) -> Tuple[_Field, ...]:
    """Return the fields of an event that are written.

    The run is not written, because the folder identifies it. Only the first line names
    it, so that a renamed folder is detected. The fields of a result are written beside
    the others.
    """
    found = [
        (f.name, _default_of(f), attrgetter(f.name))
        for f in fields(kind)
        if f.name != "result" and (f.name != "run" or kind is ev.RunSubmitted)
    ]
    if kind is ev.AttemptFinished:
        found += [
            (name, getattr(NO_RESULT, name), attrgetter(f"result.{name}"))
            for name in RESULT_FIELDS
        ]
        found.sort(key=lambda each: (*_AS_EVER, each[0]).index(each[0]))
    return tuple(found)


# Each field that is written: its name, its default, and the function that reads it from
# an event.
_Field = Tuple[str, Any, Callable[[Any], Any]]

# Fields of `attempt_finished` in the order of the first version; later fields follow.
_AS_EVER = (
    *("at", "task", "attempt", "outcome", "exit_code", "signal", "reason"),
    *("started_at", "finished_at", "cpu_s", "max_rss_bytes", "survivors", "output"),
    *("retry_at", "log_dropped_bytes", "stuck", "ran"),
)


def _default_of(field: Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is MISSING else made()


_KINDS: Dict[str, Type[Any]] = {
    _name_of(kind): kind
    for kind in ev.Event.__args__  # type: ignore[attr-defined]
}
_LAYOUT: Dict[type, Tuple[str, Tuple[_Field, ...]]] = {
    kind: (name, _fields_of(kind)) for name, kind in _KINDS.items()
}
_KNOWN = {
    name: frozenset(field for field, *_ in _LAYOUT[kind][1] if field != "run")
    for name, kind in _KINDS.items()
}
_to_json = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=True, allow_nan=False
).encode


def encode(event: ev.Event, *, seq: int, durable: int, prev: str) -> Tuple[bytes, str]:
    """Return the line with its newline, and its CRC. Defaults are left out.

    Raises ValueError for an event that could not be read back: one with NaN, or too
    large.
    """
    record = {"v": FORMAT, "seq": seq, "dur": durable, **as_record(event)}
    record["prev"] = prev
    return seal(_to_json(record))


def as_record(event: ev.Event) -> Dict[str, Any]:
    """Return the type and the fields of an event, as in its line."""
    name, layout = _LAYOUT[type(event)]
    record: Dict[str, Any] = {"type": name}
    for field, default, read in layout:
        value = read(event)
        if default is MISSING or value != default:
            record[field] = value
    return record


def decode(raw: bytes, run: str) -> JournalRecord:
    """Return the record in `raw`, a line without newline.

    Raises ValueError when the line is not complete and sealed, its subclass OtherRun
    when the line names another run, and NewerFormat when a newer version wrote it.
    """
    record, crc = unseal(raw)
    check_run(record, run)
    name = str(record.get("type"))
    kind = _KINDS.get(name)
    if kind is None:
        message = f"unknown record type {name}"
        raise NewerFormat(message)
    known = _KNOWN[name]
    values = {field: value for field, value in record.items() if field in known}
    if kind is ev.AttemptFinished:
        measured = {name: values.pop(name) for name in RESULT_FIELDS if name in values}
        values["result"] = AttemptResult(**measured)
    try:
        event = kind(run=run, **values)
        return JournalRecord(
            int(record["seq"]), int(record["dur"]), record["prev"], crc, event
        )
    except (KeyError, TypeError) as problem:
        message = f"incomplete record: {problem}"
        raise ValueError(message) from None


FORMAT = 1
LINE_MAX = 1 << 20  # bytes; larger lines are neither written nor read
_TAIL = 18  # bytes of `,"crc":"d6e1dc96"}`, without newline


class NewerFormat(Exception):
    """The line was written by a newer version."""


class OtherRun(ValueError):
    """The line names another run."""


def seal(record: str, *, most: int = LINE_MAX) -> Tuple[bytes, str]:
    """Return the line, with newline, for a record in ASCII, and its CRC.

    Raises ValueError if the line would be too large to read.
    """
    body = record[:-1].encode("ascii")
    crc = f"{crc32(body):08x}"
    line = body + b',"crc":"' + crc.encode("ascii") + b'"}\n'
    if len(line) > most:
        message = f"a record of {len(line)} bytes is too large"
        raise ValueError(message)
    return line, crc


def check_seal(raw: bytes, *, most: int = LINE_MAX) -> str:
    """Return the CRC of a line without newline. Raises ValueError if it is partial."""
    if len(raw) >= most or raw[-_TAIL:-10] != b',"crc":"' or raw[-2:] != b'"}':
        message = "not a complete record"
        raise ValueError(message)
    crc = f"{crc32(raw[:-_TAIL]):08x}"
    if raw[-10:-2] != crc.encode("ascii"):
        message = "checksum does not match"
        raise ValueError(message)
    return crc


def unseal(raw: bytes, *, most: int = LINE_MAX) -> Tuple[Dict[str, Any], str]:
    """Return the record in a line (without newline), and its CRC.

    Raises ValueError when the line is not complete and sealed, and NewerFormat when it
    is, but a newer version wrote it.
    """
    crc = check_seal(raw, most=most)
    try:
        # Decoded here, because json would also accept UTF-16 and lone surrogates.
        text = raw.decode("ascii")
        record: Dict[str, Any]
        record, end = _from_json(text)
    except RecursionError:
        message = "nested too deeply"
        raise ValueError(message) from None
    if end != len(text):
        message = "more than one record"
        raise ValueError(message)
    version = record.get("v")
    if isinstance(version, int) and version > FORMAT:
        message = f"format {version}, this version knows up to {FORMAT}"
        raise NewerFormat(message)
    return record, crc


def check_run(record: Mapping[str, Any], run: str) -> None:
    """Raise OtherRun if a record names another run; older records name none."""
    named = record.get("run", run)
    if named != run:
        message = f"this is the journal of run {named}"
        raise OtherRun(message)


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        message = "duplicate key"
        raise ValueError(message)
    return record


def _no_constant(text: str) -> Optional[float]:
    message = f"{text} is not JSON"
    raise ValueError(message)


# Created once: `json.loads` with hooks creates a decoder for every line.
_from_json = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant
).raw_decode
