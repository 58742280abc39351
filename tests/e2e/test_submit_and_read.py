"""Verbs of the background scheduler: submit, list, status, outputs, logs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Dict

import pytest

from provctl.storage.layout import StateDir
from tests.support.run_folders import submit
from tests.support.workflows import chain

if TYPE_CHECKING:
    from tests.support.installed import Provctl

ID = re.compile(r"[bcdfghjkmnpqrstvwxz][bcdfghjkmnpqrstvwxz2-9]{9}")
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_submit_prints_the_run_id_as_its_last_word(provctl: Provctl) -> None:
    done = provctl("workflow", "submit", provctl.ends_badly())
    assert re.fullmatch(rf"Workflow submitted: ({ID.pattern})\n", done.out)
    assert done.err == ""
    provctl("wait", done.last_word, code=10)


def test_submit_supports_other_output_formats(provctl: Provctl) -> None:
    file = provctl.ends_badly()
    name = provctl("workflow", "submit", file, "-o", "name").out
    assert re.fullmatch(rf"{ID.pattern}\n", name)
    (record,) = provctl("workflow", "submit", file, "-o", "json").json()
    assert ID.fullmatch(record["id"])
    line = provctl("workflow", "submit", file, "-o", "jsonl").out
    assert ID.fullmatch(json.loads(line)["id"])
    provctl("wait", *provctl("ps", "-o", "name").out.split(), code=10)


@pytest.mark.parametrize(
    "words",
    [
        ("-o", "name", "workflow", "submit"),
        ("workflow", "-o", "name", "submit"),
        ("workflow", "submit", "-o", "name"),
    ],
)
def test_global_flags_are_accepted_anywhere(
    provctl: Provctl, words: tuple[str, ...]
) -> None:
    done = provctl(*words, provctl.ends_badly())
    assert ID.fullmatch(done.out.strip())
    provctl("wait", done.last_word, code=10)


def test_state_dir_flag_is_accepted_before_and_after_the_verb(provctl: Provctl) -> None:
    other = provctl.folder / "other"
    file = provctl.ends_badly()
    done = provctl("--state-dir", other, "run", file, "-o", "json", code=10)
    run = done.json()["id"]
    assert provctl("ps", "--state-dir", other, "-o", "name").out == f"{run}\n"
    assert provctl("ps", "-o", "name").out == ""


def test_list_and_status_have_the_documented_fields(provctl: Provctl) -> None:
    run = provctl.submit(provctl.ends_badly())
    provctl("wait", run, code=10)
    (row,) = provctl("workflow", "list", "-o", "json").json()
    assert row["id"] == run
    assert (row["name"], row["status"], row["outcome"]) == ("w", "finished", "failed")
    assert ISO.fullmatch(row["created_at"])
    told = provctl("workflow", "status", run, "-o", "json").json()
    for key in ("id", "name", "status", "outcome", "created_at"):
        assert told[key] == row[key]
    tasks = {task["id"]: task for task in told["tasks"]}
    assert list(tasks) == ["good", "bad", "after"]
    bad = tasks["bad"]
    assert (bad["status"], bad["attempts"], bad["exit_code"]) == ("finished", 1, 3)
    assert ISO.fullmatch(bad["started_at"])
    assert ISO.fullmatch(bad["finished_at"])
    assert tasks["after"]["attempts"] == 0
    assert tasks["after"]["exit_code"] is None
    assert tasks["after"]["started_at"] is None
    lines = provctl("workflow", "list", "-o", "jsonl").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [run]
    assert "bad" in provctl("workflow", "status", run).out


def test_list_filters_by_status_and_limits_rows(provctl: Provctl) -> None:
    ids = [provctl.submit(provctl.file({"a": {"command": ["true"]}})) for _ in range(3)]
    bad = provctl.submit(provctl.ends_badly())
    provctl("wait", *ids, bad, code=10)
    assert provctl("ps", "-o", "name").out.split() == [*ids, bad]
    assert provctl("ps", "-n", "2", "-o", "name").out.split() == [ids[-1], bad]
    assert provctl("ps", "--status", "failed", "-o", "name").out.split() == [bad]
    assert provctl("ps", "--status", "running", "-o", "json").json() == []


def test_run_is_found_by_id_prefix_and_by_last(provctl: Provctl) -> None:
    first = _run(provctl)
    # Two ids with one beginning, whatever chance gives.
    for name in (f"{first}2", f"{first}3"):
        submit(StateDir(provctl.state), chain(1), name)
    assert provctl.status(first)["id"] == first  # whole, it is one of three
    assert provctl.status(f"{first}2")["id"] == f"{first}2"
    said = provctl("workflow", "status", first[:6], code=40).err
    assert f"{first[:6]} is ambiguous, it matches 3 runs" in said
    last = _run(provctl)
    assert provctl.status("@last")["id"] == last
    if last[:4] != first[:4]:
        assert provctl.status(last[:4])["id"] == last
    assert "run zzz not found" in provctl("logs", "zzz", code=40).err


def test_outputs_prints_all_tasks_one_task_or_one_path(provctl: Provctl) -> None:
    script = "{ servers: [{ ip: 10.0.0.1, tags: [a b] }] }"
    run = _run(provctl, {"a": {"script": script}, "b": {"command": ["true"]}})
    server = {"ip": "10.0.0.1", "tags": ["a", "b"]}
    assert provctl("workflow", "outputs", run).json() == {"a": {"servers": [server]}}
    assert provctl("workflow", "outputs", run, "a").json() == {"servers": [server]}
    path = provctl("workflow", "outputs", run, "a", "servers.0.tags.1")
    assert path.json() == "b"
    provctl("workflow", "outputs", run, "a", "servers.1", code=40)
    provctl("workflow", "outputs", run, "c", code=40)


def test_logs_prints_one_task_or_all_tasks(provctl: Provctl) -> None:
    tasks = {
        "a": {"command": ["sh", "-c", "echo one; printf '\\033[31mred\\033[0m\\n'"]},
        "b": {"command": ["sh", "-c", "printf 'no newline'"], "needs": ["a"]},
    }
    run = _run(provctl, tasks)
    plain = provctl("logs", run, "a").out
    assert plain.startswith("one\n")
    assert "\x1b" not in plain
    assert provctl("logs", run, "a", "--raw").out == "one\n\x1b[31mred\x1b[0m\n"
    assert provctl("logs", run, "b").out == "no newline\n"
    both = provctl("logs", run).out.splitlines()
    assert both[0] == "a | one"
    assert both[-1] == "b | no newline"
    provctl("logs", run, "c", code=40)


def test_logs_prints_an_earlier_attempt(provctl: Provctl) -> None:
    script = 'echo "try $PROVCTL_ATTEMPT"; [ "$PROVCTL_ATTEMPT" = 2 ]'
    run = _run(provctl, {"a": {"command": ["sh", "-c", script], "retry": {}}})
    assert provctl("logs", run, "a").out == "try 2\n"
    assert provctl("logs", run, "a", "--attempt", "1").out == "try 1\n"


def test_logs_follow_ends_with_the_run(provctl: Provctl) -> None:
    go = provctl.folder / "go"
    script = f'echo begun; until [ -e "{go}" ]; do sleep 0.02; done; echo over'
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    with provctl.start("logs", "-f", run) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"a | begun\n"
        go.touch()
        assert process.stdout.read() == b"a | over\n"
        assert process.wait(timeout=60) == 0


def _run(provctl: Provctl, tasks: Dict[str, Any] | None = None) -> str:
    file = provctl.file(tasks or {"a": {"command": ["true"]}})
    return str(provctl("run", file, "-o", "json").json()["id"])


def test_logs_tail_prints_the_end_and_follows(provctl: Provctl) -> None:
    gate = provctl.folder / "gate"
    script = f"seq 30000; while [ ! -e {gate} ]; do sleep 0.05; done; echo end"
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl.until(lambda: "30000\n" in provctl("logs", run, "a").out, "it waits")
    assert provctl("logs", run, "-n", "2").out == "a | 29999\na | 30000\n"
    with provctl.start("logs", f"{run}/a", "-n", "1", "-f") as following:
        assert following.stdout is not None
        assert following.stdout.readline().strip() in (b"30000", "30000")
        gate.touch()
        assert following.stdout.readline().strip() in (b"end", "end")
        assert following.wait(20) == 0
    assert provctl("logs", run, "a", "-n", "1", "--raw").out == "end\n"
    provctl("wait", run)


def test_task_can_be_named_after_its_run_or_as_a_separate_argument(
    provctl: Provctl,
) -> None:
    file = provctl.file(
        {
            "make": {"script": "print made; {ip: {v4: 7}}"},
            "use": {"needs": ["make"], "script": "error make {msg: 'quota exceeded'}"},
            "last": {"needs": ["use"], "command": ["true"]},
        }
    )
    provctl("run", file, code=10)
    assert provctl("logs", "@last/make").out == "made\n"
    assert provctl("logs", "@last", "make").out == "made\n"
    assert provctl("workflow", "outputs", "@last/make", "ip.v4").out == "7\n"
    assert provctl("workflow", "outputs", "@last", "make", "ip.v4").out == "7\n"
    assert "two tasks" in provctl("logs", "@last/make", "use", code=2).err
    assert "has no task nosuch" in provctl("logs", "@last/nosuch", code=40).err
    assert provctl("logs", "@last/make", "-n", "0").out == ""
    # What has no log says so, where a reader of the log does not see it.
    done = provctl("logs", "@last/last")
    assert done.out == ""
    assert "last never started: it was skipped: needs success of use" in done.err
    # Of a failure in Nushell what it says is told, and none of its drawing.
    told = provctl("explain", "@last/use").out
    assert "    | quota exceeded (line 1)\n" in told
    assert "`--" not in told
