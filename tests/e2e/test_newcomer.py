"""A user who has read nothing gets from `--help` alone to a successful run.

The user works at a terminal. The test checks that each typed command was named on an
earlier screen. Ids are copied from the output.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Iterator, List

import pytest

from tests.support.installed import PROGRAM
from tests.support.terminals import Terminal

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_PROMPT = "newcomer> "
_ID = re.compile(r"Workflow submitted: (\w+)")
_LINE_S = 60


class Newcomer:
    """A shell at a terminal, and all that its screen has shown so far."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._seen: List[str] = []
        self._wait()

    def types(self, line: str, *, because: str = "") -> str:
        """Type a command, and return what it printed.

        `because` is the text of an earlier screen that explains this command.
        """
        shown = "\n".join(self._seen)
        assert because in shown, f"nothing has told to type {line!r}:\n{shown}"
        self._terminal.press(line + "\n")
        printed = self._wait()
        self._seen.append(printed)
        return printed

    def begins(self, line: str, *, because: str, until: str) -> None:
        """Type a command that keeps running, and wait until it shows something."""
        shown = "\n".join(self._seen)
        assert because in shown, f"nothing has told to type {line!r}:\n{shown}"
        start = len(self._terminal.plain)
        self._terminal.press(line + "\n")
        deadline = time.monotonic() + _LINE_S
        while until not in self._terminal.plain[start:]:
            self._terminal.read_more(deadline)

    def presses(self, keys: str) -> str:
        """Press keys while a command runs, and return its output up to its end."""
        self._terminal.press(keys)
        printed = self._wait()
        self._seen.append(printed)
        return printed

    def _wait(self) -> str:
        """Return everything that is printed before the next prompt of the shell."""
        start = len(self._terminal.plain)
        deadline = time.monotonic() + _LINE_S
        while not self._terminal.plain[start:].endswith(_PROMPT):
            self._terminal.read_more(deadline)
        return self._terminal.plain[start:].replace("\r\n", "\n")


@pytest.fixture
def newcomer(provctl: Provctl) -> Iterator[Newcomer]:
    environ = {
        **provctl.environ,
        "PATH": f"{PROGRAM.parent}:{provctl.environ['PATH']}",
        "PS1": _PROMPT,
    }
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with Terminal(shell, environ, provctl.folder) as terminal:
        yield Newcomer(terminal)


def one_that_fails_until_repaired(provctl: Provctl) -> None:
    """`mine.json`: its second task fails until there is a file `repaired`."""
    tasks = {
        "first": {"command": ["sh", "-c", "echo hello; sleep 1"]},
        "second": {"command": ["test", "-e", "repaired"], "needs": ["first"]},
    }
    text = json.dumps({"name": "mine", "tasks": tasks})
    (provctl.folder / "mine.json").write_text(text)


def one_that_naps(provctl: Provctl) -> None:
    tasks = {"nap": {"command": ["sh", "-c", "echo napping; exec sleep 600"]}}
    text = json.dumps({"name": "nap", "tasks": tasks})
    (provctl.folder / "nap.json").write_text(text)


def test_help_leads_to_submit_monitor_and_retry(
    newcomer: Newcomer, provctl: Provctl
) -> None:
    one_that_fails_until_repaired(provctl)
    newcomer.types("provctl --help")
    newcomer.types("provctl workflow --help", because="  workflow ")
    newcomer.types("provctl submit --help", because="  submit ")
    said = newcomer.types("provctl submit mine.json", because="  submit ")
    match = _ID.search(said)
    assert match, said
    run = match.group(1)
    said = newcomer.types(f"provctl monitor {run}", because="  monitor ")
    assert "failed" in said
    # What failed says what to do next, and names the run.
    retry = f"provctl retry {run}"
    said = newcomer.types(f"provctl logs {run} first", because="  logs ")
    assert "hello" in said
    newcomer.types("touch repaired")
    newcomer.begins(retry, because=retry, until="continue? [y/N]")
    newcomer.presses("y\n")
    said = newcomer.types(f"provctl wait {run}; echo code $?", because="  wait ")
    assert "code 0" in said
    said = newcomer.types(f"provctl status {run}", because="  status ")
    assert re.search(r"second +succeeded", said), said


def test_help_leads_to_cancel(newcomer: Newcomer, provctl: Provctl) -> None:
    one_that_naps(provctl)
    newcomer.types("provctl --help")
    newcomer.types("provctl workflow --help", because="  workflow ")
    said = newcomer.types("provctl submit nap.json", because="  submit ")
    match = _ID.search(said)
    assert match, said
    run = match.group(1)
    newcomer.begins(f"provctl watch {run}", because=", watch ", until="nap")
    newcomer.presses("\x03")  # it goes on without somebody who watches
    said = newcomer.types("provctl ps", because=", ps ")
    assert re.search(rf"{run} +nap +running", said), said
    said = newcomer.types(f"provctl cancel {run}", because="  cancel ")
    assert run in said
    said = newcomer.types(f"provctl wait {run}; echo code $?", because="  wait ")
    assert "code 11" in said
    said = newcomer.types(f"provctl explain {run}/nap", because="  explain ")
    assert "it was cancelled" in said


def test_control_unexplained_command_is_noticed(newcomer: Newcomer) -> None:
    newcomer.types("provctl --help")
    with pytest.raises(AssertionError, match="nothing has told"):
        newcomer.types("provctl frobnicate", because="frobnicate")


def test_error_hints_lead_to_the_right_command(newcomer: Newcomer) -> None:
    said = newcomer.types("provctl workflow monitro x")
    assert "did you mean monitor?" in said
    said = newcomer.types("provctl status @last")
    assert "provctl run FILE" in said
