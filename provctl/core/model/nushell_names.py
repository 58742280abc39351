"""Which names of a Nushell library are allowed in Nushell source and in workflows.

Nushell allows more characters in a name. These can only be a part of a name, so no name
can become code.
"""

from __future__ import annotations

import re

_WORD = r"[A-Za-z_][A-Za-z0-9_-]*"
_COMMAND = rf"{_WORD}( [A-Za-z0-9_][A-Za-z0-9_-]*)*"
# At the start of a line Nushell treats these as its own, whatever a module exports.
_OF_NUSHELL = frozenset(
    {
        *("alias", "break", "const", "continue", "def", "export", "export-env"),
        *("extern", "false", "for", "hide", "if", "inf", "infinity", "let", "loop"),
        *("match", "module", "mut", "nan", "not", "null", "return", "run", "source"),
        *("source-env", "true", "try", "use", "where", "while"),
    }
)


def is_word(text: str) -> bool:
    """Whether `text` is one word of a name: ASCII letters, digits, - and _."""
    return re.fullmatch(_WORD, text) is not None


def is_command(text: str) -> bool:
    """Whether `text` can name a command: words with one space between two."""
    if re.fullmatch(_COMMAND, text) is None:
        return False
    return text.partition(" ")[0].lower() not in _OF_NUSHELL


def is_flag(text: str) -> bool:
    """Whether `text` can name a flag; "help" would print a text and succeed."""
    return is_word(text) and text != "help"


def is_module(text: str) -> bool:
    """Whether `text` is a path below the library, of a file or a folder."""
    parts = text.split("/")
    inside = parts[0] != "" and ".." not in parts and text.isprintable()
    return inside and any(part not in ("", ".") for part in parts)
