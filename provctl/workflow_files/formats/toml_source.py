"""Workflow files in TOML: the value, and the location of each part."""

from __future__ import annotations

import re
import sys
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    List,
    Match,
    Optional,
    Sequence,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from provctl.base.light_dataclass import light_dataclass
from provctl.base.toml_positions import TOKEN, scan
from provctl.core.model.expressions import children
from provctl.workflow_files.formats.syntax_hints import open_hint

if TYPE_CHECKING:
    from provctl.base.toml_positions import Position
    from provctl.workflow_files.problems import DocPath, SourceLocation, ValidationIssue
    from provctl.workflow_files.source_text import SourceText


# The cost of a key is quadratic in the number of its names.
MAX_NAMES = 50
MAX_DEPTH = 1_000

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_TOO_DEEP = "not TOML: nested too deeply"
_TWICE = re.compile(r"Cannot declare \((.+?),?\) twice")


@light_dataclass
class TomlFile:
    """A document of a TOML file."""

    source: SourceText
    value: Any

    def places(
        self, problems: Sequence[ValidationIssue]
    ) -> List[Optional[SourceLocation]]:
        """The location of each problem, None if unknown."""
        wanted = {
            problem.path[:count]
            for problem in problems
            for count in range(len(problem.path) + 1)
        }
        spans = scan(self.source.text, wanted)
        return [_place(spans, problem, self.source) for problem in problems]


def read_toml(source: SourceText) -> TomlFile:
    """Parse a TOML file.

    Raises InvalidWorkflow for a syntax error and for too deep nesting.
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
        # Python reads no number with more than some thousand digits.
        words = "not TOML: a number with too many digits"
        raise source.invalid(words, at=_longest(source)) from error
    _check_depth(document)
    return document


def _check_keys(source: SourceText) -> None:
    """Refuse a key with too many names, before it is parsed."""
    if all(line.count(".") < MAX_NAMES for line in source.lines):
        return
    names = 0
    for token in TOKEN.finditer(source.text):
        if token.group() == ".":
            names += 1
            if names == MAX_NAMES:
                raise source.invalid(_TOO_DEEP, at=token.start())
        elif token.lastgroup == "mark":
            names = 0


def _longest(source: SourceText) -> int:
    """The location of the longest word or number."""
    bare = (t for t in TOKEN.finditer(source.text) if t.lastgroup == "bare")
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
    return f"duplicate key `{name}`"


def _place(
    spans: Dict[DocPath, Position], problem: ValidationIssue, source: SourceText
) -> Optional[SourceLocation]:
    """The location of a problem, or of the innermost part around it."""
    for count in range(len(problem.path), 0, -1):
        span = spans.get(problem.path[:count])
        if span is None:
            continue
        if problem.on_key and count == len(problem.path):
            return source.place(span.key_start, span.key_end)
        return source.place(span.start, span.end)
    return None
