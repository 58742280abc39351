"""The positions of the parts of a TOML text; the standard library's parser has none."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import (
    AbstractSet,
    Dict,
    Iterator,
    List,
    Match,
    Optional,
    Sequence,
    Tuple,
    Union,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The keys and array indexes that lead to a part.
KeyPath = Tuple[Union[str, int], ...]

TOKEN = re.compile(
    r"""(?P<skip>[ \t\r]+|\#[^\n]*)
    |(?P<text>\"{3}(?:[^\\]|\\.)*?\"{3,5}|'{3}.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')
    |(?P<bare>[^\s\[\]{}=,.\#"']+)
    |(?P<mark>.|\n)""",
    re.DOTALL | re.VERBOSE,
)


@dataclass
class Position:
    """The position of a part: of its key, and of its value."""

    key_start: int
    key_end: int
    start: int
    end: int


def scan(
    text: str, wanted: Optional[AbstractSet[KeyPath]] = None
) -> Dict[KeyPath, Position]:
    """Return the positions of the wanted parts of a valid TOML text; None: of all."""
    return _Scanner(text, wanted).scan()


@dataclass
class _Frame:
    """An open table or array: its path, and what ends it.

    `key` is the path of the value being read in a table, None between values; `count`
    is the number of complete items in an array.
    """

    path: KeyPath
    closer: str
    position: Optional[Position] = None
    key: Optional[KeyPath] = None
    count: int = 0


class _Scanner:
    """One pass over a valid TOML text that records the positions of `wanted` parts."""

    def __init__(self, text: str, wanted: Optional[AbstractSet[KeyPath]]) -> None:
        self._text = text
        self._wanted = wanted
        self._positions: Dict[KeyPath, Position] = {}
        self._tables: Dict[KeyPath, int] = {}  # how many [[tables]] of a name so far
        self._frames = [_Frame((), "")]
        self._names: List[Match[str]] = []  # the parts of the key being read

    def scan(self) -> Dict[KeyPath, Position]:
        """The position of every part of the document."""
        tokens = (t for t in TOKEN.finditer(self._text) if t.lastgroup != "skip")
        for token in tokens:
            frame = self._frames[-1]
            mark = token.group()
            if mark == frame.closer:
                closed = self._frames.pop().position
                if closed is not None:
                    closed.end = token.end()
            elif mark in (",", "\n"):
                frame.key = None
                frame.count += mark == ","
            elif frame.closer == "]":
                self._value(token, (*frame.path, frame.count))
            elif frame.key is not None:
                self._value(token, frame.key)
            elif mark == "[":
                self._header(token, tokens)
            else:
                self._key(token, frame)
        return self._positions

    def _value(self, token: Match[str], path: KeyPath) -> None:
        start, end = token.span()
        position = self._position(path, start, end)
        position.start = position.start or start
        position.end = end
        if token.group() in ("[", "{"):
            closer = "]" if token.group() == "[" else "}"
            self._frames.append(_Frame(path, closer, position))

    def _key(self, token: Match[str], frame: _Frame) -> None:
        if token.lastgroup != "mark":
            self._names.append(token)
        elif token.group() == "=":
            frame.key = self._note(frame.path, self._names)
            self._names = []

    def _header(self, first: Match[str], tokens: Iterator[Match[str]]) -> None:
        """Read `[a.b]` or `[[a.b]]`; a table in an array is the last one of it."""
        names: List[Match[str]] = []
        array = self._text[first.end()] == "["
        closing = 2 if array else 1
        while closing:
            token = next(tokens)
            closing -= token.group() == "]"
            if token.lastgroup != "mark":
                names.append(token)
        path: KeyPath = ()
        start, end = names[0].start(), names[-1].end()
        for token in names:
            path = (*path, _name(token))
            self._position(path, start, end)
            if token is names[-1] and array:
                self._tables[path] = self._tables.get(path, 0) + 1
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
        self._positions.pop(path, None)
        self._position(path, start, end)
        self._frames = [_Frame(path, "")]

    def _note(self, path: KeyPath, names: Sequence[Match[str]]) -> KeyPath:
        """Note a key such as `retry.attempts`; its value comes next."""
        for token in names:
            path = (*path, _name(token))
            position = self._position(path, *token.span())
            # The value follows, and records its own start.
            position.start = 0 if token is names[-1] else position.start
        return path

    def _position(self, path: KeyPath, start: int, end: int) -> Position:
        """The recorded position of a part, or a new one."""
        position = self._positions.get(path) or Position(start, end, start, end)
        if self._wanted is None or path in self._wanted:
            self._positions[path] = position
        return position


def _name(token: Match[str]) -> str:
    if token.lastgroup == "bare":
        return token.group()
    name: str = tomllib.loads(f"name = {token.group()}")["name"]
    return name
