"""A notification for a terminal contains no other escape sequence."""

from __future__ import annotations

from typing import Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.cli.watching.notify import escape_of


@pytest.mark.parametrize(
    ("environ", "escape"),
    [
        ({}, "\x1b]777;notify;provctl;web: done, now\x1b\\"),
        ({"TERM": "xterm-kitty"}, "\x1b]9;web: done; now\x1b\\"),
        ({"LC_TERMINAL": "iTerm2"}, "\x1b]9;web: done; now\x1b\\"),
        (
            {"TERM": "xterm-kitty", "TMUX": "/tmp/x,1,0"},
            "\x1bPtmux;\x1b\x1b]9;web: done; now\x1b\x1b\\\x1b\\",
        ),
    ],
)
def test_each_terminal_gets_its_supported_sequence(
    environ: Dict[str, str], escape: str
) -> None:
    assert escape_of("web: done; now", environ) == escape


@given(st.text())
def test_name_in_a_notification_contains_no_escape_sequence(text: str) -> None:
    escape = escape_of(text, {})
    inner = escape[len("\x1b]777;notify;provctl;") : -len("\x1b\\")]
    assert inner.isprintable()
    assert ";" not in inner
    assert len(inner) <= 200
