"""The types of values that settings can have: checks, and conversion of text.

Text comes from environment variables and flags, ready values from TOML files; both end
in `accept`, so a value means the same in every source.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable, List, Mapping, NamedTuple, Tuple

from provctl.base.timefmt import parse_duration

_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


class UnexpectedError(ValueError):
    """A value that its type does not accept."""


class ValueType(NamedTuple):
    """The type of a setting.

    `expected` describes it in words. `read` converts text to a value, `accept` checks a
    value and brings it into its final form; relative paths start at the given folder
    ("" for the working directory). Both raise ValueError (`accept` always
    UnexpectedError) for anything else.
    """

    expected: str
    accept: Callable[[object, str], object]
    read: Callable[[str], object] = str


def switch() -> ValueType:
    """Return the kind of true and false."""

    def accept(value: object, _folder: str) -> bool:
        if not isinstance(value, bool):
            raise UnexpectedError
        return value

    def read(word: str) -> bool:
        try:
            return _WORDS[word.strip().lower()]
        except KeyError:
            raise UnexpectedError from None

    return ValueType("true or false", accept, read)


def whole(minimum: int, maximum: int) -> ValueType:
    """Return the kind of whole numbers between two bounds, both included."""

    def accept(value: object, _folder: str) -> int:
        # In Python true is a number; here it is a mistake.
        if not isinstance(value, int) or isinstance(value, bool):
            raise UnexpectedError
        _check_bounds(value, minimum, maximum)
        return value

    return ValueType(f"a whole number from {minimum} to {maximum}", accept, int)


def seconds(minimum: float, maximum: float) -> ValueType:
    """Return the kind of durations in seconds between two bounds, both included."""

    def accept(value: object, _folder: str) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise UnexpectedError
        _check_bounds(value, minimum, maximum)
        return value

    def read(word: str) -> float:
        number = float(word)
        return int(number) if number.is_integer() else number

    return ValueType(
        f"seconds, a number from {minimum:g} to {maximum:.0f}", accept, read
    )


def text(
    pattern: str = r"[^\0]+", expected: str = "a text that is not empty"
) -> ValueType:
    """Return the kind of texts that match `pattern` from end to end."""

    def accept(value: object, _folder: str) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise UnexpectedError
        return value

    return ValueType(expected, accept)


def choice(*options: str, because: str = "") -> ValueType:
    """Return the kind of a few fixed words; `because` says why there are no others."""

    def accept(value: object, _folder: str) -> str:
        if not isinstance(value, str) or value not in options:
            raise UnexpectedError
        return value

    return ValueType(" or ".join(f'"{option}"' for option in options) + because, accept)


def path() -> ValueType:
    """Return the kind of paths; they become absolute, `~` is the home directory."""

    def accept(value: object, folder: str) -> str:
        if not isinstance(value, str) or not value or "\0" in value:
            raise UnexpectedError
        try:
            return str(Path(folder, Path(value).expanduser()).absolute())
        except RuntimeError as unknown_user:
            raise UnexpectedError from unknown_user

    return ValueType("a path", accept)


def program() -> ValueType:
    """Return the kind of programs: a name to look for in PATH, or a path."""
    located = path()

    def accept(value: object, folder: str) -> object:
        bare = isinstance(value, str) and not re.search(r"[/~\0]", value)
        return value if bare and value else located.accept(value, folder)

    return ValueType("the name or the path of a program", accept)


def commands() -> ValueType:
    """Return the kind of lists of commands, each a program and its arguments."""
    located = program()

    def accept(value: object, folder: str) -> Tuple[object, ...]:
        if not isinstance(value, (list, tuple)):
            raise UnexpectedError
        return tuple(command(words, folder) for words in value)

    def command(words: object, folder: str) -> Tuple[object, ...]:
        if not isinstance(words, (list, tuple)) or not words:
            raise UnexpectedError
        first, *rest = words
        if not all(isinstance(word, str) and "\0" not in word for word in rest):
            raise UnexpectedError
        return (located.accept(first, folder), *rest)

    expected = 'a list of commands, each a list of words such as ["notify", "--all"]'
    return ValueType(expected, accept, _json)


def names(item: ValueType, expected: str) -> ValueType:
    """Return the kind of lists of texts, each of the kind `item`."""

    def accept(value: object, folder: str) -> Tuple[object, ...]:
        if not isinstance(value, (list, tuple)):
            raise UnexpectedError
        return tuple(item.accept(entry, folder) for entry in value)

    def read(word: str) -> object:
        return _json(word) if word.lstrip().startswith("[") else _split(word)

    return ValueType(expected, accept, read)


def table(item: ValueType, expected: str, *, name: str) -> ValueType:
    """Return the kind of tables; keys match the pattern `name`, values are `item`."""

    def accept(value: object, folder: str) -> Mapping[str, object]:
        if not isinstance(value, Mapping):
            raise UnexpectedError
        if not all(re.fullmatch(name, key) for key in value):
            raise UnexpectedError
        return {key: item.accept(entry, folder) for key, entry in value.items()}

    def read(word: str) -> object:
        if word.lstrip().startswith("{"):
            return _json(word)
        pairs = [entry.partition("=") for entry in _split(word)]
        return {key.strip(): item.read(entry.strip()) for key, _, entry in pairs}

    return ValueType(expected, accept, read)


def duration(maximum_s: float) -> ValueType:
    """Return the kind of durations: "10m", or seconds."""

    def accept(value: object, _folder: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise UnexpectedError
        number = value if isinstance(value, (int, float)) else _parsed(value)
        _check_bounds(number, 0, maximum_s)
        return number

    return ValueType('a duration such as "10m", or seconds', accept)


def _parsed(text_of: str) -> float:
    try:
        return float(text_of) if text_of.strip().isdigit() else parse_duration(text_of)
    except ValueError:
        raise UnexpectedError from None


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size() -> ValueType:
    """Return the kind of sizes of memory: "16G", or bytes."""

    def accept(value: object, _folder: str) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        if not isinstance(value, str):
            raise UnexpectedError
        found = re.fullmatch(r"(\d{1,15})([KMGT]?)i?B?", value)
        if found is None:
            raise UnexpectedError
        return int(found[1]) * _UNITS[found[2]]

    return ValueType('a size such as "16G"', accept)


def records(
    fields: Mapping[str, ValueType], needed: Tuple[str, ...], *, name: str
) -> ValueType:
    """Return the kind of tables of records, by names that match the pattern `name`."""

    def accept(value: object, folder: str) -> Mapping[str, object]:
        if not isinstance(value, Mapping):
            raise UnexpectedError
        if not all(re.fullmatch(name, key) for key in value):
            raise UnexpectedError
        return {key: one(entry, folder) for key, entry in value.items()}

    def one(entry: object, folder: str) -> Mapping[str, object]:
        if not isinstance(entry, Mapping) or not set(needed) <= set(entry) <= set(
            fields
        ):
            raise UnexpectedError
        return {key: fields[key].accept(given, folder) for key, given in entry.items()}

    parts = ", ".join(f"{key} ({kind.expected})" for key, kind in fields.items())
    expected = f"a table of records with {' and '.join(needed)}, and of {parts}"
    return ValueType(expected, accept, _json)


def _check_bounds(value: float, minimum: float, maximum: float) -> None:
    # Written so that "not a number", which compares false with all, is refused.
    if not minimum <= value <= maximum:
        raise UnexpectedError


def _split(word: str) -> List[str]:
    return [entry.strip() for entry in word.split(",") if entry.strip()]


def _json(word: str) -> object:
    import json

    try:
        return json.loads(word)
    except RecursionError as too_deep:
        raise UnexpectedError from too_deep
