"""The response to a shell that asks for completions after a press of Tab.

If anything is wrong with the state directory, the configuration or the line, the
response is empty: a user who presses Tab does not expect an error.
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
    """A session that does not start Nushell to read a library."""

    @cached_property
    def library(self) -> Optional[LibraryIndex]:
        """The cached commands of the configured library."""
        if self.library_folder is None:
            return None
        from provctl.nushell.library.index import CachedLibraryIndex
        from provctl.runs.library.open import open_library

        return open_library(self.loaded.settings, self.environ, CachedLibraryIndex)


def answer(command: click.Command, shell: str) -> str:
    """Return what the script of `shell` reads; empty if there are no completions."""
    if shell not in SHELLS:
        return ""
    session = _CompletionSession(environ=dict(os.environ))
    try:
        asked = SHELLS[shell](command, {"obj": session}, _PROGRAM, COMPLETE_VAR)
        return asked.complete()
    except Exception:  # noqa: BLE001  # no error may appear on the command line
        return ""
