"""Labels: words that users give runs, and conditions that select runs by them.

A key is up to 63 letters, digits, `.`, `_`, `-` and `/`, with a letter or a digit at
both ends. A value is up to 200 printable characters without commas, because a comma
separates conditions; it may be empty.
"""

from __future__ import annotations

import re
from typing import Iterable, Mapping, Tuple

from provctl.base.light_dataclass import light_dataclass

MOST = 32  # labels of a run

_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
_VALUE_MAX = 200
_SHOWN = 80


@light_dataclass
class Condition:
    """A condition on labels: `how` is "=", "!=", "has" or "lacks"."""

    key: str
    how: str
    value: str = ""

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether labels match. `!=` also matches if the key is missing."""
        if self.how == "has":
            return self.key in labels
        if self.how == "lacks":
            return self.key not in labels
        return (labels.get(self.key) == self.value) is (self.how == "=")


def conditions(text: str) -> Tuple[Condition, ...]:
    """Return the conditions in a text such as "env=prod,team!=web,ci,!draft".

    Raises ValueError with a message for users.
    """
    return tuple(_condition(part.strip()) for part in text.split(","))


def fit_all(wanted: Iterable[Condition], labels: Mapping[str, str]) -> bool:
    """Whether labels match all conditions."""
    return all(condition.fits(labels) for condition in wanted)


def _condition(text: str) -> Condition:
    key, equals, value = text.partition("=")
    if equals:
        unequal = key.endswith("!")
        # Programmers may write two equals signs.
        value = value[1:] if value.startswith("=") and not unequal else value
        condition = Condition(key.rstrip("!"), "!=" if unequal else "=", value)
    elif text.startswith("!"):
        condition = Condition(text[1:], "lacks")
    else:
        condition = Condition(text, "has")
    _check(condition.key, condition.value)
    return condition


def label(text: str) -> Tuple[str, str]:
    """Return the key and the value of a text "key=value". Raises ValueError."""
    key, equals, value = text.partition("=")
    if not equals:
        message = f"{_abbreviate(text)} is not of the form KEY=VALUE"
        raise ValueError(message)
    _check(key, value)
    return key, value


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise ValueError with a message for users if a run cannot have these labels."""
    if len(labels) > MOST:
        message = f"a run has at most {MOST} labels, not {len(labels)}"
        raise ValueError(message)
    for key, value in labels.items():
        _check(key, value)


def _check(key: str, value: str) -> None:
    if not _KEY.fullmatch(key):
        message = (
            f"invalid label key {_abbreviate(key)}: use up to 63 letters, digits, `.`,"
            " `_`, `-` and `/`, and begin and end with a letter or a digit"
        )
        raise ValueError(message)
    if len(value) > _VALUE_MAX or "," in value or not value.isprintable():
        message = (
            f"invalid value of label {key}: use up to {_VALUE_MAX} printable"
            " characters, without commas"
        )
        raise ValueError(message)


def _abbreviate(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
