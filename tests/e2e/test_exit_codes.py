"""Every exit code, by a real command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Dict, Tuple

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Done, Provctl

_Case = Callable[["Provctl"], "Done"]


def _succeeded(provctl: Provctl) -> Done:
    return provctl("run", provctl.file({"a": {"command": ["true"]}}), code=0)


def _usage(provctl: Provctl) -> Done:
    return provctl("workflow", "sumbit", "x", code=2)


def _flag(provctl: Provctl) -> Done:
    return provctl("run", "x.json", "-j", "0", code=2)


def _parameter(provctl: Provctl) -> Done:
    file = provctl.file({"a": {"command": ["true"]}})
    return provctl("run", file, "-p", "zone", code=2)


def _configuration(provctl: Provctl) -> Done:
    return provctl("ps", code=2, env={"PROVCTL_EXECUTOR_GRACE_SECONDS": "soon"})


def _failed(provctl: Provctl) -> Done:
    return provctl("run", provctl.ends_badly(), code=10)


def _cancelled(provctl: Provctl) -> Done:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    provctl("cancel", run)
    return provctl("wait", run, code=11)


def _timed_out(provctl: Provctl) -> Done:
    file = provctl.file({"a": {"command": ["sleep", "60"], "timeout": "200ms"}})
    return provctl("run", file, code=12)


def _run_timed_out(provctl: Provctl) -> Done:
    file = provctl.file({"a": {"command": ["sleep", "60"]}}, timeout="200ms")
    return provctl("run", file, code=12)


def _held(provctl: Provctl) -> Done:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    provctl.kill_everything()
    provctl("scheduler", "start")
    return provctl("wait", run, code=13)


def _unreachable(provctl: Provctl) -> Done:
    off = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    run = provctl.submit(provctl.endless(), env=off)
    return provctl("cancel", run, code=30, env=off)


def _unusable(provctl: Provctl) -> Done:
    provctl.state.write_text("a file")
    return provctl("run", provctl.ends_badly(), code=32)


def _damaged(provctl: Provctl) -> Done:
    provctl("run", provctl.ends_badly(), code=10)
    (run,) = provctl.runs()
    journal = provctl.state / "runs" / run / "journal.jsonl"
    raw = journal.read_bytes()
    journal.write_bytes(raw.replace(b'"seq":2', b'"seq":9', 1))
    return provctl("workflow", "status", run, code=33)


def _not_found(provctl: Provctl) -> Done:
    return provctl("logs", "@last", code=40)


def _refused(provctl: Provctl) -> Done:
    provctl("run", provctl.ends_badly(), code=10)
    return provctl("cancel", "@last", code=41)


def _invalid(provctl: Provctl) -> Done:
    return provctl("run", provctl.file({"a": {}}), code=50)


def _tool_missing(provctl: Provctl) -> Done:
    file = provctl.file({"a": {"script": "1"}})
    return provctl("run", file, code=52, env={"PATH": "/usr/bin:/bin"})


def _gave_up(provctl: Provctl) -> Done:
    run = provctl.submit(provctl.endless())
    return provctl("wait", run, "--timeout", "0.1", code=124)


# What makes it, and the words that tell it. Code 31 (a newer journal) is in the fault
# tests, 130 (Ctrl-C while watching) in those at a terminal.
CASES: Dict[str, Tuple[_Case, str]] = {
    "0 succeeded": (_succeeded, ""),
    "2 usage": (_usage, "did you mean submit?"),
    "2 flag": (_flag, "-j"),
    "2 parameter": (_parameter, "key=value"),
    "2 configuration": (_configuration, "PROVCTL_EXECUTOR_GRACE_SECONDS"),
    "10 failed": (_failed, ""),
    "11 cancelled": (_cancelled, ""),
    "12 timed out": (_timed_out, ""),
    "12 run timed out": (_run_timed_out, ""),
    "13 held": (_held, ""),
    "30 unreachable": (_unreachable, "provctl scheduler start"),
    "32 state unusable": (_unusable, "state"),
    "33 damaged": (_damaged, "journal.jsonl"),
    "40 not found": (_not_found, "there are no runs yet"),
    "41 refused": (_refused, "nothing to cancel"),
    "50 invalid": (_invalid, "w-1.json:"),
    "52 tool missing": (_tool_missing, "Nushell"),
    "124 gave up": (_gave_up, "the run continues"),
}


@pytest.mark.parametrize("case", CASES)
def test_command_ends_with_the_documented_exit_code(
    provctl: Provctl, case: str
) -> None:
    make, words = CASES[case]
    done = make(provctl)
    assert done.code == int(case.split()[0])
    assert words in done.err
