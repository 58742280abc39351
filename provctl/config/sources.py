"""The sources of settings: files, environment and flags, each read into entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Iterator, List, Mapping, NamedTuple, Tuple

from provctl.base.suggest import closest_match
from provctl.config.registry import (
    SECTIONS,
    SPELLINGS,
    VARIABLES,
    SettingKey,
    variable_of,
)
from provctl.config.toml_document import TomlDocument, read_document
from provctl.errors import InvalidConfig

if TYPE_CHECKING:
    from pathlib import Path


_SHOWN_LENGTH = 60
# Variables that are not settings: of tasks, completion, the service, and tests.
_OWN = frozenset(
    (
        *("ATTEMPT", "ATTEMPT_ID", "BREAKS", "CHECKPOINT_FILE", "COLUMNS", "COMPLETE"),
        *("CONFIG", "ENDPOINT", "IDEMPOTENCY_KEY", "INPUT", "INPUT_FILE", "NEEDS"),
        *("OUTPUT_FILE", "PROGRAM", "RUN", "SERVICE", "TASK", "TASK_ID", "TOKEN"),
        *("TYPE", "WORDS"),
    )
)


class SettingValue(NamedTuple):
    """One setting as a source gives it.

    `origin` is its location, `subject` its location and spelling.
    """

    key: SettingKey
    value: object
    origin: str
    subject: str


def read_file(path: Path) -> List[SettingValue]:
    """Return the settings of a TOML file, in its order.

    Raises InvalidConfig with file and line for every mistake, and FileNotFoundError if
    the file does not exist.
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
        entries.append(SettingValue(key, accepted, origin, subject))
    return entries


def read_environment(environ: Mapping[str, str]) -> List[SettingValue]:
    """Return the settings among the environment variables; empty ones do not count.

    Raises InvalidConfig for a variable that looks like a setting but is not, and for an
    invalid value.
    """
    entries = []
    for variable, text in sorted(environ.items()):
        key = VARIABLES.get(variable)
        if key is None:
            _reject_unknown_variable(variable)
        elif text:
            value = _accept(key, _read(key, text, variable), variable)
            entries.append(SettingValue(key, value, variable, variable))
    return entries


def read_flags(flags: Mapping[str, object]) -> List[SettingValue]:
    """Return the settings given by flags, by key; None means the flag is absent.

    Text is read as in the environment. Raises InvalidConfig for a wrong value.
    """
    entries = []
    for spelling, given in flags.items():
        key = SPELLINGS[spelling]
        origin = f"flag {key.description.flag or spelling}"
        if given is not None:
            value = _read(key, given, origin) if isinstance(given, str) else given
            entries.append(
                SettingValue(key, _accept(key, value, origin), origin, origin)
            )
    return entries


def _flat(document: TomlDocument) -> Iterator[Tuple[str, object]]:
    for name, value in document.data.items():
        if name in SECTIONS and name not in SPELLINGS:
            yield from _section(document, name, value)
        elif name in SPELLINGS or not isinstance(value, dict):
            yield name, value
        else:
            what = f"{document.origin(name)}: unknown section [{name}]"
            raise _unknown(what, name, SECTIONS)


def _section(
    document: TomlDocument, name: str, content: object
) -> Iterator[Tuple[str, object]]:
    if not isinstance(content, dict):
        expected, subject = "a section of keys", f"{document.origin(name)}: {name}"
        raise _unexpected(expected, content, subject)
    for leaf, value in content.items():
        yield f"{name}.{leaf}", value


def _reject_unknown_variable(variable: str) -> None:
    """Refuse an unknown variable that begins like a section or resembles a setting."""
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
    near = closest_match(name, names, cutoff=0.8)
    if near or closest_match(name.partition("_")[0], sections, cutoff=0.85):
        what = f"unknown environment variable {variable}"
        hint = "`provctl config show` lists all keys"
        raise InvalidConfig(what, hint=f"did you mean {names[near]}?" if near else hint)


def _read(key: SettingKey, text: str, subject: str) -> object:
    try:
        return key.description.kind.read(text)
    except ValueError:
        raise _unexpected(key.description.kind.expected, text, subject) from None


def _accept(
    key: SettingKey, value: object, subject: str, *, folder: str = ""
) -> object:
    try:
        return key.description.kind.accept(value, folder)
    except ValueError:
        raise _unexpected(key.description.kind.expected, value, subject) from None


def _unexpected(expected: str, value: object, subject: str) -> InvalidConfig:
    import json

    shown = json.dumps(value, default=str, ensure_ascii=False)
    if len(shown) > _SHOWN_LENGTH:
        shown = f"{shown[:_SHOWN_LENGTH]}..."
    return InvalidConfig(f"{subject}: expected {expected}, got {shown}")


def _unknown(what: str, word: str, known: Iterable[str]) -> InvalidConfig:
    near = closest_match(word, known, cutoff=0.7)
    hint = f"did you mean {near}?" if near else "`provctl config show` lists all keys"
    return InvalidConfig(what, hint=hint)
