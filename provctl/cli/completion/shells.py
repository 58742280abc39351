"""How each shell asks what may come next, and the form in which it wants it.

The script of a shell (`cli/completion/scripts.py`) sets `_PROVCTL_COMPLETE` to the shell's
name and `_PROVCTL_WORDS` to what is typed up to the cursor: its words with a unit
separator between them; of bash, which splits them its own way, the line as it is.

The answer to all but Nushell has a first line that says what else may stand there:
`file`, `dir`, or `open` if no space follows the word. Then come the offers. All that
an offer says is data: it is escaped here for whatever the shell does with it.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Sequence,
    Tuple,
)

from provctl.base.cell_width import truncate_to_width, width_of
from provctl.base.text import plain

if TYPE_CHECKING:
    from typing_extensions import Protocol

    class Dialogue(Protocol):
        """One question of a shell: the words so far, the last one to be completed."""

        words: List[str]

        def answer(self, offers: Sequence[Completion], rest: str) -> str:
            """Return what the shell reads."""


_SEPARATOR = "\x1f"
_BARE = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"
)
# Keys that put the words themselves into the line, one after the other.
_INSERTS = ("37", "42")  # COMP_TYPE: the characters % and *


class Completion(NamedTuple):
    """A word that may stand there, and what is said of it."""

    value: str
    about: str = ""


class Bash:
    """The line as it was typed, for bash replaces a part of a word as it sees fit."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        breaks = environ.get("_PROVCTL_BREAKS", " \t\n\"'@><=;|&(:")
        line = environ.get("_PROVCTL_WORDS", "")
        self.words, self._stays, self._quote = _split(line, breaks)
        self._columns = _number(environ.get("_PROVCTL_COLUMNS", ""), 80)
        self._inserts = environ.get("_PROVCTL_TYPE") in _INSERTS

    def answer(self, offers: Sequence[Completion], rest: str) -> str:
        """One line an offer: what takes the place of the end of the word.

        Where there are several nothing is inserted but what they begin with, so
        that behind each there is room for what is said of it.
        """
        words = [self._quoted(offer.value[self._stays :]) for offer in offers]
        if len(words) == 1 or self._inserts or not any(o.about for o in offers):
            return "\n".join([rest, *words])
        width = max(map(width_of, words))
        lines = [rest]
        for word, offer in zip(words, offers):
            gap = " " * (width - width_of(word))
            about = f"{gap}  ({plain(offer.about)})" if offer.about else ""
            room = self._columns - width_of(word) - 1
            lines.append(f"{word}{truncate_to_width(about, room, mark='')}")
        return "\n".join(lines)

    def _quoted(self, text: str) -> str:
        if self._quote == "'":
            return text.replace("'", "'\\''")
        if self._quote == '"':
            # Even a quoted ! would be looked up in the history.
            special = {**{c: f"\\{c}" for c in '\\"$`'}, "!": "\"'!'\""}
            return "".join(special.get(char, char) for char in text)
        if _BARE.issuperset(text):
            return text
        return "".join(
            char if char in _BARE or ord(char) > 127 else f"\\{char}" for char in text
        )


class Zsh:
    """Words without their quotes; zsh puts quotes around what it inserts."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.words = _words(environ)

    def answer(self, offers: Sequence[Completion], rest: str) -> str:
        """One line an offer, as `_describe` reads it: word, colon, what is said."""
        lines = [rest]
        for value, about in offers:
            word = value.replace("\\", "\\\\").replace(":", "\\:")
            told = plain(about).replace("\\", "\\\\")
            lines.append(f"{word}:{told}" if about else word)
        return "\n".join(lines)


class Fish:
    """Words without quotes but for the last; fish quotes what it inserts."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        *words, last = _words(environ) or [""]
        self.words = [*words, _split(f" {last}", "")[0][-1]]

    def answer(self, offers: Sequence[Completion], rest: str) -> str:
        """One line an offer: word, tab, what is said."""
        told = (f"{value}\t{plain(about)}" for value, about in offers)
        return "\n".join([rest, *told])


class Nu:
    """Words as they were typed. Nushell inserts what it is given, so it is quoted."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.words = [_unquoted(word) for word in _words(environ)]

    def answer(self, offers: Sequence[Completion], rest: str) -> str:
        """A list of records as JSON; null, which stands for files, where they may be."""
        import json

        if rest in ("file", "dir") and not offers:
            return "null"
        return json.dumps(
            [
                {"value": _nu_word(value), "description": plain(about)}
                for value, about in offers
            ]
        )


SHELLS: Dict[str, Callable[[Mapping[str, str]], Dialogue]] = {
    "bash": Bash,
    "zsh": Zsh,
    "fish": Fish,
    "nu": Nu,
}


def _words(environ: Mapping[str, str]) -> List[str]:
    return environ.get("_PROVCTL_WORDS", "").split(_SEPARATOR)


def _split(line: str, breaks: str) -> Tuple[List[str], int, str]:
    """Return the words of a line, the last being the one under way, without quotes.

    And of that how many characters stay as they are, for bash completes only what
    is behind the last of them that is quote or break; and the quote that is open.
    """
    words: List[str] = []
    word: List[str] = []
    begun, escaped, quote, stays = False, False, "", 0
    for char in line:
        if escaped:
            if quote and char not in '$`"\\\n':
                word.append("\\")
            word.append(char)
            escaped = False
        elif char == "\\" and quote != "'":
            begun = escaped = True
        elif char == quote or (char in "'\"" and not quote):
            begun, quote, stays = True, "" if quote else char, len(word)
        elif char in " \t\n" and not quote:
            if begun:
                words.append("".join(word))
            word, begun, stays = [], False, 0
        else:
            word.append(char)
            begun = True
            if char in breaks and not quote:
                # These two readline leaves in what it completes.
                stays = len(word) - (char in "@$")
    return [*words, "".join(word)], stays, quote


def _unquoted(word: str) -> str:
    """A word of Nushell's without its quotes, the last of which may be missing yet."""
    quote = word[:1]
    if quote not in ("'", '"', "`") or not quote:
        return word
    inner = word[1:-1] if len(word) > 1 and word.endswith(quote) else word[1:]
    return inner.replace('\\"', '"').replace("\\\\", "\\") if quote == '"' else inner


def _nu_word(text: str) -> str:
    if text and _BARE.issuperset(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(text: str, default: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else default
