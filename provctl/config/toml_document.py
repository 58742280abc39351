"""A TOML file as it was read: its data, and the line on which each key stands."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Dict, Mapping, NamedTuple

from provctl.base.text import NotText, decode
from provctl.errors import InvalidConfig

if TYPE_CHECKING:
    from pathlib import Path


_MAX_BYTES = 1024 * 1024
_PLACE = r"(?P<what>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)"


class TomlDocument(NamedTuple):
    """A TOML file; `lines` knows keys and sections by their dotted names."""

    path: Path
    data: Mapping[str, Any]
    lines: Mapping[str, int]

    def origin(self, name: str) -> str:
        """Return "path:line" of a key, or of the section around it, if known."""
        line = self.lines.get(name) or self.lines.get(name.partition(".")[0])
        return f"{self.path}:{line}" if line else str(self.path)


def read_document(path: Path) -> TomlDocument:
    """Return the TOML file at `path`.

    Raises InvalidConfig if it cannot be read or is not TOML, and
    FileNotFoundError if it is not there.
    """
    content = _content(path)
    data = _parse(path, content)
    return TomlDocument(path, data, _lines(content, data))


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
        hint = "save the file as UTF-8; TOML knows no other encoding"
        raise InvalidConfig(message, hint=hint) from problem


def _parse(path: Path, content: str) -> Dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        return tomllib.loads(content)
    except ValueError as problem:  # a TOMLDecodeError, or a number without end
        what, place = str(problem), str(content.count("\n") + 1)
        placed = re.fullmatch(_PLACE, what)
        if placed:
            what, place = placed["what"], f"{placed['line']}:{placed['column']}"
        message = f"{path}:{place}: {what}"
        raise InvalidConfig(message) from problem
    except RecursionError as problem:
        message = f"{path}: nested too deep"
        raise InvalidConfig(message) from problem


def _lines(content: str, data: Mapping[str, Any]) -> Dict[str, int]:
    # The parser keeps no places. A plain look finds them in all files but those
    # that hold what looks like TOML inside a text of several lines.
    lines: Dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(content.split("\n"), start=1):
        name, equals, _ = line.partition("=")
        header = line.partition("#")[0].strip()
        if equals:
            key = prefix + _bare(name)
            lines.setdefault(key, number)
            lines.setdefault(key.partition(".")[0], number)
        elif header[:1] == "[" and _bare(header[1:-1]) in data:
            section = _bare(header[1:-1])
            prefix = f"{section}."
            lines.setdefault(section, number)
    return lines


def _bare(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))
