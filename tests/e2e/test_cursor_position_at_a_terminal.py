"""Terminals that report the cursor position late, mixed with typed input, or never."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_live_views import gated, open_gate
from tests.support.attempts import PATIENCE_S
from tests.support.terminals import QUESTION, Terminal

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_SHELL = ["bash", "--noprofile", "--norc", "--noediting", "-i"]


def test_live_view_works_on_a_terminal_that_never_answers(provctl: Provctl) -> None:
    """The terminal is asked once. Then the view draws as if it could not be asked."""
    run = provctl.submit(provctl.file({"a": gated(provctl)}))
    with Terminal(_SHELL, {**provctl.environ, "PS1": "> "}, provctl.folder) as terminal:
        terminal.mute = True
        terminal.press("stty -a >before\r")
        terminal.press(f"{provctl.program} watch {run}; stty -a >after\r")
        terminal.watch(partial(_has_bar, cells=20))
        for columns, cells in ((50, 8), (80, 20), (40, 8)):
            terminal.resize(40, columns)
            terminal.press("touch typed\r")
            terminal.watch(partial(_has_bar, cells=cells))
        assert terminal.raw.count(QUESTION) == 1
        open_gate(provctl)
        terminal.read_until("succeeded in")
        terminal.press("echo do''ne\r")
        terminal.read_until("done")
        assert "touch" not in terminal.plain
    assert not (provctl.folder / "typed").exists()
    before, after = ((provctl.folder / n).read_text() for n in ("before", "after"))
    assert _modes(before) == _modes(after)


def test_cursor_position_is_read_in_pieces_and_between_typed_input(
    provctl: Provctl,
) -> None:
    run = provctl.submit(provctl.file({"a": gated(provctl)}))
    with Terminal(_SHELL, {**provctl.environ, "PS1": "> "}, provctl.folder) as terminal:
        terminal.press(f"{provctl.program} watch {run}\r")
        terminal.watch(partial(_has_bar, cells=20))
        for columns in (80, 90):
            terminal.mute = True
            terminal.resize(40, columns)
            asked = terminal.raw.count(QUESTION)
            deadline = time.monotonic() + PATIENCE_S
            while terminal.raw.count(QUESTION) == asked:
                terminal.read_more(deadline)
            (answer,) = terminal.answers()
            terminal.press("touch typed\r\x1b[A" + answer[:3])
            # It is not as wide as the system says.
            row = answer[3:].partition(";")[0]
            terminal.press(row + ";45R" + "touch typed\r")
            terminal.watch(partial(_has_bar, cells=8))
            terminal.mute = False
            terminal.resize(40, 110)
            terminal.watch(partial(_has_bar, cells=20))
        open_gate(provctl)
        terminal.read_until("succeeded in")
        terminal.press("echo do''ne\r")
        terminal.read_until("done")
        assert "touch" not in terminal.plain
        assert ";45R" not in terminal.plain
    assert not (provctl.folder / "typed").exists()


_ASK_AND_LEAVE = """
import sys
from provctl.render.live.terminal_input import Keys
keys = Keys(1, patience_s=float(sys.argv[1]))
keys.hold()
keys.ask()
keys.release()
print("released", flush=True)
print(sys.stdin.readline().encode(), flush=True)
"""


@pytest.mark.parametrize("patience_s", [60, 0])
def test_late_cursor_position_is_not_left_for_the_next_reader(
    provctl: Provctl, patience_s: int
) -> None:
    """The control does not wait for the answer."""
    command = [sys.executable, "-c", _ASK_AND_LEAVE, str(patience_s)]
    with Terminal(command, provctl.environ, provctl.folder) as terminal:
        terminal.mute = True
        if not patience_s:
            terminal.read_until("released")
        terminal.watch(lambda _screen: QUESTION in terminal.raw)
        (answer,) = terminal.answers()
        terminal.press(answer)
        terminal.read_until("released")
        terminal.press("next\r")
        assert terminal.wait() == 0
        left = "" if patience_s else "\\x1b[1;110R"
        assert f"b'{left}next\\n'" in terminal.plain


def _has_bar(screen: str, cells: int) -> bool:
    """Whether the bar of the last picture has so many cells."""
    bar = screen.rpartition("▶ w ")[2].partition("\n")[2].partition(" ")[0]
    return bar == "─" * cells


def _modes(told: str) -> str:
    """The output of `stty -a` without the size."""
    return told.partition("\n")[2]
