"""The end of a watched run is told to a terminal, and to nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Provctl

TASKS: Dict[str, Any] = {"a": {"command": ["true"]}}


@pytest.mark.parametrize("verb", ["run", "watch", "wait", "workflow attach"])
def test_a_terminal_gets_a_bell_or_a_message(provctl: Provctl, verb: str) -> None:
    file = provctl.file(TASKS)
    file.write_text(file.read_text().replace('"w"', '"x;y [2J"'))
    about: object = file
    if verb != "run":
        about = provctl.submit(file, "--wait")
    for how in ("bell", "desktop", "none"):
        with provctl.terminal(*verb.split(), about, "--notify", how) as terminal:
            assert terminal.wait() == 0
        assert ("\a" in terminal.raw) is (how != "none")
        assert ("\x1b]777;" in terminal.raw) is (how == "desktop")
    with provctl.terminal(*verb.split(), about, "--notify", "desktop") as terminal:
        terminal.wait()
    message = terminal.raw.partition("\x1b]777;notify;provctl;")[2].partition("\x1b\\")[
        0
    ]
    assert message.startswith("x,y [2J: succeeded, after ")


def test_a_pipe_gets_nothing(provctl: Provctl) -> None:
    done = provctl("run", provctl.file(TASKS), "--notify", "desktop")
    assert "\a" not in done.out + done.err
    assert "\x1b" not in done.out + done.err


def test_what_was_short_is_told_only_when_it_was_asked_for(provctl: Provctl) -> None:
    always = {"PROVCTL_UI_NOTIFY": "bell"}
    with provctl.terminal("run", provctl.file(TASKS), env=always) as terminal:
        assert terminal.wait() == 0
    assert "\a" not in terminal.raw


def test_a_watch_that_was_left_is_no_end(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    with provctl.terminal("wait", run, "--notify", "bell", "--timeout", "0.2") as it:
        assert it.wait() == 124
    assert "\a" not in it.raw
    provctl("cancel", run, "--now")
