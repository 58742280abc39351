"""The answer to a shell that asks, on a press of Tab, what may come next.

Whatever is wrong, with the state directory, the configuration or the line, the answer
is empty then: who presses Tab has asked for no error.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Optional

from provctl.cli.completion.shells import COMPLETE_VAR, SHELLS
from provctl.cli.session import Session

if TYPE_CHECKING:
    import click

    from provctl.nushell.library.index import LibraryIndex


_PROGRAM = "provctl"


class _CompletionSession(Session):
    """A session of which Nushell is not started to read a library."""

    @cached_property
    def library(self) -> Optional[LibraryIndex]:
        """What is kept of the commands of the configured library."""
        if self.library_folder is None:
            return None
        from provctl.nushell.library.index import CachedLibraryIndex
        from provctl.runs.library.open import open_library

        return open_library(self.loaded.settings, self.environ, CachedLibraryIndex)


def answer(command: click.Command, shell: str) -> str:
    """Return what the script of `shell` wants to read; empty if there is nothing."""
    if shell not in SHELLS:
        return ""
    session = _CompletionSession(environ=dict(os.environ))
    try:
        asked = SHELLS[shell](command, {"obj": session}, _PROGRAM, COMPLETE_VAR)
        return asked.complete()
    except Exception:  # noqa: BLE001  # the line is not to be littered
        return ""
