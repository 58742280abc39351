"""Where the value of a secret is: a reference as text, as a record, and back.

The text is what a run keeps. It names a place and has no value in it.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from enum import Enum
from typing import Any, Tuple

from provctl.base.light_dataclass import light_dataclass


class SecretKind(Enum):
    """What knows the value; the words with which references begin."""

    ENV = "env"
    FILE = "file"
    CMD = "cmd"
    SOPS = "sops"
    AGE = "age"
    KEYRING = "keyring"


# Whose `place` is the path of a file.
FILE_KINDS = (SecretKind.FILE, SecretKind.SOPS, SecretKind.AGE)
# What an owner has at hand: all others take a program, and time.
IMMEDIATE_KINDS = (SecretKind.ENV, SecretKind.FILE)

_FORMS = (
    'must be "env:NAME", "file:PATH", "cmd:PROGRAM WORD ...", { cmd = ["PROGRAM",'
    ' "WORD", ...] }, "sops:FILE#KEY.KEY", "age:FILE" or "keyring:SERVICE/USER"'
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Words that mean the same to every shell and to none.
_PLAIN_WORDS = re.compile(r"[A-Za-z0-9_./:=@%+,-]+(?: [A-Za-z0-9_./:=@%+,-]+)*")
# Keys with dots between them, or the expression of sops itself.
_KEYS = re.compile(r"[^.\[\]\"'\s][^.\[\]\"'\0\n]*")
_EXPRESSION = re.compile(r"(?:\[\"[^\[\]\"'\0\n]+\"\]|\[\d{1,9}\])+")


@light_dataclass
class SecretReference:
    """A place of a value: a variable, a file or a service, or the words of a command.

    `part` is the path in a file of sops, or the user of a service.
    """

    kind: SecretKind
    place: str = ""
    part: str = ""
    argv: Tuple[str, ...] = ()

    @property
    def is_immediate(self) -> bool:
        """Whether the owner of a run finds the value without a program."""
        return self.kind in IMMEDIATE_KINDS

    @property
    def text(self) -> str:
        """What `parse_reference` reads."""
        if self.kind is SecretKind.CMD:
            words = " ".join(self.argv)
            is_plain = _PLAIN_WORDS.fullmatch(words) and "" not in self.argv
            if is_plain and tuple(words.split(" ")) == self.argv:
                return f"cmd:{words}"
            return "cmd:" + json.dumps(self.argv, ensure_ascii=False)
        between = {SecretKind.SOPS: "#", SecretKind.KEYRING: "/"}.get(self.kind, "")
        return f"{self.kind.value}:{self.place}{between}{self.part}"

    def at(self, place: str) -> SecretReference:
        """Return the same reference to another place."""
        return replace(self, place=place)

    @property
    def expression(self) -> str:
        """Return the path in a file of sops as `--extract` takes it."""
        if self.part.startswith("["):
            return self.part
        keys = self.part.split(".")
        return "".join(f"[{k}]" if k.isdigit() else f'["{k}"]' for k in keys)


def read_reference(given: Any) -> SecretReference:
    """Return what a workflow file says of a secret: a text, or a record with `cmd`.

    Raises ValueError with words that follow the name of the field. They do not repeat
    what was given, for that may be the secret itself.
    """
    if isinstance(given, dict):
        if list(given) != ["cmd"]:
            raise ValueError(_FORMS)
        return _command(given["cmd"])
    if not isinstance(given, str):
        raise ValueError(_FORMS)  # noqa: TRY004 - pydantic wants this one
    if given.startswith("cmd:"):
        words = given[len("cmd:") :]
        # A shell takes NAME=value before the program for a variable.
        if not _PLAIN_WORDS.fullmatch(words) or "=" in words.split(" ")[0]:
            message = (
                "has a `cmd:` text that is not plain words with one space between them:"
                ' no shell reads it, so write { cmd = ["PROGRAM", "WORD", ...] }'
            )
            raise ValueError(message)
        return _command(words.split(" "))
    return parse_reference(given)


def parse_reference(text: str) -> SecretReference:
    """Return the reference that a text is. Raises ValueError as `read_reference`."""
    word, _, place = text.partition(":")
    if word not in {kind.value for kind in SecretKind} or not _is_text(text):
        raise ValueError(_FORMS)
    kind = SecretKind(word)
    if kind is SecretKind.CMD:
        is_list = place.startswith("[")
        return _command(json.loads(place) if is_list else place.split(" "))
    part = ""
    if kind is SecretKind.SOPS:
        place, _, part = place.rpartition("#")
        _check_path(part if place else "")
    elif kind is SecretKind.KEYRING:
        place, _, part = place.rpartition("/")
        if not (place and part):
            message = 'has no service or no user: write "keyring:SERVICE/USER"'
            raise ValueError(message)
    elif kind is SecretKind.ENV and not _VARIABLE.fullmatch(place):
        raise ValueError(_FORMS)
    if not place:
        raise ValueError(_FORMS)
    return SecretReference(kind, place, part)


def _is_text(text: str) -> bool:
    """Whether an argument or a path can be this."""
    return "\0" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)


def _check_path(part: str) -> None:
    is_path = (
        _EXPRESSION.fullmatch(part)
        if part.startswith("[")
        else all(_KEYS.fullmatch(key) for key in part.split("."))
    )
    if not is_path:
        message = (
            'has no path into the file: write "sops:FILE#db.password", or'
            ' "sops:FILE#["db"]["a.b"]" for keys with dots'
        )
        raise ValueError(message)


def _command(argv: Any) -> SecretReference:
    if not isinstance(argv, list) or not argv:
        message = (
            'has a `cmd` that is not a list of words: { cmd = ["pass", "show", "db"] }'
        )
        raise ValueError(message)
    if not all(isinstance(word, str) and _is_text(word) for word in argv):
        message = "has a `cmd` with a word that is not text"
        raise ValueError(message)
    if not argv[0]:
        message = "has a `cmd` that does not begin with the program to run"
        raise ValueError(message)
    return SecretReference(SecretKind.CMD, argv=tuple(argv))
