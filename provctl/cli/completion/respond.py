"""The answer to a shell that asks, on a press of Tab, what may come next.

Whatever is wrong, with the state directory, the configuration or the line, the answer
is empty then: who presses Tab has asked for no error.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, List, Mapping, Optional

from click.shell_completion import CompletionItem, ShellComplete

from provctl.cli.completion.shells import SHELLS, Completion
from provctl.cli.session import Session

if TYPE_CHECKING:
    import click

    from provctl.cli.completion.shells import Dialogue
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


def answer(command: click.Command, shell: str, environ: Mapping[str, str]) -> str:
    """Return what the script of `shell` wants to read; empty if there is nothing.

    `environ` has what was typed, as `cli/completion/shells.py` says.
    """
    if shell not in SHELLS:
        return ""
    try:
        dialogue = SHELLS[shell](environ)
        words = [_expand_user(word) for word in dialogue.words[1:-1]]
        typed = dialogue.words[-1] if len(dialogue.words) > 1 else ""
        session = _CompletionSession(environ=dict(environ))
        items = _items(command, session, words, typed)
        return _format_answer(items, typed, dialogue)
    except Exception:  # noqa: BLE001  # the line is not to be littered
        return ""


def _items(
    command: click.Command, session: Session, words: List[str], typed: str
) -> List[CompletionItem]:
    if words and words[-1][:1] == "-" and words[-1] != "--" and typed[:1] != "-":
        # An option without its value would end the parsing, and what else is on the
        # line would not be known. With a = click takes the two apart itself.
        words, typed = words[:-1], f"{words[-1]}={typed}"
    asked = ShellComplete(command, {"obj": session}, _PROGRAM, "")
    return asked.get_completions(words, typed)


def _format_answer(items: List[CompletionItem], typed: str, dialogue: Dialogue) -> str:
    flag, equals, _ = typed.partition("=")
    # Of `--from=we` click completes what is behind the =, and shells the whole.
    ahead = f"{flag}=" if equals and flag.startswith("-") else ""
    offers = {
        item.value: Completion(f"{ahead}{item.value}", item.help or "")
        for item in items
        # What a terminal would act upon, or a line cannot hold, is no word.
        if item.type == "plain" and item.value.isprintable()
    }
    rest = next((item.type for item in items if item.type in ("file", "dir")), "")
    if offers and all(value.endswith("=") for value in offers):
        rest = "open"
    return dialogue.answer([*offers.values()], rest) if offers or rest else ""


def _expand_user(word: str) -> str:
    return os.path.expanduser(word) if word.startswith("~") else word  # noqa: PTH111
