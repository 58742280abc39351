"""Bad input gets a clear error, and nothing is lost or left behind."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Dict, Tuple

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Provctl

TRUE: Dict[str, Any] = {"command": ["true"]}

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
def test_wrong_tasks(provctl: Provctl, case: str) -> None:
    tasks, words = WRONG[case]
    file = provctl.file(tasks)
    said = provctl("run", file, code=50).err
    assert re.search(words, said, re.DOTALL), said
    assert re.search(rf"{file.name}:\d+:\d+", said), said
    assert provctl.runs() == []


@pytest.mark.parametrize("case", FILES)
def test_wrong_files(provctl: Provctl, case: str) -> None:
    name, text, words = FILES[case]
    file = provctl.folder / name
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    said = provctl("run", file, code=50).err
    assert re.search(words, said), said
    assert provctl.runs() == []


def test_endless_evaluation_is_stopped_at_its_limit(provctl: Provctl) -> None:
    text = "let rec f = fun x => f (x + 1) in { tasks.a.command = [f 0] }"
    file = provctl.text("w.ncl", text)
    limit = {"PROVCTL_NICKEL_TIMEOUT_SECONDS": "1"}
    said = provctl("run", file, code=50, env=limit, within_s=20).err
    assert "longer than 1 s" in said


def test_a_missing_command_of_the_library_is_named(provctl: Provctl) -> None:
    library = provctl.folder / "library"
    library.mkdir()
    (library / "tool.nu").write_text("export def create [] { 1 }")
    call = {"module": "tool.nu", "command": "creat"}
    file = provctl.file({"a": {"call": call}}, library="library")
    said = provctl("run", file, code=50).err
    assert "creat" in said
    assert re.search(r":\d+:\d+", said)


def test_all_mistakes_are_told_at_once(provctl: Provctl) -> None:
    tasks = {
        "a": {**TRUE, "needs": ["x"]},
        "b": {**TRUE, "timeout": "soon"},
        "c": {**TRUE, "unknown": 1},
    }
    said = provctl("workflow", "validate", provctl.file(tasks), code=50).err
    for word in ("`x`", "soon", "unknown"):
        assert word in said


def test_files_that_cannot_be_read(provctl: Provctl) -> None:
    missing = provctl("run", provctl.folder / "none.json", code=50)
    assert "none.json" in missing.err
    folder = provctl("run", provctl.folder, code=50)
    assert str(provctl.folder) in folder.err
    pipe = provctl.folder / "pipe.json"
    os.mkfifo(str(pipe))
    assert "pipe.json" in provctl("run", pipe, code=50, within_s=10).err


def test_a_state_directory_that_is_not_writable(provctl: Provctl) -> None:
    file = provctl.file({"a": TRUE})
    for state in ("/proc/nowhere", file):
        said = provctl("run", file, "--state-dir", state, code=32).err
        assert str(state) in said
    open_to_all = provctl.folder / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    said = provctl("run", file, "--state-dir", open_to_all, code=32).err
    assert "chmod 700" in said


def test_what_is_no_text_in_the_environment_reaches_no_task(provctl: Provctl) -> None:
    file = provctl.file({"a": {"script": "$env.LC_NAME? | default none"}})
    provctl("run", file, env={"LC_NAME": os.fsdecode(b"\xff")})
    assert provctl("workflow", "outputs", "@last", "a").json() == "none"


def test_hostile_values_stay_values(provctl: Provctl) -> None:
    canary = provctl.folder / "canary"
    hostile = [
        f"$(touch {canary})",
        f"`touch {canary}`",
        f"'; touch {canary}; '",
        f'"; ^touch {canary}; "',
        f"(^touch {canary})",
        "--help",
        "..\n..",
        "é漢\u202e",
    ]
    tasks: Dict[str, Any] = {
        "say": {"script": "$args.words", "args": {"words": hostile}},
        "echo": {"command": ["printf", "%s|", *hostile]},
    }
    run = provctl("run", provctl.file(tasks), "-o", "json").json()["id"]
    assert provctl("workflow", "outputs", run, "say").json() == hostile
    raw = provctl("logs", run, "echo", "--raw").out
    assert raw == "".join(f"{word}|" for word in hostile)
    assert not canary.exists()


def test_a_run_id_that_is_a_path_is_not_found(provctl: Provctl) -> None:
    provctl("run", provctl.file({"a": TRUE}))
    for name in ("../runs", "..", ".", "", "a/b", "\x1b[31m", "x" * 5000):
        for verb in ("status", "cancel"):
            said = provctl("workflow", verb, name, code=40).err
            assert "\x1b" not in said
