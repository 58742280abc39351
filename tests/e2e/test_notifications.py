"""`--notify`: the end of a watched run is reported to a terminal only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Provctl

TASKS: Dict[str, Any] = {"a": {"command": ["true"]}}


@pytest.mark.parametrize("verb", ["run", "watch", "wait", "workflow attach"])
def test_notify_sends_a_bell_or_a_message_to_the_terminal(
    provctl: Provctl, verb: str
) -> None:
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


def test_notify_writes_nothing_into_a_pipe(provctl: Provctl) -> None:
    done = provctl("run", provctl.file(TASKS), "--notify", "desktop")
    assert "\a" not in done.out + done.err
    assert "\x1b" not in done.out + done.err


def test_short_run_is_notified_only_if_asked(provctl: Provctl) -> None:
    always = {"PROVCTL_UI_NOTIFY": "bell"}
    with provctl.terminal("run", provctl.file(TASKS), env=always) as terminal:
        assert terminal.wait() == 0
    assert "\a" not in terminal.raw


def test_watch_that_times_out_sends_no_notification(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    with provctl.terminal("wait", run, "--notify", "bell", "--timeout", "0.2") as it:
        assert it.wait() == 124
    assert "\a" not in it.raw
    provctl("cancel", run, "--now")
