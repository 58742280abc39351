"""The output of each reading verb, word for word, for a state that never changes.

`--update-goldens` writes the current output into tests/golden/screens; read it before
the commit. Parts that depend on the machine or the time are masked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable, Dict

import pytest
from click import Context, Group

from provctl import __version__
from provctl.cli.main import cli
from tests.support.sample_state import fill

if TYPE_CHECKING:
    from tests.support.installed import Done, Provctl

# By the name of its file: the command, and after `=>` its exit code if it is not 0.
SCREENS: Dict[str, str] = {
    "list": "workflow list",
    "list-some": "workflow list --status failed -n 1",
    "list-json": "workflow list -n 1 -o json",
    "list-name": "workflow list -o name",
    "status-succeeded": "workflow status good1",
    "status-failed": "workflow status failed1",
    "status-cancelled": "workflow status cancelled1",
    "status-timed-out": "workflow status timedout1",
    "status-held": "workflow status held1",
    "status-rolled-back": "workflow status undone1",
    "status-rollback-failed": "workflow status stands1",
    "status-retrying": "workflow status retrying1",
    "status-paused": "workflow status paused1",
    "status-queued": "workflow status queued1",
    "status-json": "workflow status failed1 -o json",
    "status-unknown": "workflow status nosuch => 40",
    "show": "workflow show failed1",
    "show-at-time": "workflow show failed1 --at 2026-05-04T07:01:00Z",
    "show-at-record": "workflow show failed1 --at 6",
    "outputs": "workflow outputs good1",
    "outputs-of-one": "workflow outputs good1 database size",
    "logs": "workflow logs failed1",
    "logs-of-one": "workflow logs failed1 database",
    "explain-failed": "explain failed1",
    "explain-skipped": "explain failed1/cluster/api",
    "explain-condition": "explain flaky1/check",
    "explain-succeeded": "explain good1/network",
    "explain-run": "explain good1",
    "explain-run-cancelled": "explain cancelled1",
    "explain-slack": "explain good1/database",
    "explain-cancelled": "explain cancelled1/web-2",
    "explain-held": "explain held1",
    "explain-needs": "explain held1/cluster",
    "explain-pool": "explain retrying1/web-2",
    "explain-backoff": "explain retrying1/database",
    "explain-paused": "explain paused1/web-2",
    "explain-json": "explain failed1 -o json",
    "stats": "stats",
    "stats-of-one": "stats deploy",
    "diff": "workflow diff good1 flaky1",
    "diff-none": "workflow diff good1 good1",
    "graph": "graph deploy.json",
    "graph-run": "graph good5",
    "graph-run-failed": "graph failed1",
    "graph-mermaid": "graph failed1 -f mermaid",
    "plan": "workflow plan deploy.json",
    "plan-json": "workflow plan deploy.json -o json",
    "validate": "workflow validate deploy.json",
    "validate-wrong": "workflow validate wrong.json => 50",
    "simulate": "simulate deploy.json --jobs 1,2,4,8",
    "simulate-pessimistic": "simulate deploy.json --jobs 4 --pessimistic",
    "simulate-unknown": "simulate other.json --jobs 1,2 --default-duration 30s",
    "simulate-schedule": "simulate good5 --jobs 2 --schedule",
    "simulate-seed": "simulate deploy.json --jobs 1,4 --seed 11",
    "simulate-json": "simulate deploy.json --jobs 4 -o json",
    "batch-list": "batch list",
    "batch-status": "batch status batch1",
    "journal-verify": "journal verify",
    "journal-tail": "journal tail flaky1",
    "journal-export": "journal export cancelled1",
    "scheduler-status": "scheduler status",
    "scheduler-status-json": "scheduler status -o json",
    "config-show": "config show",
    "config-path": "config path",
    "config-check": "config check",
    "doctor": "doctor",
    "prune": "prune --keep 3 --dry-run",
    "version": "version",
    "unknown-verb": "workflow lits => 2",
    "no-choice": "completion => 2",
    "unknown-noun": "server list => 2",
    "submit-two": "workflow submit deploy.json other.json => 2",
    "no-folder": "run deploy.json --junit nowhere/j.xml => 2",
    "help": "help",
}

# What differs from machine to machine, and from moment to moment.
MASKS = [
    (re.compile(r"\(until about [\d:]{8}, in \w+\)"), "(until about TIME, in SPAN)"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r'"(crc|prev)": "?\w+"?'), r'"\1": CHECKSUM'),
    (re.compile(r"\b\d+\.\d[KMG]\b"), "SIZE"),
    (re.compile(rf"\b{re.escape(__version__)}\b"), "VERSION"),
]

# Of the check of this machine only what it looks at is the same everywhere.
FINDING = re.compile(r"^\S+ +([a-z]+(?: [a-z]+)?)  .*$", re.MULTILINE)
ADVICE = re.compile(r"^ {20}.*\n", re.MULTILINE)


def groups() -> Dict[str, str]:
    """The help of every group of commands, by the name of its file."""
    found = {}
    for name in cli.verbs:
        command = cli.get_command(Context(cli), name)
        if isinstance(command, Group):
            found[f"help-{name}"] = f"{name} --help"
    return found


ALL = {**SCREENS, **groups()}


@pytest.fixture
def museum(provctl: Provctl) -> Provctl:
    """The command at a terminal of fixed width, with the sample state directory."""
    fill(provctl.folder, provctl.state)
    provctl.text(
        "wrong.json", '{"tasks": {"a": {"command": ["true"], "needs": ["b"]}}}'
    )
    provctl.file({"a": {"command": ["true"]}, "b": {"command": ["true"]}}, "other")
    (provctl.folder / "other-1.json").rename(provctl.folder / "other.json")
    provctl.environ.update(
        TZ="UTC",
        COLUMNS="100",
        PROVCTL_CONFIG="pools.toml",
        PROVCTL_STATE_DIR=provctl.state.name,
    )
    return provctl


@pytest.mark.parametrize("name", ALL)
def test_screen_matches_its_recording(
    museum: Provctl, name: str, golden: Callable[[str, str], None]
) -> None:
    command, _, code = ALL[name].partition(" => ")
    done = museum(*command.split(), code=int(code or 0))
    golden(f"screens/{name}.txt", recorded(museum, command, done))


def recorded(museum: Provctl, command: str, done: Done) -> str:
    """The command, its output and its streams; the same on every machine."""
    lines = [f"$ provctl {command}", *done.out.splitlines()]
    lines += [f"[stderr] {line}" for line in done.err.splitlines()]
    lines += [f"[exit {done.code}]"] if done.code else []
    text = "\n".join(line.rstrip() for line in lines) + "\n"
    text = text.replace(str(museum.folder), "FOLDER")
    if command == "doctor":
        text = ADVICE.sub("", FINDING.sub(r"MARK \1  FINDING", text))
    if command == "config show":
        text = re.sub(" {2,}", "  ", text)  # as wide as the path in it
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return text


def test_control_recording_changes_with_the_output(museum: Provctl) -> None:
    # The control: another state is another screen, and a mask does not hide it.
    before = recorded(museum, "stats", museum("stats"))
    museum("workflow", "rm", "failed1", "--yes")
    assert recorded(museum, "stats", museum("stats")) != before


def test_every_recording_belongs_to_a_screen() -> None:
    from tests.conftest import GOLDEN

    kept = {path.stem for path in (GOLDEN / "screens").iterdir()}
    assert kept == set(ALL)
