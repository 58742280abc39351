"""Owns covering texts that must not be seen: what is found becomes as many `*`.

As long as before, so that no offset moves and a full disk does not matter. The
forms to look for come from the owner (see `executors.forms`).
"""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False  # see `shim`
if TYPE_CHECKING:
    from typing import Dict, List, Sequence, Tuple

__all__ = ["cover_bytes", "cover_json", "find"]

_BEGINNING = 12  # bytes

# What JSON consists of besides brackets, commas, colons and constants.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)


def find(data: bytes, forms: Sequence[bytes]) -> List[Tuple[int, int]]:
    """Where any of the forms begin and end in `data`; they may overlap."""
    # Many forms of a text begin as it does: that is looked for once.
    alike: Dict[bytes, List[bytes]] = {}
    for form in forms:
        alike.setdefault(form[:_BEGINNING], []).append(form)
    found = []
    for beginning, those in alike.items():
        sought = beginning if len(those) > 1 else those[0]
        at = data.find(sought)
        while at >= 0:
            found += [(at, at + len(f)) for f in those if data.startswith(f, at)]
            at = data.find(sought, at + 1)
    return found


def cover_bytes(data: bytes, forms: Sequence[bytes]) -> bytes:
    """Return `data` with every form in it covered."""
    covered = bytearray(data)
    for begin, end in find(data, forms):
        covered[begin:end] = b"*" * (end - begin)
    return bytes(covered)


def cover_json(text: str, forms: Sequence[bytes]) -> str:
    """Return a JSON text with every form in its words and numbers covered.

    Each by itself, as it reads and not as it is escaped: the whole stays JSON. A
    number becomes a word.
    """
    words = [_read(token[0]) for token in _TOKEN.finditer(text)]
    # All at once, as forms are many. No UTF-8 has this byte in it, so none spans two.
    hidden = cover_bytes(b"\xff".join(words), forms).split(b"\xff")
    pairs = zip(words, hidden)

    def covered(token: re.Match[str]) -> str:
        word, shown = next(pairs)
        return (
            token[0] if word == shown else json.dumps(shown.decode("utf-8", "replace"))
        )

    return _TOKEN.sub(covered, text)


def _read(token: str) -> bytes:
    """Return what a word or a number of JSON says."""
    try:
        word = json.loads(token)
    except ValueError:
        word = token
    said = word if isinstance(word, str) else token
    return said.encode("utf-8", "surrogatepass")
