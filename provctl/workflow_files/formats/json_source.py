"""Workflow files in JSON: the value, and the location of each part.

`json.loads` reads the file. A scanner without recursion reads it again if that fails
(too deep, a repeated key), if it may have accepted halves of characters, or if
locations are needed.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from json.decoder import JSONDecodeError, JSONDecoder
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    List,
    NamedTuple,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from provctl.base.light_dataclass import light_dataclass
from provctl.errors import Diagnostic, InvalidWorkflow
from provctl.workflow_files.problems import MAX_FOUND

if TYPE_CHECKING:
    from provctl.workflow_files.problems import SourceLocation, ValidationIssue
    from provctl.workflow_files.source_text import SourceText


# Workflows nest 1,000 times, which is 3,000 records, and values 100 times.
MAX_DEPTH = 5_000

_SPACES = (" ", "\t", "\r", "\n")
# Two adjacent halves are one character; the scanner distinguishes them.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


@light_dataclass
class JsonFile:
    """A document of a JSON file."""

    source: SourceText
    value: Any

    def places(
        self, problems: Sequence[ValidationIssue]
    ) -> List[Optional[SourceLocation]]:
        """The location of each problem."""
        wanted: _Tree = {}
        for problem in problems:
            branch = wanted
            for part in problem.path:
                branch = branch.setdefault(part, {})
        root = _Scanner(self.source, wanted).scan()
        return [_place(root, problem, self.source) for problem in problems]


def read_json(source: SourceText) -> JsonFile:
    """Parse a JSON file.

    Raises InvalidWorkflow for a syntax error, repeated keys, half a character and too
    deep nesting.
    """
    if _HALF.search(source.text):
        return JsonFile(source, _Scanner(source).scan().value)
    try:
        value = json.loads(
            source.text,
            object_pairs_hook=_record,
            parse_constant=_constant,
            parse_float=_finite,
        )
    except JSONDecodeError as error:
        hint = _hint(source, error.pos)
        raise source.invalid(_words(error), hint, at=error.pos) from error
    except (RecursionError, ValueError):
        value = _Scanner(source).scan().value
    return JsonFile(source, value)


def _record(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        message = "duplicate key"
        raise ValueError(message)
    return record


def _constant(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _words(error: JSONDecodeError) -> str:
    return f"not JSON: {error.msg[:1].lower()}{error.msg[1:]}"


def _hint(source: SourceText, at: int) -> str:
    """Return a hint for a character that JSON does not allow there."""
    here, before = source.text[at : at + 1], source.text[:at].rstrip()
    if here == "," and source.text[at + 1 :].lstrip()[:1] in ("}", "]"):
        return "remove the `,`: nothing follows it"
    if here in ("}", "]") and before.endswith(","):
        place = source.place(len(before) - 1, len(before))
        where = f"{place.file}:{place.line}:{place.column}"
        return f"remove the `,` at {where}: nothing follows it"
    if here == "'":
        return "strings must be in double quotes"
    if here in ("/", "#"):
        return "JSON does not allow comments"
    from provctl.workflow_files.formats.syntax_hints import open_hint

    return open_hint(source)


# --- the scanner -----------------------------------------------------------------


# The tree of parts, as far as their locations are wanted.
_Tree = Dict[Union[str, int], Any]


class _Key(NamedTuple):
    """The key of a part of a record; unused in a list and at the root."""

    name: str
    start: int
    end: int


@dataclass
class _Node:
    """A value with its location, and those of its wanted parts."""

    value: Any
    start: int
    end: int
    key: _Key
    wanted: Optional[_Tree]
    parts: Dict[Union[str, int], _Node] = field(default_factory=dict)


class _Scanner:
    """One strict pass over a JSON text, with a list of the open containers.

    Each step handles the current character, moves on and returns the next step. With
    `wanted` locations the text is valid and everything else in it is skipped.
    """

    def __init__(self, source: SourceText, wanted: Optional[_Tree] = None) -> None:
        self._source = source
        self._wanted = wanted
        self._too_deep = False
        self._at = 0
        self._open: List[_Node] = []
        self._root: Optional[_Node] = None
        self._key = _Key("", 0, 0)
        self._twice: List[Diagnostic] = []
        self._twice_more = 0
        self._decode = JSONDecoder(
            parse_constant=self._refuse, parse_float=self._finite
        ).raw_decode

    def scan(self) -> _Node:
        """The root of the document; raises InvalidWorkflow like `read_json`."""
        step: Any = self._value
        while self._root is None or self._open:
            step = step(self._peek())
        if self._peek():
            self._fail("extra data")
        if self._twice:
            raise InvalidWorkflow(self._twice, others=self._twice_more)
        return self._root

    def _peek(self) -> str:
        text = self._source.text
        while text[self._at : self._at + 1] in _SPACES:
            self._at += 1
        return text[self._at : self._at + 1]

    def _value(self, character: str) -> Any:
        if character in ("{", "["):
            if self._pass_over():
                return self._next
            if len(self._open) == MAX_DEPTH:
                words = f"nested too deeply: at most {MAX_DEPTH} levels"
                raise self._source.invalid(words, at=self._at)
            self._open.append(
                self._attach({} if character == "{" else [], self._at + 1)
            )
            return self._first_key if character == "{" else self._first_item
        self._attach(*self._scalar())
        return self._next

    def _pass_over(self) -> bool:
        """Skip the container if nothing in it is wanted; return whether it was."""
        if self._too_deep or self._branch() != {}:
            return False
        try:
            _, end = self._decode(self._source.text, self._at)
        except RecursionError:
            self._too_deep = True  # trying at each level would take quadratic time
            return False
        self._attach(None, end)
        return True

    def _branch(self) -> Optional[_Tree]:
        """The wanted parts below the current value; None if all values are read."""
        if not self._open:
            return self._wanted
        holder = self._open[-1]
        name = len(holder.value) if isinstance(holder.value, list) else self._key.name
        return None if holder.wanted is None else holder.wanted.get(name, {})

    def _scalar(self) -> Tuple[Any, int]:
        try:
            value, end = self._decode(self._source.text, self._at)
            if isinstance(value, str):
                value.encode()
        except JSONDecodeError as error:
            hint = _hint(self._source, error.pos)
            raise self._source.invalid(_words(error), hint, at=error.pos) from error
        except UnicodeEncodeError:
            self._fail("the text contains a lone surrogate")
        except ValueError:
            self._fail("a number with too many digits")
        return value, end

    def _first_item(self, character: str) -> Any:
        return self._next(character) if character == "]" else self._value(character)

    def _first_key(self, character: str) -> Any:
        return self._next(character) if character == "}" else self._any_key(character)

    def _any_key(self, character: str) -> Any:
        if character != '"':
            self._fail("expecting property name enclosed in double quotes")
        start = self._at
        name, self._at = self._scalar()
        self._key = _Key(name, start, self._at)
        return self._colon

    def _colon(self, character: str) -> Any:
        if character != ":":
            self._fail("expecting ':' delimiter")
        self._at += 1
        return self._value

    def _next(self, character: str) -> Any:
        record = isinstance(self._open[-1].value, dict)
        if character not in (",", "}" if record else "]"):
            self._fail("expecting ',' delimiter")
        self._at += 1
        if character == ",":
            return self._any_key if record else self._value
        self._open.pop().end = self._at
        return self._next

    def _attach(self, value: Any, end: int) -> _Node:
        """Put a value where it belongs, and move past it."""
        node = _Node(value, self._at, end, self._key, self._branch())
        self._at = end
        if not self._open:
            self._root = node
            return node
        holder = self._open[-1]
        if isinstance(holder.value, list):
            name: Union[str, int] = len(holder.value)
            holder.value.append(value)
        else:
            name = self._key.name
            if name in holder.value:
                self._note_twice(self._key)
            holder.value[name] = value
        if holder.wanted and name in holder.wanted:
            holder.parts[name] = node
        return node

    def _note_twice(self, key: _Key) -> None:
        if len(self._twice) == MAX_FOUND:
            self._twice_more += 1
            return
        place = self._source.place(key.start, key.end)
        message = f"duplicate key `{key.name}`"
        hint = "rename or remove one of them"
        self._twice.append(
            Diagnostic(
                message,
                place.file,
                place.line,
                place.column,
                place.text,
                place.span,
                hint,
            )
        )

    def _finite(self, text: str) -> float:
        try:
            return _finite(text)
        except ValueError:
            self._fail(f"{text[:40]} is too large for a number")

    def _refuse(self, name: str) -> Any:
        self._fail(f"{name} is not a valid JSON number")

    def _fail(self, message: str) -> NoReturn:
        message = f"not JSON: {message}"
        hint = _hint(self._source, self._at)
        raise self._source.invalid(message, hint, at=self._at)


def _place(root: _Node, problem: ValidationIssue, source: SourceText) -> SourceLocation:
    """The location of a problem, or of the innermost part around it."""
    node = root
    found = True
    for part in problem.path:
        found = part in node.parts
        if not found:
            break
        node = node.parts[part]
    if problem.on_key and found and node.key.end:
        return source.place(node.key.start, node.key.end)
    return source.place(node.start, node.end)
