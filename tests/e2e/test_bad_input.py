"""Bad input gets a clear error, and nothing is lost or left behind."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Dict, Tuple

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Provctl

TRUE: Dict[str, Any] = {"command": ["true"]}

# Flags that are given twice, and another value the second time.
TWICE = {
    "-p": ("run", "-p", "n=1", "-p", "n=2"),
    "-l": ("submit", "-l", "n=1", "-l", "n=2"),
    "--duration": ("simulate", "--duration", "a=1s", "--duration", "a=2s"),
    "--set": ("template", "render", "--set", "n=1", "--set", "n=2"),
}

# Tasks of a workflow file, and what is said of them.
WRONG: Dict[str, Tuple[Any, str]] = {
    "unknown need": (
        {"web": TRUE, "app": {**TRUE, "needs": ["wed"]}},
        "`wed`, which does not exist",
    ),
    "self-need": ({"a": {**TRUE, "needs": ["a"]}}, "needs itself"),
    "cycle": (
        {
            "a": {**TRUE, "needs": ["c"]},
            "b": {**TRUE, "needs": ["a"]},
            "c": {**TRUE, "needs": ["b"]},
        },
        "->|→",
    ),
    "two kinds": ({"a": {**TRUE, "script": "1"}}, "command.*script|script.*command"),
    "no kind": ({"a": {}}, "command"),
    "unknown field": ({"a": {**TRUE, "timout": "1m"}}, "timeout"),
    "bad duration": ({"a": {**TRUE, "timeout": "5 parsecs"}}, "5 parsecs"),
    "unknown output": (
        {"a": {"command": ["echo", {"$output": {"task": "b", "path": ""}}]}},
        "`b`",
    ),
    "bad name": ({"../a": TRUE}, "../a"),
    "a list of numbers": ([1, 2], "task"),
    "missing module": (
        {"a": {"call": {"module": "none/such.nu", "command": "create"}}},
        "none/such.nu",
    ),
}

# Whole files: their name and text, and what is said of them.
FILES: Dict[str, Tuple[str, str, str]] = {
    "duplicate id": (
        "w.json",
        '{"tasks": {"a": {"command": ["true"]},\n "a": {"command": ["true"]}}}',
        "a",
    ),
    "not a record": ("w.json", "[1, 2]", "record"),
    "no json": ("w.json", '{"tasks": {', "w.json:1"),
    "not text": ("w.json", "\ud800", "UTF-8|utf-8"),
    "empty": ("w.json", "", "w.json"),
    "toml syntax": ("w.toml", "tasks = [", "w.toml:1"),
    "nickel syntax": ("w.ncl", "{ tasks = { a = } }", "w.ncl:1"),
    "nickel contract": (
        "w.ncl",
        '{ params = { n | Number | default = "x" }, tasks = {} }',
        "w.ncl:1",
    ),
    "nickel own contract": (
        "w.ncl",
        'let p = import "provctl.ncl" in { tasks.a.comand = ["true"] } | p.Workflow',
        "w.ncl:1",
    ),
    "unknown format": ("w.yaml", "tasks: {}", r"\.ncl|\.json"),
}


@pytest.mark.parametrize("verb", ["run", "submit", "validate", "plan"])
def test_every_verb_refuses_a_wrong_file(provctl: Provctl, verb: str) -> None:
    tasks, words = WRONG["unknown need"]
    done = provctl("workflow", verb, provctl.file(tasks), code=50)
    assert (words in done.err, done.out) == (True, "")
    assert provctl.runs() == []


@pytest.mark.parametrize("case", WRONG)
def test_wrong_tasks_are_reported_with_their_location(
    provctl: Provctl, case: str
) -> None:
    tasks, words = WRONG[case]
    file = provctl.file(tasks)
    said = provctl("run", file, code=50).err
    assert re.search(words, said, re.DOTALL), said
    assert re.search(rf"{file.name}:\d+:\d+", said), said
    assert provctl.runs() == []


@pytest.mark.parametrize("case", FILES)
def test_wrong_files_are_reported_with_their_location(
    provctl: Provctl, case: str
) -> None:
    name, text, words = FILES[case]
    file = provctl.folder / name
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    said = provctl("run", file, code=50).err
    assert re.search(words, said), said
    assert provctl.runs() == []


def test_missing_library_command_is_reported_with_a_suggestion(
    provctl: Provctl,
) -> None:
    library = provctl.folder / "library"
    library.mkdir()
    (library / "tool.nu").write_text("export def create [] { 1 }")
    call = {"module": "tool.nu", "command": "creat"}
    file = provctl.file({"a": {"call": call}}, library="library")
    said = provctl("run", file, code=50).err
    assert "creat" in said
    assert re.search(r":\d+:\d+", said)


def test_validate_reports_all_mistakes_at_once(provctl: Provctl) -> None:
    tasks = {
        "a": {**TRUE, "needs": ["x"]},
        "b": {**TRUE, "timeout": "soon"},
        "c": {**TRUE, "unknown": 1},
    }
    said = provctl("workflow", "validate", provctl.file(tasks), code=50).err
    for word in ("`x`", "soon", "unknown"):
        assert word in said


def test_unwritable_state_directory_is_refused(provctl: Provctl) -> None:
    file = provctl.file({"a": TRUE})
    for state in ("/proc/nowhere", file):
        said = provctl("run", file, "--state-dir", state, code=32).err
        assert str(state) in said
    open_to_all = provctl.folder / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    said = provctl("run", file, "--state-dir", open_to_all, code=32).err
    assert "chmod 700" in said


@pytest.mark.parametrize("flag", TWICE)
def test_flag_refuses_two_values_for_one_key(provctl: Provctl, flag: str) -> None:
    *words, first, key, second, other = TWICE[flag]
    document = {"params": {"n": 0}, "tasks": {"a": TRUE}}
    file = provctl.text("w.json", json.dumps(document))
    done = provctl(*words, file, first, key, second, other, code=2)
    name = key.partition("=")[0]
    assert f"{flag} {name} is given twice with different values" in done.err
    if flag in ("-p", "--set"):
        provctl(*words, file, first, key, second, key)


def test_logs_refuses_an_attempt_that_does_not_exist(provctl: Provctl) -> None:
    run = provctl("run", provctl.file({"a": TRUE}), "-o", "json").json()["id"]
    for what in (run, f"{run}/a"):
        done = provctl("logs", what, "--attempt", "2", code=40)
        assert "attempt 2 not found" in done.err
    provctl("logs", run, "--attempt", "1")


def test_prune_refuses_an_age_without_a_unit(provctl: Provctl) -> None:
    done = provctl("prune", "--older", "30", "--dry-run", code=2)
    assert "needs a unit, such as 30s or 30m" in done.err
    provctl("prune", "--older", "30d", "--dry-run")
