"""Owns the forms in which a secret may turn up in what a task writes. Pure.

Best effort, and no more: whoever splits a secret over lines, turns it around or
encrypts it is not found out. Texts below 6 characters are left alone, as they
would be found everywhere.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Iterable, Iterator, List, Set
from urllib.parse import quote, quote_plus

__all__ = ["LEAST", "forms"]

LEAST = 6  # characters
# Where programs break base64 into lines: `base64` and `openssl`.
_WRAPPED_AT = (76, 64)


def forms(texts: Iterable[str]) -> List[str]:
    """Return all that has to be covered for these texts, longest first."""
    found: Set[str] = set()
    for text in texts:
        found.update(_plain(text), _base64(text))
        for line in text.splitlines():
            found.update(_plain(line.strip()))
    wanted = (form for form in found if len(form) >= LEAST)
    return sorted(wanted, key=lambda form: (-len(form), form))


def _plain(text: str) -> Iterator[str]:
    """The text, and as it stands in URLs and in JSON."""
    if len(text) < LEAST:
        return
    yield text
    yield text.strip()
    for ascii_only in (True, False):
        yield json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    raw = text.encode("utf-8", "surrogatepass")
    # Some leave slashes alone, JavaScript these five; some write %2f for %2F.
    for quoted in (
        *(quote(raw, safe=safe) for safe in ("", "/", "!'()*", "/!'()*")),
        quote_plus(raw),
    ):
        yield quoted
        yield _lower_case_hex(quoted)


def _lower_case_hex(quoted: str) -> str:
    first, *rest = quoted.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _base64(text: str) -> Iterator[str]:
    """The characters of base64 that this text alone decides, at each offset."""
    raw = text.encode("utf-8", "surrogatepass")
    if len(text) < LEAST:
        return
    for offset in range(3):
        code = b64encode(bytes(offset) + raw).decode()
        first = -(-offset * 8 // 6)
        last = (offset + len(raw)) * 8 // 6
        for alphabet in (code, code.replace("+", "-").replace("/", "_")):
            yield alphabet[first:last]
    code = b64encode(raw).decode()[: len(raw) * 8 // 6]
    for width in _WRAPPED_AT:
        if len(code) > width:
            yield from (code[at : at + width] for at in range(0, len(code), width))
