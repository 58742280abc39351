"""Runs are selected by labels and submission time, and verbs act on them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, List

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Provctl

TRUE = {"a": {"command": ["true"]}}


def ids(provctl: Provctl, *words: str) -> List[str]:
    return provctl("ps", "-o", "name", *words).out.split()


def test_labels_of_file_and_flag_are_stored_and_shown(provctl: Provctl) -> None:
    file = provctl.file(TRUE, labels={"team": "web", "env": "none"})
    run = provctl.submit(file, "-l", "env=prod", "--wait")
    labels = {"team": "web", "env": "prod"}
    assert provctl.status(run)["labels"] == labels
    assert provctl("ps", "-o", "json").json()[0]["labels"] == labels
    assert "labels: env=prod,team=web" in provctl("workflow", "status", run).out
    assert "env=prod,team=web" in provctl("ps").out
    assert provctl.journal(run)[0]["labels"] == labels
    frozen = provctl.state / "runs" / run / "workflow.json"
    assert "prod" not in frozen.read_text()


def test_same_key_returns_the_same_run_with_other_labels(provctl: Provctl) -> None:
    file = provctl.file(TRUE)
    run = provctl.submit(file, "--key", "k", "-l", "n=1")
    assert provctl.submit(file, "--key", "k", "-l", "n=2") == run
    assert provctl.status(run)["labels"] == {"n": "1"}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"a b": "x"}, "invalid label key"),
        ({"a": "x,y"}, "without commas"),
        ({"a": 3}, "labels"),
        ({f"k{n}": "" for n in range(33)}, "at most 32 labels"),
    ],
)
def test_invalid_labels_in_a_file_are_reported(
    provctl: Provctl, labels: object, said: str
) -> None:
    done = provctl("workflow", "validate", provctl.file(TRUE, labels=labels), code=50)
    assert said in done.err
    assert '"labels"' in done.err  # the line of the file is shown


def test_list_filters_by_label(provctl: Provctl) -> None:
    file = provctl.file(TRUE)
    prod = provctl.submit(file, "-l", "env=prod", "--wait")
    test = provctl.submit(file, "-l", "env=test", "-l", "draft=", "--wait")
    none = provctl.submit(file, "--wait")
    assert ids(provctl, "-l", "env=prod") == [prod]
    assert ids(provctl, "-l", "env") == [prod, test]
    assert ids(provctl, "-l", "env!=prod") == [test, none]
    assert ids(provctl, "-l", "env", "-l", "!draft") == [prod]
    assert ids(provctl, "-l", "env,!draft") == [prod]
    done = provctl("ps", "-l", "evn=prod", "-o", "name")
    assert done.out == ""
    assert "no run has a label evn (did you mean env?)" in done.err
    (row,) = provctl("stats", "-l", "env", "-o", "json").json()
    assert row["runs"] == 2
    provctl("stats", "w", "-l", "env=none", code=40)
    assert "KEY=VALUE" in provctl("workflow", "submit", file, "-l", "env", code=2).err


def test_list_filters_by_time(provctl: Provctl) -> None:
    run = provctl.submit(provctl.file(TRUE), "--wait")
    assert ids(provctl, "--since", "1h") == [run]
    assert ids(provctl, "--since", "yesterday") == [run]
    assert ids(provctl, "--until", "1h") == []
    assert ids(provctl, "--until", "now", "--since", "2h") == [run]
    in_an_hour = time.localtime(time.time() + 3600)  # noqa: TID251
    later = time.strftime("%Y-%m-%dT%H:%M", in_an_hour)
    for verb in ("ps", "stats", "journal tail " + run, "scheduler logs"):
        done = provctl(*verb.split(), "--since", later, code=2)
        assert "which is in the future" in done.err
    done = provctl("workflow", "show", run, "--at", later, code=2)
    assert "which is in the future" in done.err
    assert provctl("workflow", "show", run, "--at", "now").out
    assert ids(provctl, "--until", later) == [run]
    assert "is not a time" in provctl("ps", "--since", "soon", code=2).err
    said = provctl("ps", "--since", "1h", "--until", "2h", code=2).err
    assert "--since is later than --until" in said
    records = provctl("journal", "tail", run, "--since", "1h", "-o", "jsonl").out
    assert len(records.splitlines()) == len(provctl.journal(run))
    assert provctl("journal", "tail", run, "--until", "1h").out == ""
    assert provctl("scheduler", "logs", "--since", "1h").out


def test_batch_list_filters_by_labels_of_runs(provctl: Provctl) -> None:
    file = provctl.file(TRUE)
    first = provctl("batch", "submit", file, file, "-l", "n=1").last_word
    provctl("batch", "submit", file, "-l", "n=2")
    (row,) = provctl("batch", "list", "-l", "n=1", "-o", "json").json()
    assert row["id"] == first
    assert len(row["runs"]) == 2
    assert provctl("batch", "list", "--until", "1h", "-o", "name").out == ""


def test_cancel_by_label_lists_the_runs_and_requires_yes(provctl: Provctl) -> None:
    file = provctl.endless()
    first = provctl.submit(file, "-l", "env=test")
    second = provctl.submit(file, "-l", "env=test")
    other = provctl.submit(file, "-l", "env=prod")
    for run in (first, second, other):
        provctl.until_ready(run)
    refused = provctl("cancel", "-l", "env=test", "--now", code=2).err
    assert "nothing was done" in refused
    assert "--yes" in refused
    said = provctl("cancel", "-l", "env=test", "--now", "--yes").err
    for run in (first, second):
        assert f"{run}  w  running" in refused
        assert f"{run}  w  running" in said
        assert f"cancel requested: {run}" in said
    assert provctl("wait", "-l", "env=test", code=11).out == ""
    assert provctl.status(other)["outcome"] is None
    assert "nothing to cancel" in provctl("cancel", "-l", "env=test", code=41).err
    assert "no run has these labels" in provctl("cancel", "-l", "env=x", code=40).err
    assert "no run is given" in provctl("cancel", code=2).err
    assert "either RUN or -l" in provctl("cancel", other, "-l", "env", code=2).err
    provctl("workflow", "pause", "-l", "env=prod")
    assert provctl.status(other)["status"] == "paused"
    provctl("cancel", "-l", "env=prod", "--now", "--yes")


def test_cancel_by_label_asks_at_a_terminal(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless(), "-l", "env=test")
    provctl.until_ready(run)
    for flags in ([], ["-q"]):
        with provctl.terminal("cancel", "-l", "env=test", *flags) as terminal:
            terminal.read_until("cancel 1 run?")
            terminal.press("n\n")
            assert terminal.wait() == 130
    assert provctl.status(run)["outcome"] is None
    with provctl.terminal("cancel", "-l", "env=test", "--now", "-y") as terminal:
        assert terminal.wait() == 0
    provctl("wait", run, code=11)


def test_retry_selects_runs_by_label(provctl: Provctl) -> None:
    good = provctl.submit(provctl.file(TRUE), "-l", "x=1", "--wait")
    bad = provctl.submit(provctl.ends_badly(), "-l", "x=1", "--wait", code=10)
    said = provctl("retry", "-l", "x", "--yes", "--wait", code=10).err
    assert f"retry requested: {bad}" in said
    assert good not in said


def test_prune_selects_runs_by_label(provctl: Provctl) -> None:
    file = provctl.file(TRUE)
    test = provctl.submit(file, "-l", "env=test", "--wait")
    kept = provctl.submit(file, "-l", "env=test", "-l", "keep=", "--wait")
    prod = provctl.submit(file, "-l", "env=prod", "--wait")
    said = provctl("prune", "-l", "env=test", code=2).err
    assert "no selection given" in said
    provctl("workflow", "pin", "-l", "keep")
    prune = ("prune", "-l", "env=test", "--keep", "0", "-o", "json")
    (row,) = provctl(*prune, "--yes").json()
    assert row["id"] == test
    assert "pinned" in provctl("workflow", "rm", "-l", "env=test", code=41).err
    provctl("workflow", "unpin", "-l", "keep")
    with provctl.terminal("workflow", "rm", "-l", "env=test") as terminal:
        terminal.read_until("remove 1 run?")
        terminal.press("n\n")
        assert terminal.wait() == 130
    going = provctl.submit(provctl.endless(), "-l", "env=test")
    assert f"removed: {kept}" in provctl("workflow", "rm", "-l", "env=test", "-y").err
    assert set(provctl.runs()) == {prod, going}
    assert "no run is given" in provctl("workflow", "rm", code=2).err
    provctl("cancel", going, "--now")


def test_resume_selects_paused_runs_by_label_and_batch(provctl: Provctl) -> None:
    file = provctl.endless()
    first = provctl.submit(file, "-l", "env=test")
    batch = provctl("batch", "submit", file, file, "-l", "n=1").last_word
    provctl("workflow", "pause", "-l", "env=test")
    provctl("batch", "pause", batch)
    assert provctl.status(first)["status"] == "paused"
    said = provctl("workflow", "resume", "-l", "env=test").err
    assert said == f"resumed: {first}\n"
    assert provctl.status(first)["status"] != "paused"
    assert "is paused" in provctl("workflow", "resume", "-l", "env", code=41).err
    refused = provctl("batch", "resume", batch, "--accept", "a", code=2)
    assert "need a single run" in refused.err
    assert provctl("batch", "resume", batch).err.count("resumed: ") == 2
    provctl("cancel", first, "--now")
    provctl("batch", "cancel", batch, "--now")


def test_rollback_selects_runs_by_label(provctl: Provctl) -> None:
    undone = {"a": {**TRUE["a"], "undo": {"command": ["true"]}}}
    run = provctl.submit(provctl.file(undone), "-l", "env=test", "--wait")
    provctl.submit(provctl.file(undone), "--wait")
    said = provctl("workflow", "rollback", "-l", "env=test", "--yes", "--wait").err
    assert said.count("rollback requested") == 1
    assert provctl.status(run)["outcome"] == "rolled_back"
