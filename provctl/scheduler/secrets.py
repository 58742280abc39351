"""Looks up the value of a secret, when a task needs it and not before.

Values go into the environment of the task and nowhere else. Messages name the place of
a value, never its content. Values in variables and files are read at once. All others
are printed by a program, which takes time: `scheduler.secret_lookups` runs it in
threads.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.base.limited_process import ProcessLimits
from provctl.base.program_output import RunningProgram, read_output
from provctl.base.redact import encodings_of, redact_bytes
from provctl.base.self_command import pip_install
from provctl.base.text import plain
from provctl.core.model.secret_reference import (
    SecretKind,
    SecretReference,
    parse_reference,
)
from provctl.errors import NotFound

if TYPE_CHECKING:
    from provctl.base.limited_process import Exit

_MAX = 64 * 1024  # bytes; the limit of Linux for one variable is 128 KiB
_SHOWN = 200  # maximum characters of a reference in messages
_ERROR_SHOWN = 400  # maximum characters of a program's stderr in messages
_KEYRING_CHILD = Path(__file__).with_name("keyring_child.py")
# Exit codes of the keyring program: package not installed, no value.
NO_PACKAGE, NO_VALUE = 97, 98


@light_dataclass
class SecretSettings:
    """The configuration of programs that print secrets.

    `age_identity` is the file with the age key; if empty, SOPS_AGE_KEY_FILE names it.
    """

    timeout_s: float = 30.0
    age_identity: str = ""


@light_dataclass
class SecretSource:
    """Where secrets are looked up: the owner's environment and its settings."""

    environ: Mapping[str, str]
    settings: SecretSettings = SecretSettings()


def find_secret(name: str, text: str, environ: Mapping[str, str]) -> str:
    """Return the value of an immediate reference: "env:NAME" or "file:PATH".

    Removes one newline at the end of a file. Raises NotFound if there is no value, if
    an environment cannot hold the value, or if only a program can print it.
    """
    reference = _parse(name, text)
    place = reference.place
    if reference.kind is SecretKind.ENV:
        return _check(name, f"the environment variable {place}", environ.get(place))
    if reference.kind is not SecretKind.FILE:
        message = f"secret {name}: {shown(reference)} is looked up when a task starts"
        raise NotFound(message)
    try:
        # Opened non-blocking: a FIFO must not block the owner of the run.
        fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            content = file.read(_MAX + 1)
    except OSError as problem:
        message = f"secret {name}: {place}: {problem.strerror}"
        raise NotFound(
            message, hint="the file must be readable by the owner of the run"
        ) from problem
    text = (content or b"").decode("utf-8", "replace")
    return _check(name, place, text[:-1] if text.endswith("\n") else text)


def is_immediate(text: str) -> bool:
    """Whether a reference needs no program, or is of an unknown type."""
    try:
        return parse_reference(text).is_immediate
    except ValueError:
        return True  # `find_secret` rejects it


def _parse(name: str, text: str) -> SecretReference:
    try:
        return parse_reference(text)
    except ValueError as problem:
        message = f"secret {name}: its reference {problem}"
        raise NotFound(message, hint="this version of provctl knows no other") from None


def shown(reference: SecretReference) -> str:
    """Return a reference for messages: on one line, with limited length."""
    text = plain(reference.text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _check(name: str, where: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        message = f"secret {name}: {where} is not set in the process that owns the run"
        hint = (
            "the scheduler owns submitted runs: set it there, then restart the"
            " scheduler"
        )
        raise NotFound(message, hint=hint)
    return _check_text(name, where, value)


def _check_text(name: str, where: str, value: str) -> str:
    # A value that is not UTF-8 could not be found again in logs and outputs.
    raw = value.encode(errors="replace")
    if {"\0", "\ufffd"} & {*value} or raw.decode() != value or len(raw) > _MAX:
        message = f"secret {name}: {where} must be UTF-8 text of at most 64 KiB"
        raise NotFound(message, hint="encode it, with base64 for example")
    return value


# -- programs that print secrets -------------------------------------------------------


def ask_program(
    name: str, text: str, source: SecretSource, program: RunningProgram, cwd: str
) -> str:
    """Return what a program prints for a reference, without the newline at its end.

    The program may run as long as the settings allow. Raises NotFound; its cause is the
    OSError if the machine has a shortage.
    """
    reference = _parse(name, text)
    where = shown(reference)
    argv = command_line(name, reference, source)
    limits = ProcessLimits(wall_s=source.settings.timeout_s, output_bytes=_MAX + 1)
    try:
        ended = read_output(argv, limits, program, env=source.environ, cwd=cwd)
    except OSError as problem:
        what, hint = _why_not_started(argv[0], cwd, problem)
        message = f"secret {name}: {where}: {what}"
        raise NotFound(message, hint=hint) from problem
    value = ended.out.decode("utf-8", "replace")
    if ended.code or ended.late or len(ended.out) > _MAX + 1 or not value:
        what, hint = _why_no_value(reference, ended, source, limits)
        message = f"secret {name}: {where}: {what}"
        raise NotFound(message, hint=hint)
    value = value[:-1] if value.endswith("\n") else value
    if not value:
        message = f"secret {name}: {where}: it printed an empty line"
        raise NotFound(message, hint=_hint_of(reference, source))
    return _check_text(name, where, value)


def command_line(
    name: str, reference: SecretReference, source: SecretSource
) -> Tuple[str, ...]:
    """Return the program that prints a secret, and its arguments; no shell is involved.

    Raises NotFound if something that the program needs is missing.
    """
    place = reference.place
    if reference.kind is SecretKind.CMD:
        return reference.argv
    if reference.kind is SecretKind.SOPS:
        return ("sops", "--decrypt", "--extract", reference.expression, place)
    if reference.kind is SecretKind.KEYRING:
        child = (sys.executable, "-I", str(_KEYRING_CHILD))
        return (*child, place, reference.part)
    assert reference.kind is SecretKind.AGE, reference.kind
    identity = _age_identity(source)
    if not identity:
        message = f"secret {name}: {shown(reference)}: no identity file is known"
        hint = (
            "set secrets.age_identity to the file with the key, or SOPS_AGE_KEY_FILE"
            " in the process that owns the run"
        )
        raise NotFound(message, hint=hint)
    return ("age", "--decrypt", "-i", identity, place)


def _age_identity(source: SecretSource) -> str:
    """Return the file with the age key, from the settings or the environment."""
    return source.settings.age_identity or source.environ.get("SOPS_AGE_KEY_FILE", "")


def _why_not_started(program: str, cwd: str, problem: OSError) -> Tuple[str, str]:
    if problem.filename == cwd:
        what = f"it cannot be run in {cwd}: {problem.strerror}"
        return what, "it runs where the tasks of the run do"
    if isinstance(problem, FileNotFoundError):
        what = f"the program {plain(program)} was not found"
        hint = (
            f"install {plain(program)}, or correct PATH of the process that owns the"
            " run; the scheduler owns submitted runs"
        )
        return what, hint
    what = f"the program {plain(program)} cannot be run: {problem.strerror}"
    return what, "it must be a program that the owner of the run may execute"


def _why_no_value(
    reference: SecretReference,
    ended: Exit,
    source: SecretSource,
    limits: ProcessLimits,
) -> Tuple[str, str]:
    """Return the problem, with the end of stderr but without the value, and a hint."""
    if ended.late:
        what = f"it exceeded the time limit of {limits.wall_s:g} s"
        hint = (
            "nobody can answer it: it has no terminal and no input; or raise"
            " secrets.timeout_seconds"
        )
        return f"{what}{_last_words(ended)}", hint
    if len(ended.out) > _MAX:
        return "it printed more than 64 KiB", _hint_of(reference, source)
    if reference.kind is SecretKind.KEYRING:
        if ended.code == NO_PACKAGE:
            hint = f"install it where provctl is: {pip_install('keyring')}"
            return "the package keyring is not installed", hint
        if ended.code == NO_VALUE:
            what = "the keyring has no such password"
            return what, _hint_of(reference, source)
    if ended.code < 0:
        what = f"killed by signal {-ended.code}"
    else:
        what = f"exit code {ended.code}" if ended.code else "it printed nothing"
    return f"{what}{_last_words(ended)}", _hint_of(reference, source)


def _hint_of(reference: SecretReference, source: SecretSource) -> str:
    if reference.kind is SecretKind.SOPS:
        return (
            "check the path in the file, and that the owner of the run has the key,"
            " as with SOPS_AGE_KEY_FILE"
        )
    if reference.kind is SecretKind.AGE:
        identity = plain(_age_identity(source))
        return f"check that the file is encrypted for the key in {identity}"
    if reference.kind is SecretKind.KEYRING:
        words = shlex.join((reference.place, reference.part))
        return f"store it in the account of the owner of the run: keyring set {words}"
    return (
        "run the command in the account and with the environment of the owner of the"
        " run; the scheduler owns submitted runs"
    )


def _last_words(ended: Exit) -> str:
    """Return the end of a program's stderr on one line; redact its stdout in it."""
    forms = encodings_of([ended.out.decode("utf-8", "replace")])
    raw = [form.encode("utf-8", "surrogatepass") for form in forms]
    said = redact_bytes(ended.err, raw).decode("utf-8", "replace")
    words = plain(" ".join(said.split()))
    if not words:
        return ""
    cut = words if len(words) <= _ERROR_SHOWN else f"...{words[-_ERROR_SHOWN:]}"
    return f": {cut}"
