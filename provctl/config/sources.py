"""Owns the sources of settings: files, environment and flags, each read into entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Iterator, List, Mapping, NamedTuple, Tuple

from provctl.config.document import Document, read_document
from provctl.config.keys import (
    SECTIONS,
    SPELLINGS,
    VARIABLES,
    Key,
    variable_of,
)
from provctl.errors import ConfigInvalid
from provctl.near import nearest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Entry", "read_environment", "read_file", "read_flags"]

_SHOWN_LENGTH = 60
# Variables that are no settings: of tasks, of completion, of the service, of tests.
_OWN = frozenset(
    (
        *("ATTEMPT", "ATTEMPT_ID", "BREAKS", "CHECKPOINT_FILE", "COLUMNS", "COMPLETE"),
        *("CONFIG", "ENDPOINT", "IDEMPOTENCY_KEY", "INPUT", "INPUT_FILE", "NEEDS"),
        *("OUTPUT_FILE", "PROGRAM", "RUN", "SERVICE", "TASK", "TASK_ID", "TOKEN"),
        *("TYPE", "WORDS"),
    )
)


class Entry(NamedTuple):
    """One setting as a source gives it.

    `origin` says where it stands, `subject` that and how it is spelled there.
    """

    key: Key
    value: object
    origin: str
    subject: str


def read_file(path: Path) -> List[Entry]:
    """Return the settings of a TOML file, in its order.

    Raises ConfigInvalid with file and line for whatever is not right in it, and
    FileNotFoundError if it is not there.
    """
    document = read_document(path)
    entries = []
    for spelling, value in _flat(document):
        origin = document.origin(spelling)
        subject = f"{origin}: {spelling}"
        key = SPELLINGS.get(spelling)
        if key is None:
            what = f"{origin}: unknown key {spelling}"
            raise _unknown(what, spelling, SPELLINGS)
        accepted = _accept(key, value, subject, folder=str(path.parent))
        entries.append(Entry(key, accepted, origin, subject))
    return entries


def read_environment(environ: Mapping[str, str]) -> List[Entry]:
    """Return the settings among the environment variables; empty ones do not count.

    Raises ConfigInvalid for a variable that looks like a setting and is none,
    and for a value that is not as expected.
    """
    entries = []
    for variable, text in sorted(environ.items()):
        key = VARIABLES.get(variable)
        if key is None:
            _refuse_lookalike(variable)
        elif text:
            value = _accept(key, _read(key, text, variable), variable)
            entries.append(Entry(key, value, variable, variable))
    return entries


def read_flags(flags: Mapping[str, object]) -> List[Entry]:
    """Return the settings given by flags, by key; None means the flag is absent.

    Text is read as in the environment. Raises ConfigInvalid for a value that is
    not as expected.
    """
    entries = []
    for spelling, given in flags.items():
        key = SPELLINGS[spelling]
        origin = f"flag {key.description.flag or spelling}"
        if given is not None:
            value = _read(key, given, origin) if isinstance(given, str) else given
            entries.append(Entry(key, _accept(key, value, origin), origin, origin))
    return entries


def _flat(document: Document) -> Iterator[Tuple[str, object]]:
    for name, value in document.data.items():
        if name in SECTIONS and name not in SPELLINGS:
            yield from _section(document, name, value)
        elif name in SPELLINGS or not isinstance(value, dict):
            yield name, value
        else:
            what = f"{document.origin(name)}: unknown section [{name}]"
            raise _unknown(what, name, SECTIONS)


def _section(
    document: Document, name: str, content: object
) -> Iterator[Tuple[str, object]]:
    if not isinstance(content, dict):
        expected, subject = "a section of keys", f"{document.origin(name)}: {name}"
        raise _unexpected(expected, content, subject)
    for leaf, value in content.items():
        yield f"{name}.{leaf}", value


def _refuse_lookalike(variable: str) -> None:
    """Refuse a variable that begins as a section does, or was meant as a setting."""
    for section in SECTIONS:
        prefix = variable_of(section)
        if variable == prefix or variable.startswith(f"{prefix}_"):
            what = f"unknown environment variable {variable}"
            raise _unknown(what, variable, VARIABLES)
    start, _, name = variable.partition("PROVCTL_")
    if start or name in _OWN or name.startswith("FAILPOINT_"):
        return
    names = {known[len("PROVCTL_") :]: known for known in VARIABLES}
    sections = [section.upper() for section in SECTIONS]
    near = nearest(name, names, cutoff=0.8)
    if near or nearest(name.partition("_")[0], sections, cutoff=0.85):
        what = f"unknown environment variable {variable}"
        hint = "`provctl config show` lists all keys"
        raise ConfigInvalid(what, hint=f"did you mean {names[near]}?" if near else hint)


def _read(key: Key, text: str, subject: str) -> object:
    try:
        return key.description.kind.read(text)
    except ValueError:
        raise _unexpected(key.description.kind.expected, text, subject) from None


def _accept(key: Key, value: object, subject: str, *, folder: str = "") -> object:
    try:
        return key.description.kind.accept(value, folder)
    except ValueError:
        raise _unexpected(key.description.kind.expected, value, subject) from None


def _unexpected(expected: str, value: object, subject: str) -> ConfigInvalid:
    import json

    shown = json.dumps(value, default=str, ensure_ascii=False)
    if len(shown) > _SHOWN_LENGTH:
        shown = f"{shown[:_SHOWN_LENGTH]}..."
    return ConfigInvalid(f"{subject}: expected {expected}, got {shown}")


def _unknown(what: str, word: str, known: Iterable[str]) -> ConfigInvalid:
    near = nearest(word, known, cutoff=0.7)
    hint = f"did you mean {near}?" if near else "`provctl config show` lists all keys"
    return ConfigInvalid(what, hint=hint)
