"""The error tree: one class for each thing that can go wrong, each with its exit code.

    ProvctlError                    1    what happened, where, and what to do
    |- UsageError                 2    a flag or an argument
    |- SchedulerUnreachable        30    no scheduler, and none could be started
    |- JournalTooNew               31    written by a newer version
    |- StateDirError               32    state directory: permissions, disk, lock file
    |- JournalDamaged              33    file, offset and record are named
    |- NotFound                    40    unknown or ambiguous run, batch or task
    |- RequestRejected             41    right request, wrong status
    |- DuplicateKey                42    same key, other content
    |- InvalidWorkflow             50    all errors found, each with its location
    |  `- TemplateInvalid          50    the first error in a template
    `- MissingTool                 52    nu or nickel was not found
       `- LibraryIncompatible      52    the library needs another version

An error of the user or the environment is always one of these; anything else that
reaches the error handler is a bug and exits with 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional, Sequence, Tuple


class ProvctlError(Exception):
    """Base of the tree.

    `message` says what happened and where, `hint` what to do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ProvctlError):
    """A flag or an argument is wrong."""

    exit_code = 2


class InvalidConfig(UsageError):
    """A configuration file or a PROVCTL_* variable is wrong."""


class SchedulerUnreachable(ProvctlError):
    """No background scheduler answers, and none could be started."""

    exit_code = 30


class JournalTooNew(ProvctlError):
    """The journal was written by a newer version; it is left untouched."""

    exit_code = 31


class StateDirError(ProvctlError):
    """The state directory cannot be used: permissions, disk or a foreign file."""

    exit_code = 32


class JournalDamaged(ProvctlError):
    """An acknowledged record of a journal is damaged; nothing was changed.

    `record` is the first complete record that does not follow from the previous ones, 0
    for another kind of damage.
    """

    exit_code = 33

    def __init__(
        self, message: str, *, hint: Optional[str] = None, record: int = 0
    ) -> None:
        super().__init__(message, hint=hint)
        self.record = record


class NotFound(ProvctlError):
    """No run, batch or task has this name, or the name is ambiguous."""

    exit_code = 40


class RequestRejected(ProvctlError):
    """The request is valid, but not possible in the current status."""

    exit_code = 41


class DuplicateKey(ProvctlError):
    """The idempotency key is already used for a different workflow."""

    exit_code = 42


class MissingTool(ProvctlError):
    """A needed program or package (nu, nickel) was not found."""

    exit_code = 52


class LibraryIncompatible(MissingTool):
    """The Nushell library and this program are incompatible, by `versions.toml`."""


@dataclass(frozen=True)
class Diagnostic:
    """One mistake in a workflow file, with its location.

    `line` and `column` count from 1; 0 means unknown. `source_line` is the text of that
    line, `span` the number of columns to mark. `hint` says what to do.
    """

    message: str
    file: str
    line: int = 0
    column: int = 0
    source_line: str = ""
    span: int = 1
    hint: str = ""


class InvalidWorkflow(ProvctlError):
    """A workflow file with one or more mistakes, of which some are reported.

    `others` is the number of mistakes that are not reported.
    """

    exit_code = 50

    def __init__(self, mistakes: Sequence[Diagnostic], *, others: int = 0) -> None:
        lines = [mistake.message for mistake in mistakes]
        if others:
            lines.append(f"and {others} more error{'' if others == 1 else 's'}")
        super().__init__("\n".join(lines))
        self.mistakes: Tuple[Diagnostic, ...] = tuple(mistakes)
        self.others = others


class TemplateInvalid(InvalidWorkflow):
    """A template with a mistake, or with an undefined variable."""
