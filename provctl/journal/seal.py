"""Owns the seal of a line: what proves that a record is whole, and its format version.

`crc` is CRC-32 of the raw bytes before `,"crc":"`, as 8 lower-case hex digits,
always the last 18 bytes, and compared as bytes (int() would accept "1_0").
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional, Tuple
from zlib import crc32

__all__ = [
    "FORMAT",
    "LINE_MAX",
    "NewerFormat",
    "OtherRun",
    "check_run",
    "check_seal",
    "seal",
    "unseal",
]

FORMAT = 1
LINE_MAX = 1 << 20  # bytes; larger lines are neither written nor read
_TAIL = 18  # bytes of `,"crc":"d6e1dc96"}`, newline not counted


class NewerFormat(Exception):
    """The line was written by a newer version."""


class OtherRun(ValueError):
    """The line says that it belongs to another run."""


def seal(record: str, *, most: int = LINE_MAX) -> Tuple[bytes, str]:
    """Return the line, with its newline, for a record in ASCII, and its CRC.

    Raises ValueError if it would be too large to be read.
    """
    body = record[:-1].encode("ascii")
    crc = f"{crc32(body):08x}"
    line = body + b',"crc":"' + crc.encode("ascii") + b'"}\n'
    if len(line) > most:
        message = f"a record of {len(line)} bytes is too large"
        raise ValueError(message)
    return line, crc


def check_seal(raw: bytes, *, most: int = LINE_MAX) -> str:
    """Return the CRC of a line (without newline). Raises ValueError: it is not whole."""
    if len(raw) >= most or raw[-_TAIL:-10] != b',"crc":"' or raw[-2:] != b'"}':
        message = "not a sealed line"
        raise ValueError(message)
    crc = f"{crc32(raw[:-_TAIL]):08x}"
    if raw[-10:-2] != crc.encode("ascii"):
        message = "checksum does not match"
        raise ValueError(message)
    return crc


def unseal(raw: bytes, *, most: int = LINE_MAX) -> Tuple[Dict[str, Any], str]:
    """Return the record in a line (without newline), and its CRC.

    Raises ValueError when it is not whole and sealed, NewerFormat when it is but a
    newer version wrote it.
    """
    crc = check_seal(raw, most=most)
    try:
        # Decoded here, for json would also take UTF-16 and half characters.
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
    """Raise OtherRun for a record of another run; older ones do not say of which."""
    told = record.get("run", run)
    if told != run:
        message = f"it is the journal of run {told}"
        raise OtherRun(message)


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        message = "a key stands twice"
        raise ValueError(message)
    return record


def _no_constant(text: str) -> Optional[float]:
    message = f"{text} is not JSON"
    raise ValueError(message)


# Made once: `json.loads` with hooks makes a decoder for every line.
_from_json = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant
).raw_decode
