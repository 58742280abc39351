"""A parsed configuration file in TOML."""

from __future__ import annotations

import re
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, Dict, Mapping

from provctl.base.text import NotText, decode
from provctl.errors import InvalidConfig

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.base.toml_positions import KeyPath, Position


_MAX_BYTES = 1024 * 1024
_PLACE = r"(?P<what>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)"


class TomlDocument:
    """A parsed TOML file: its data, and the line of each key."""

    def __init__(self, path: Path, text: str, data: Mapping[str, Any]) -> None:
        self.data = data
        self._path = path
        self._text = text

    @cached_property
    def _spans(self) -> Dict[KeyPath, Position]:
        from provctl.base.toml_positions import scan  # most machines have no file

        return scan(self._text)

    def origin(self, name: str) -> str:
        """Return "path:line" of a dotted key, or of the section around it, if known."""
        path: KeyPath = tuple(name.split("."))
        span = self._spans.get(path) or self._spans.get(path[:1])
        if span is None:
            return str(self._path)
        return f"{self._path}:{self._text.count(chr(10), 0, span.key_start) + 1}"


def read_document(path: Path) -> TomlDocument:
    """Return the TOML file at `path`.

    Raises InvalidConfig if it cannot be read or is not TOML, and FileNotFoundError if
    it does not exist.
    """
    content = _content(path)
    return TomlDocument(path, content, _parse(path, content))


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as missing:
        raise FileNotFoundError(path) from missing
    except OSError as problem:
        message = f"{path}: cannot be read: {problem.strerror}"
        raise InvalidConfig(message) from problem
    if len(raw) > _MAX_BYTES:
        message = f"{path}: too large for a configuration file (limit: 1 MiB)"
        raise InvalidConfig(message)
    try:
        return decode(raw)
    except NotText as problem:
        message = f"{path}:{problem.line}: {problem}"
        hint = "save the file as UTF-8, the only encoding of TOML"
        raise InvalidConfig(message, hint=hint) from problem


def _parse(path: Path, content: str) -> Dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        return tomllib.loads(content)
    except ValueError as problem:  # a TOMLDecodeError, or a number with too many digits
        what, place = str(problem), str(content.count("\n") + 1)
        placed = re.fullmatch(_PLACE, what)
        if placed:
            what, place = placed["what"], f"{placed['line']}:{placed['column']}"
        message = f"{path}:{place}: {what}"
        raise InvalidConfig(message) from problem
    except RecursionError as problem:
        message = f"{path}: nested too deeply"
        raise InvalidConfig(message) from problem
