"""Workflow files in TOML: the value, and where each part of it stands."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Any,
    Dict,
    Iterator,
    List,
    Match,
    Optional,
    Sequence,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from provctl.core.model.expressions import children
from provctl.workflow_files.formats.syntax_hints import open_hint

if TYPE_CHECKING:
    from provctl.workflow_files.problems import DocPath, SourceLocation, ValidationIssue
    from provctl.workflow_files.source_text import SourceText


# What a key costs grows with the square of its names.
MAX_NAMES = 50
MAX_DEPTH = 1_000

_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r]+|\#[^\n]*)
    |(?P<text>\"{3}(?:[^\\]|\\.)*?\"{3,5}|'{3}.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')
    |(?P<bare>[^\s\[\]{}=,.\#"']+)
    |(?P<mark>.|\n)""",
    re.DOTALL | re.VERBOSE,
)
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_TOO_DEEP = "not TOML that can be read: nested too deeply"
_TWICE = re.compile(r"Cannot declare \((.+?),?\) twice")


@dataclass(frozen=True)
class TomlFile:
    """A document of a TOML file."""

    source: SourceText
    value: Any

    def places(
        self, problems: Sequence[ValidationIssue]
    ) -> List[Optional[SourceLocation]]:
        """Where each problem stands, None where that is not known."""
        wanted = {
            problem.path[:count]
            for problem in problems
            for count in range(len(problem.path) + 1)
        }
        spots = _Scanner(self.source.text, wanted).scan()
        return [_place(spots, problem, self.source) for problem in problems]


def read_toml(source: SourceText) -> TomlFile:
    """Parse a TOML file.

    Raises InvalidWorkflow for a mistake in its syntax and for what nests too deeply.
    """
    _check_keys(source)
    try:
        document = TomlFile(source, tomllib.loads(source.text))
    except tomllib.TOMLDecodeError as error:
        message = _TWICE.sub(_in_words, _AT.sub("", str(error)))
        found = _AT.search(str(error))
        at = len(source.text)
        if found is not None and found.group(1):
            at = source.offset(int(found.group(1)), int(found.group(2)))
        words = f"not TOML: {message[:1].lower()}{message[1:]}"
        raise source.invalid(words, open_hint(source), at=at) from error
    except RecursionError as error:
        raise source.invalid(_TOO_DEEP, at=0) from error
    except ValueError as error:
        # Python reads no number of more than some thousand digits.
        words = "not TOML: a number with too many digits"
        raise source.invalid(words, at=_longest(source)) from error
    _check_depth(document)
    return document


def _check_keys(source: SourceText) -> None:
    """Refuse a key of too many names, before it is read."""
    if all(line.count(".") < MAX_NAMES for line in source.lines):
        return
    names = 0
    for token in _TOKEN.finditer(source.text):
        if token.group() == ".":
            names += 1
            if names == MAX_NAMES:
                raise source.invalid(_TOO_DEEP, at=token.start())
        elif token.lastgroup == "mark":
            names = 0


def _longest(source: SourceText) -> int:
    """The place of the longest word or number."""
    bare = (t for t in _TOKEN.finditer(source.text) if t.lastgroup == "bare")
    return max(bare, key=lambda token: len(token.group())).start()


def _check_depth(document: TomlFile) -> None:
    level = [document.value]
    for _ in range(MAX_DEPTH):
        level = [part for node in level for _, part in children(node)]
        if not level:
            return
    raise document.source.invalid(_TOO_DEEP, at=0)


def _in_words(found: Match[str]) -> str:
    name = ".".join(part.strip(" '\"") for part in found.group(1).split(","))
    return f"`{name}` stands twice"


@dataclass
class _Spot:
    """Where a part stands: its key, and its value."""

    key_start: int
    key_end: int
    start: int
    end: int


def _place(
    spots: Dict[DocPath, _Spot], problem: ValidationIssue, source: SourceText
) -> Optional[SourceLocation]:
    """The place of a problem, or of the innermost part around it."""
    for count in range(len(problem.path), 0, -1):
        spot = spots.get(problem.path[:count])
        if spot is None:
            continue
        if problem.on_key and count == len(problem.path):
            return source.place(spot.key_start, spot.key_end)
        return source.place(spot.start, spot.end)
    return None


# --- the scanner -------------------------------------------------------------------


@dataclass
class _Frame:
    """A table or array that is open: its path, and what ends it.

    `key` is the path of the value being read in a table, None between values;
    `count` is the number of whole items in an array.
    """

    path: DocPath
    closer: str
    spot: Optional[_Spot] = None
    key: Optional[DocPath] = None
    count: int = 0


class _Scanner:
    """One pass over a sound TOML text that notes where `wanted` parts stand."""

    def __init__(self, text: str, wanted: AbstractSet[DocPath]) -> None:
        self._text = text
        self._wanted = wanted
        self._spots: Dict[DocPath, _Spot] = {}
        self._tables: Dict[DocPath, int] = {}  # how many [[tables]] of a name so far
        self._frames = [_Frame((), "")]
        self._names: List[Match[str]] = []  # the parts of the key being read

    def scan(self) -> Dict[DocPath, _Spot]:
        """The spot of every part of the document."""
        tokens = (t for t in _TOKEN.finditer(self._text) if t.lastgroup != "skip")
        for token in tokens:
            frame = self._frames[-1]
            mark = token.group()
            if mark == frame.closer:
                closed = self._frames.pop().spot
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
        return self._spots

    def _value(self, token: Match[str], path: DocPath) -> None:
        start, end = token.span()
        spot = self._spot(path, start, end)
        spot.start = spot.start or start
        spot.end = end
        if token.group() in ("[", "{"):
            closer = "]" if token.group() == "[" else "}"
            self._frames.append(_Frame(path, closer, spot))

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
        path: DocPath = ()
        start, end = names[0].start(), names[-1].end()
        for token in names:
            path = (*path, _name(token))
            self._spot(path, start, end)
            if token is names[-1] and array:
                self._tables[path] = self._tables.get(path, 0) + 1
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
        self._spots.pop(path, None)
        self._spot(path, start, end)
        self._frames = [_Frame(path, "")]

    def _note(self, path: DocPath, names: Sequence[Match[str]]) -> DocPath:
        """Note a key such as `retry.attempts`; its value comes next."""
        for token in names:
            path = (*path, _name(token))
            spot = self._spot(path, *token.span())
            # The value follows, and says where it starts.
            spot.start = 0 if token is names[-1] else spot.start
        return path

    def _spot(self, path: DocPath, start: int, end: int) -> _Spot:
        """The spot that was noted for a part, or a new one."""
        spot = self._spots.get(path) or _Spot(start, end, start, end)
        if path in self._wanted:
            self._spots[path] = spot
        return spot


def _name(token: Match[str]) -> str:
    if token.lastgroup == "bare":
        return token.group()
    name: str = tomllib.loads(f"name = {token.group()}")["name"]
    return name
