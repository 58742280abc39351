"""Owns covering texts that must not be seen: what is found becomes as many `*`.

As long as before, so that no offset moves and a full disk does not matter. The
forms to look for come from the owner (see `executors.forms`).
"""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False  # see `shim`
if TYPE_CHECKING:
    from typing import List, Sequence, Tuple

__all__ = ["cover_bytes", "cover_json", "find"]

# What JSON consists of besides brackets, commas, colons and constants.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)


def find(data: bytes, forms: Sequence[bytes]) -> List[Tuple[int, int]]:
    """Where any of the forms begin and end in `data`; they may overlap."""
    found = []
    for form in forms:
        at = data.find(form)
        while at >= 0:
            found.append((at, at + len(form)))
            at = data.find(form, at + 1)
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

    def covered(token: re.Match[str]) -> str:
        try:
            word = json.loads(token[0])
        except ValueError:
            word = token[0]
        said = word if isinstance(word, str) else token[0]
        raw = said.encode("utf-8", "surrogatepass")
        hidden = cover_bytes(raw, forms)
        if hidden == raw:
            return token[0]
        return json.dumps(hidden.decode("utf-8", "replace"))

    return _TOKEN.sub(covered, text)
