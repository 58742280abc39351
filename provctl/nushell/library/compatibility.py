"""Whether a library and this program fit, as `versions.toml` says.

It is in the library's folder or above it, or in `provisioning-distribution` there; the
nearest one counts. Above the library it counts if it has a `compatibility`.

    version = "3.2.1"                           what the library is

    [compatibility.core."3.2.1"]                what that version of it needs
    platform = "^2.5"                           of the platform
    min-platform = "2.5.0"
    orchestrator-api = "v1"
    provctl = "^0.1"                            of this program by its own number
    min-provctl = "0.1.0"

    [compatibility.platform."2.5.3"]            what that version of the platform needs
    core = "^3.2"                               of the library
    min-core = "3.2.0"
    api-version = "v1"

The library's version may also be `core`, or the name of the only entry below
`compatibility.core`. Ranges are npm's. What is not said is no obstacle.
"""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, Dict, Iterator, Mapping, Optional

from provctl import __version__
from provctl.base.text import decode
from provctl.errors import LibraryIncompatible

if TYPE_CHECKING:
    from pathlib import Path


# provctl replaces the platform's orchestrator: this is the version of the platform
# whose commands, routes and files it has.
PLATFORM = "2.5.3"
API = "v1"

# The platform has it in a separate repository, beside that of the library.
_FILES = ("versions.toml", "provisioning-distribution/versions.toml")
_LEVELS_ABOVE = 2  # of <library> in provisioning-core/nulib
_TABLES = "compatibility"
_SIZE_MAX = 1 << 20  # bytes
_HINT = (
    "install compatible versions of the library and provctl; provctl doctor shows both"
)


def check_library(folder: Path) -> Optional[str]:
    """Return the version of a compatible library, None if it has none.

    Raises LibraryIncompatible, also for an invalid `versions.toml`.
    """
    for place in (folder, *islice(folder.absolute().parents, _LEVELS_ABOVE)):
        for path in (place / name for name in _FILES):
            document = _read(path)
            if document is not None and (place is folder or _TABLES in document):
                return _check(path, document)
    return None


def _read(path: Path) -> Optional[Dict[str, Any]]:
    try:
        with path.open("rb") as file:
            text = file.read(_SIZE_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        message = f"{path}: {problem.strerror}"
        raise LibraryIncompatible(message, hint="check its permissions") from problem
    try:
        return _parse(text)
    except ValueError as problem:
        raise _unclear(path, problem) from problem


def _check(path: Path, document: Mapping[str, Any]) -> Optional[str]:
    try:
        found = list(incompatibilities(document, __version__))
    except ValueError as problem:
        raise _unclear(path, problem) from problem
    if found:
        message = "\n".join(f"{path}: {misfit}" for misfit in found)
        raise LibraryIncompatible(message, hint=_HINT)
    return _version_of(document)


def _unclear(path: Path, problem: ValueError) -> LibraryIncompatible:
    return LibraryIncompatible(f"{path}: {problem}", hint="correct it, or remove it")


def incompatibilities(document: Mapping[str, Any], version: str) -> Iterator[str]:
    """The unmet requirements in a `versions.toml` for this version of the program.

    Raises ValueError with the key of an invalid entry.
    """
    own = _version_of(document)
    tables = _table(document, _TABLES)
    name = f"the library{f' {own}' if own else ''}"
    us = f"provctl {version} is platform {PLATFORM} with API {API}"
    entry = _entry(tables, "core", own)
    for key, there in (("platform", PLATFORM), ("provctl", version)):
        for required in _unmet(entry, key, f"min-{key}", there):
            yield f"{name} needs {required}; {us}"
    if entry.get("orchestrator-api", API) != API:
        yield f"{name} needs API {entry['orchestrator-api']}; {us}"
    entry = _entry(tables, "platform", PLATFORM)
    if own is not None:
        for required in _unmet(entry, "core", "min-core", own):
            yield f"platform {PLATFORM} needs {required}; {name} is not compatible"
    if entry.get("api-version", API) != API:
        yield f"platform {PLATFORM} must have API {entry['api-version']}; {us}"


def _parse(text: bytes) -> Dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if len(text) > _SIZE_MAX:
        message = f"it is larger than {_SIZE_MAX} bytes"
        raise ValueError(message)
    try:
        return tomllib.loads(decode(text))
    except RecursionError:
        message = "it is nested too deeply"
        raise ValueError(message) from None


def _version_of(document: Mapping[str, Any]) -> Optional[str]:
    for key in ("version", "core"):
        given = document.get(key)
        if isinstance(given, str):
            return given
        if given is not None and key == "version":
            message = "version: expected a text such as 3.2.1"
            raise ValueError(message)
    known = list(_table(_table(document, _TABLES), "core"))
    return known[0] if len(known) == 1 else None


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key, {})
    if not isinstance(found, dict):
        message = f"{key}: expected a table"
        raise ValueError(message)  # noqa: TRY004  # of the file, not of our types
    return found


def _entry(
    tables: Mapping[str, Any], kind: str, version: Optional[str]
) -> Mapping[str, Any]:
    """The entry of a version; its values must be texts."""
    if version is None:
        return {}
    wanted = _number(version, f"version {version}")
    for name in _table(tables, kind):
        place = f'compatibility.{kind}."{name}"'
        if _number(name, place) != wanted:
            continue
        entry = _table(_table(tables, kind), name)
        for key, value in entry.items():
            if not isinstance(value, str):
                message = f"{place}.{key}: expected a text"
                raise ValueError(message)  # noqa: TRY004  # as above
        return entry
    return {}


def _unmet(
    entry: Mapping[str, Any], key: str, least: str, version: str
) -> Iterator[str]:
    from semantic_version import NpmSpec

    there = _number(version, version)
    if key in entry:
        try:
            required = NpmSpec(entry[key])
        except ValueError:
            message = f"{key}: {entry[key]!r} is not a version range such as ^3.2"
            raise ValueError(message) from None
        if not required.match(there):
            yield f"{key} {entry[key]}"
    if least in entry and there < _number(entry[least], least):
        yield f"{key} {entry[least]} or newer"


def _number(text: str, place: str) -> Any:
    """A version; missing numbers count as zero."""
    from semantic_version import Version

    try:
        return Version.coerce(text)
    except ValueError:
        message = f"{place}: {text!r} is not a version such as 3.2.1"
        raise ValueError(message) from None
