"""The notification at the end of a watch: a bell, or a message on the desktop.

Only a terminal gets it: piped output stays unchanged. The message goes through the
terminal itself (OSC 9 or 777), so it arrives from other machines too; on the desktop's
own machine it uses `notify-send`, if installed.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Sequence, TextIO

import click

from provctl.cli.exit_codes import ENDS

if TYPE_CHECKING:
    from provctl.cli.session import Session


KINDS = ("none", "bell", "desktop")
_WORTH_IT_S = 10.0  # users who watched a shorter time are still present
_SEND_S = 5.0
_LENGTH = 200  # characters
_ESCAPE, _END, _BELL = "\x1b", "\x1b\\", "\a"


def notify_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb `--notify` as `notify`; None: as in the settings."""
    return click.option(
        "--notify",
        type=click.Choice(KINDS),
        help="How to notify you at the end (default: ui.notify, after 10 seconds).",
    )(verb)


def notify_end(
    session: Session,
    run_ids: Sequence[str],
    code: int,
    began: float,
    *,
    how: Optional[str],
) -> None:
    """Notify the user that runs have finished, if requested and at a terminal.

    `code` is the exit code of the watch, `began` its start on the monotonic clock;
    `how` is the value of the option, None if not given.
    """
    took_s = time.monotonic() - began
    if how is None and took_s >= _WORTH_IT_S:
        how = session.loaded.settings.ui.notify
    ended = code in ENDS.values()
    terminal = _terminal()
    if how in (None, "none") or not ended or terminal is None:
        return
    text = _text(session, run_ids, took_s)
    if how == "desktop" and _by_the_desktop(session.environ, text):
        return
    escape = escape_of(text, session.environ) if how == "desktop" else ""
    try:
        terminal.write(escape + _BELL)
        terminal.flush()
    except OSError:
        return  # the terminal is gone


def escape_of(text: str, environ: Mapping[str, str]) -> str:
    """Return the sequence for a message that this terminal supports.

    Inside tmux it is passed through. Nothing in `text` can end or extend it.
    """
    safe = "".join(char if char.isprintable() else " " for char in text)[:_LENGTH]
    iterm = "iTerm" in environ.get("TERM_PROGRAM", "") + environ.get("LC_TERMINAL", "")
    if iterm or "kitty" in environ.get("TERM", ""):
        escape = f"{_ESCAPE}]9;{safe}{_END}"
    else:
        escape = f"{_ESCAPE}]777;notify;provctl;{safe.replace(';', ',')}{_END}"
    if environ.get("TMUX"):
        doubled = escape.replace(_ESCAPE, _ESCAPE * 2)
        return f"{_ESCAPE}Ptmux;{doubled}{_END}"
    return escape


def _terminal() -> Optional[TextIO]:
    """Stderr or stdout as the process inherited them, if one is a terminal."""
    streams = (sys.__stderr__, sys.__stdout__)
    return next((each for each in streams if each and each.isatty()), None)


def _text(session: Session, run_ids: Sequence[str], took_s: float) -> str:
    from collections import Counter

    from provctl.render.text import duration, humanize
    from provctl.storage.run_summary import summarise_or_damaged

    runs = [summarise_or_damaged(session.folder.run(run_id)) for run_id in run_ids]
    ends = Counter(humanize(run.status_word) for run in runs)
    if len(runs) == 1:
        return f"{runs[0].name}: {next(iter(ends))}, after {duration(took_s)}"
    outcomes = ", ".join(f"{count} {word}" for word, count in ends.items())
    return f"{len(runs)} runs: {outcomes}, after {duration(took_s)}"


def _by_the_desktop(environ: Mapping[str, str], text: str) -> bool:
    """Whether the desktop of this machine has shown the message."""
    import subprocess
    from shutil import which

    here = environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    program = which("notify-send", path=environ.get("PATH"))
    if program is None or not here or environ.get("SSH_CONNECTION"):
        return False
    safe = "".join(char if char.isprintable() else " " for char in text)[:_LENGTH]
    try:
        sent = subprocess.run(
            [program, "--app-name=provctl", "--", "provctl", safe],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SEND_S,
            env=dict(environ),
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return sent.returncode == 0
