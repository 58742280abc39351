"""Destructive verbs ask at a terminal; elsewhere they need --yes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.terminals import Terminal

if TYPE_CHECKING:
    from tests.support.installed import Provctl

UNDONE = {"a": {"command": ["true"], "undo": {"command": ["touch", "undone"]}}}

DESTROY: Any = {
    "rollback": ("workflow", "rollback", "@last"),
    "rm": ("workflow", "rm", "@last"),
    "prune": ("prune", "--keep", "0"),
    "retry": ("retry", "@last", "--only", "a"),
    "retry of a batch": ("batch", "retry", "@last", "--from", "a"),
    "schedule rm": ("schedule", "rm", "s"),
}


@pytest.fixture
def past(provctl: Provctl) -> str:
    """A run that succeeded, and a schedule."""
    file = provctl.file(UNDONE)
    provctl("run", file)
    provctl("schedule", "add", file, "--cron", "@yearly", "--name", "s")
    return provctl.runs()[0]


def test_destructive_verbs_do_nothing_without_a_terminal_and_yes(
    provctl: Provctl, past: str
) -> None:
    before = provctl.journal(past)
    for verb, args in DESTROY.items():
        said = provctl(*args, code=2)
        assert said.out == "", verb
        assert ("s\n" if verb == "schedule rm" else past) in said.err, verb
        assert "nothing was done" in said.err, verb
        assert "--yes" in said.err, verb
    assert provctl.journal(past) == before
    assert provctl("schedule", "list", "-o", "name").out == "s\n"


def test_destructive_verbs_run_with_yes(provctl: Provctl, past: str) -> None:
    # The control.
    provctl(*DESTROY["retry"], "--yes", "--wait")
    assert provctl.task(past, "a")["attempts"] == 1
    provctl(*DESTROY["rollback"], "-y", "--wait")
    assert (provctl.folder / "undone").exists()
    provctl("retry", "@last", "--wait")  # what was undone no longer exists
    provctl(*DESTROY["schedule rm"], "--yes")
    assert provctl("schedule", "list", "-o", "name").out == ""
    provctl(*DESTROY["rm"], "--yes")
    assert provctl.runs() == []


@pytest.mark.parametrize("stream", ["</dev/null", "2>told"])
def test_destructive_verbs_do_not_ask_if_stdin_or_stderr_is_redirected(
    provctl: Provctl, past: str, stream: str
) -> None:
    words = " ".join(DESTROY["rollback"])
    command = ["sh", "-c", f"{provctl.program} {words} {stream}"]
    with Terminal(command, provctl.environ, provctl.folder) as terminal:
        assert terminal.wait() == 2
    assert not (provctl.folder / "undone").exists()


def test_default_answer_at_a_terminal_is_no(provctl: Provctl, past: str) -> None:
    for args in DESTROY.values():
        with provctl.terminal(*args) as terminal:
            terminal.read_until("? [y/N]")
            terminal.press("\n")
            assert terminal.wait() == 130
    with provctl.terminal(*DESTROY["rm"]) as terminal:
        terminal.read_until("remove 1 run? [y/N]")
        terminal.press("y\n")
        assert terminal.wait() == 0
    assert provctl.runs() == []


def test_harmless_verbs_do_not_ask(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless(), "-l", "env=test")
    provctl.until_ready(run)
    provctl("workflow", "pause", "-l", "env=test")
    provctl("workflow", "resume", "-l", "env=test")
    provctl("cancel", run, "--now")
    provctl("wait", run, code=11)
    provctl("retry", run)
    provctl("cancel", run, "--now")
