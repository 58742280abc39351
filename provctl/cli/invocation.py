"""The global options of this invocation, which commands in hints have to repeat.

Hints in the code name commands without options; the options are inserted when a hint is
printed.
"""

from __future__ import annotations

import re
import shlex
from typing import AbstractSet, Dict

_COMMAND = re.compile(r"\bprovctl (?=([a-z][a-z-]*))")


class CommandLine:
    """The flags of this command line that select runs and settings.

    Environment variables apply to the next command too. `verbs` are the first words of
    commands that use these flags; `name` is the name by which the program was called.
    """

    def __init__(
        self, verbs: AbstractSet[str] = frozenset(), name: str = "provctl"
    ) -> None:
        self.name = name
        self._verbs = verbs
        self._flags: Dict[str, str] = {}

    def add_flag(self, flag: str, path: str) -> None:
        """Add a flag with an absolute path; the last one counts."""
        self._flags[flag] = path

    @property
    def program(self) -> str:
        """The beginning of a command with the same flags, quoted for a shell."""
        given = (f"{flag} {shlex.quote(path)}" for flag, path in self._flags.items())
        return " ".join([self.name, *given])

    def with_flags(self, words: str) -> str:
        """Return a text of ours with name and flags in each command it names."""
        program = self.program

        def whole(found: re.Match[str]) -> str:
            return f"{program} " if found.group(1) in self._verbs else found.group()

        return _COMMAND.sub(whole, words)
