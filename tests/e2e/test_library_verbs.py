"""A Nushell library as commands: typed, run directly or as a workflow."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from typing import TYPE_CHECKING, Any, Dict, List, Set

import pytest

from provctl.nushell.library.scan import SHIPPED
from tests.support.hostile_texts import Hostile

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


MODULES = {
    "things/show.nu": """
# Show what arrives.
export def show-thing [
    name: string@[alpha beta] # what it is called
    count?: int = 3
    --text (-t): string
    --time: duration
    --size: filesize
    --when: datetime
    --tags: list<string>
    --times: list<duration>
    --limits: record<cpu: int>
    --ratio: float
    --path: cell-path
    --span: range
    --raw: binary
    --pattern: glob
    --free: any
    --code: closure
    --wait # the library's own
    ...more: string
] {
    print "talk"
    {
        name: $name, count: $count, text: $text, time: $time, size: $size, when: $when
        tags: $tags, times: $times, limits: $limits, ratio: $ratio, wait: $wait
        path: ($path | describe), span: ($span | describe), raw: ($raw | describe)
        pattern: ($pattern | describe), free: $free, more: $more
        mine: $env.MINE?, set: $env.SET?, libraries: $env.NU_LIB_DIRS
    }
}
""",
    "things/list.nu": "export def main [] { [[name size]; [a 1kb] [b 2kb]] }\n",
    "things/fail.nu": 'export def fail-thing [] { print "before"; exit 7 }\n',
    "things/ask.nu": "export def ask-thing [] { ^cat }\n",
    "things/create.nu": "export def create-thing [name: string, --size: filesize] "
    "{ {name: $name, size: $size} }\n",
    "things/nothing.nu": "export def nothing-thing [] { }\n",
    "things/broken.nu": "export def broken-thing [ {\n",
    "workflows/list.nu": "export def list-workflow [] { 'never' }\n",
}


@pytest.fixture
def library(provctl: Provctl) -> Path:
    folder = provctl.folder / "library"
    for name, text in MODULES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    provctl.environ["PROVCTL_NUSHELL_PROVISIONING_LIB"] = str(folder)
    provctl.environ["XDG_CACHE_HOME"] = str(provctl.folder / "cache")
    provctl.environ["PROVCTL_EXECUTION_FORCE_ORCHESTRATED"] = "thing.create"
    return folder


@pytest.fixture
def thing(provctl: Provctl, library: Path) -> Provctl:
    assert library.is_dir()
    return provctl


def shown(provctl: Provctl, *words: str, **how: Any) -> Dict[str, Any]:
    told: Dict[str, Any] = provctl("thing", "show", "-o", "json", *words, **how).json()
    return told


# -- help and mistakes -------------------------------------------------------------------


def test_help_of_a_library_verb_shows_its_signature(thing: Provctl) -> None:
    text = thing("--help").out.replace("\n", " ")
    assert "  thing  ask, broken, create" in text
    assert "Show what arrives." in thing("thing", "--help").out
    text = thing("thing", "show", "--help").out
    for words in (
        "NAME [COUNT] [MORE]...",
        "what it is called  [type: string; one of: alpha, beta]",
        "[type: int; default: 3]",
        "-t, --text STRING",
        "--limits RECORD<CPU: INT>",
        "--wait ",
        "--orchestrated",
    ):
        assert words in text
    assert text.count("--wait") == 1, "the library's own"
    assert thing("help", "thing", "show").out == text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show"], "missing argument NAME (string)"),
        (["show", "a", "x"], "COUNT: expected a whole number"),
        (["show", "a", "--time", "soon"], "--time: expected a duration"),
        (["show", "a", "--limits", "{"], "--limits: expected a record, in JSON"),
        (["show", "a", "--limits", '{"cpu": "x"}'], "--limits: expected a record"),
        (
            ["show", "a", "--times", "soon"],
            "--times: expected a list where each item is",
        ),
        (
            ["show", "a", "--code", "{|| 1}"],
            "--code: expected a closure, which can only",
        ),
        (["list", "a"], "unexpected extra argument"),
        (["list", "--infra", "a"], "unexpected argument: a"),
        (["show", "--nope"], "--nope"),
        (["shaw"], "did you mean show?"),
        (["broken"], "broken.nu"),
        (["list", "--key", "k"], "--key requires --orchestrated"),
        (["list", "-l", "a=b"], "--label requires --orchestrated"),
        (["list", "--orchestrated", "-l", "a"], "KEY=VALUE"),
        (["list", "--direct", "--orchestrated"], "use only one of"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_refused_before_nushell_runs(
    thing: Provctl, words: List[str], told: str
) -> None:
    done = thing("thing", *words, code=2)
    assert told in done.err
    assert "talk" not in done.out + done.err
    assert thing.runs() == []


def test_help_shows_no_library_commands_without_a_library(provctl: Provctl) -> None:
    assert "library" not in provctl("--help").out.lower().replace(
        "library commands", ""
    )
    assert "no such command: thing" in provctl("thing", "list", code=2).err


def test_own_verbs_take_precedence_and_nouns_accept_the_plural(
    thing: Provctl, library: Path
) -> None:
    assert "never" not in thing("workflow", "list").out
    assert thing("things", "list", "-o", "name").out == "a\nb\n"
    # A verb of `workflow` wins at top level too, and the help names what it hides.
    (library / "shows").mkdir()
    module = "export def main [] { 'never' }\n"
    (library / "shows" / "list.nu").write_text(module, encoding="utf-8")
    said = thing("show", "list", code=40)
    assert "never" not in said.out
    assert "run list not found" in said.err
    text = " ".join(thing("--help").out.partition("Commands of the library")[2].split())
    assert "a command of provctl has the same name: show, workflow" in text
    assert "show list" not in text
    assert thing("shows", "list").out == "never\n"


# -- direct ------------------------------------------------------------------------------


def test_values_keep_their_types(thing: Provctl) -> None:
    told = shown(
        thing,
        *("alpha", "5", "x", "--wait", "-t", "5", "--time", "1h30m", "--size", "2KiB"),
        *("--when", "2026-01-31T12:00:00Z", "--tags", "a", "--tags", "b c"),
        *("--times", '["1sec", "2min"]', "--limits", '{"cpu": 2}', "--ratio", "3"),
        *("--path", "a.0.b", "--span", "1..3", "--raw", "x", "--pattern", "*.nu"),
        *("--free", "5"),
    )
    expected = {
        "name": "alpha",
        "count": 5,
        "more": ["x"],
        "wait": True,
        "text": "5",
        "time": 5400 * 10**9,
        "size": 2048,
        "when": "2026-01-31T12:00:00+00:00",
        "tags": ["a", "b c"],
        "times": [10**9, 120 * 10**9],
        "limits": {"cpu": 2},
        "ratio": 3.0,
        "path": "cell-path",
        "span": "range",
        "raw": "binary",
        "pattern": "glob",
        "free": 5,
    }
    assert {name: told[name] for name in expected} == expected


def test_missing_arguments_take_the_defaults_of_the_library(thing: Provctl) -> None:
    told = shown(thing, "alpha")
    assert (told["count"], told["wait"], told["text"]) == (3, False, None)


def test_nushell_gets_the_environment_and_the_configured_variables(
    thing: Provctl,
) -> None:
    config = thing.text("c.toml", '[nushell.env_vars]\nSET = "x"\n')
    told = shown(thing, "alpha", "--config", str(config), env={"MINE": "a:b"})
    assert (told["mine"], told["set"]) == ("a:b", "x")


def test_config_flag_after_the_verb_selects_the_library(
    thing: Provctl, library: Path
) -> None:
    del thing.environ["PROVCTL_NUSHELL_PROVISIONING_LIB"]
    text = f"nushell.provisioning_lib = {json.dumps(str(library))}\n"
    config = thing.text("c.toml", text)
    assert thing("thing", "list", "-o", "name", "--config", config).out == "a\nb\n"
    assert "no such command" in thing("thing", "list", code=2).err


@pytest.mark.parametrize(
    ("form", "out"),
    [
        ("json", '[\n  {\n    "name": "a",\n    "size": 1000\n  },\n'),
        ("jsonl", '{"name":"a","size":1000}\n{"name":"b","size":2000}\n'),
        ("name", "a\nb\n"),
    ],
)
def test_each_output_format_contains_only_the_result(
    thing: Provctl, form: str, out: str
) -> None:
    assert thing("thing", "list", "-o", form).out.startswith(out)
    done = thing("thing", "show", "alpha", "-o", form)
    assert ("talk" in done.out, "talk" in done.err) == (False, True)
    assert thing("thing", "nothing", "-o", form).out == ""


def test_result_can_be_written_to_a_file_and_a_socket(thing: Provctl) -> None:
    def printed_to(out: Any) -> None:
        with thing.start("thing", "list", "-o", "name", stdout=out) as process:
            assert process.wait(timeout=60) == 0

    path = thing.folder / "out"
    with path.open("w") as file:
        printed_to(file)
        printed_to(file)
    assert path.read_text(encoding="utf-8") == "a\nb\n" * 2
    ours, theirs = socket.socketpair()
    with ours, theirs:
        printed_to(theirs)
        assert ours.recv(100) == b"a\nb\n"


def test_terminal_shows_the_table_of_nushell(thing: Provctl) -> None:
    with thing.terminal("thing", "list") as terminal:
        assert terminal.wait() == 0
    assert "╭" in terminal.raw
    with thing.terminal("thing", "list", "-o", "json") as terminal:
        assert terminal.wait() == 0
    assert "╭" not in terminal.raw
    assert '"size": 2000' in terminal.raw


def test_direct_command_passes_on_stdin_and_exit_code(thing: Provctl) -> None:
    done = thing("thing", "fail", code=7)
    assert done.out == "before\n"
    process = thing.start("thing", "ask", stdin=subprocess.PIPE)
    out, _ = process.communicate(b"asked", timeout=60)
    assert out.decode().strip() == "asked"


def test_direct_command_replaces_the_process_by_nushell(thing: Provctl) -> None:
    process = thing.start("thing", "ask", stdin=subprocess.PIPE)
    thing.until(
        lambda: os.readlink(f"/proc/{process.pid}/exe").endswith("nu"), "it is nu"
    )
    process.communicate(b"", timeout=60)
    assert process.returncode == 0


def test_hostile_values_reach_a_direct_command_unchanged(thing: Provctl) -> None:
    canary = thing.folder / "canary"
    hostile = Hostile(seed=1, canary=canary)
    for _ in range(15):
        text = hostile.text().replace("\0", "")
        told = shown(
            thing,
            f"--text={text}",
            f"--tags={json.dumps([text])}",
            f"--free={json.dumps([text])}",
            *("--", text, "1", text),
        )
        assert told["name"] == told["text"] == text
        assert told["tags"] == told["free"] == told["more"] == [text]
    assert not canary.exists()


def test_large_value_leaves_no_temporary_file(thing: Provctl) -> None:
    large = "x" * 100_000
    temporary = thing.folder / "tmp"
    temporary.mkdir()
    told = shown(thing, large, f"--text={large}", env={"TMPDIR": str(temporary)})
    assert told["name"] == told["text"] == large
    assert list(temporary.iterdir()) == []


# -- orchestrated ------------------------------------------------------------------------


def test_orchestrated_command_is_an_ordinary_run(thing: Provctl) -> None:
    words = ("--orchestrated", "--infra", "wuji", "--size", "2kb", "--wait")
    done = thing("thing", "create", *words)
    assert done.out.startswith("Workflow submitted: ")
    run = done.out.split()[2]
    status = thing.status(run)
    assert (status["name"], status["outcome"]) == ("thing_create", "succeeded")
    assert [task["id"] for task in status["tasks"]] == ["create-thing"]
    output = thing("workflow", "outputs", run, "create-thing", "-o", "json").json()
    assert output == {"name": "wuji", "size": 2000}


def test_flag_overrides_the_pattern_for_orchestrated_commands(thing: Provctl) -> None:
    run = thing("things", "create", "w", "-o", "name", "-P", "5").last_word
    assert thing.runs() == [run]
    assert thing.journal(run)[0]["priority"] == 5
    told = thing("thing", "create", "w", "--direct", "-o", "json").json()
    assert (told["name"], thing.runs()) == ("w", [run])


def test_same_key_submits_a_library_command_once(thing: Provctl) -> None:
    words = ("thing", "create", "--key", "k", "-o", "name", "--orchestrated")
    assert thing(*words, "w").out == thing(*words, "w").out
    assert thing(*words, "other", code=42).out == ""
    assert len(thing.runs()) == 1


def test_hostile_values_reach_an_orchestrated_command_as_data(thing: Provctl) -> None:
    reference = {"$output": {"task": "show-thing"}}
    words = ("show", "--orchestrated", f"--free={json.dumps(reference)}")
    text = "'; ^touch canary; $(touch canary) {{ x }}"
    run = thing("thing", *words, "-o", "name", "--", text).last_word
    thing("workflow", "wait", run)
    told = thing("workflow", "outputs", run, "show-thing", "-o", "json").json()
    assert (told["name"], told["free"]) == (text, reference)


def test_command_runs_in_the_foreground_without_a_scheduler(thing: Provctl) -> None:
    none = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    done = thing("thing", "create", "w", "-o", "json", env=none)
    assert done.json()["name"] == "w"
    assert "no scheduler, running in the foreground" in done.err
    assert thing.runs() == []
    # Where that is not wanted, or would be twice with a key, it waits on disk.
    never = {**none, "PROVCTL_ORCHESTRATOR_FALLBACK_TO_DIRECT": "false"}
    for words, env in ((["a"], never), (["b", "--key", "k"], none)):
        done = thing("thing", "create", *words, env=env)
        assert done.out.startswith("Workflow submitted: ")
        assert "queued, but no scheduler could be reached" in done.err
    assert len(thing.runs()) == 2


def test_disabled_scheduler_is_not_used(thing: Provctl) -> None:
    env = {"PROVCTL_ORCHESTRATOR_ENABLED": "false"}
    assert thing("thing", "create", "w", "-o", "name", env=env).out == "w\n"
    done = thing("thing", "create", "w", "--orchestrated", env=env, code=2)
    assert "orchestrator.enabled" in done.err
    assert (thing.runs(), thing.schedulers()) == ([], [])


# -- completion and env ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("provctl thi", {"thing"}),
        ("provctl thing l", {"list"}),
        ("provctl thing show --te", {"--text"}),
        ("provctl thing show --ti", {"--time", "--times"}),
        ("provctl thing show a", {"alpha"}),
    ],
)
def test_nouns_verbs_flags_and_values_are_completed(
    thing: Provctl, words: str, offered: Set[str]
) -> None:
    thing("--help")  # reads the library
    assert offers(thing, words) == offered


def test_completion_uses_the_library_cache_without_nushell(
    thing: Provctl, tmp_path: Path
) -> None:
    # It would say so if it were started: a program of that name is on PATH.
    started = tmp_path / "started"
    fake = thing.text("nu", f"#!/bin/sh\ntouch {started}\n")
    fake.chmod(0o755)
    thing.environ["PROVCTL_NUSHELL_BINARY"] = str(fake)
    assert offers(thing, "provctl thi") == {"thing"}
    assert offers(thing, "provctl thing cr") == {"create"}
    assert offers(thing, "provctl thing create --s") == set()  # never read
    assert not started.exists()
    del thing.environ["PROVCTL_NUSHELL_BINARY"]
    thing("--help")
    thing.environ["PROVCTL_NUSHELL_BINARY"] = str(fake)
    assert offers(thing, "provctl thing create --s") == {"--size", "--state-dir"}
    assert not started.exists()


def offers(provctl: Provctl, typed: str) -> Set[str]:
    """The words that bash gets for a line."""
    asked = {"_PROVCTL_COMPLETE": "bash", "_PROVCTL_WORDS": typed}
    _, *lines = provctl(env=asked).out.split("\n") or [""]
    return {line.split()[0] for line in lines if line}


def test_env_shows_the_environment_of_library_commands(
    thing: Provctl, library: Path
) -> None:
    rows = thing("env", "-o", "json", env={"PROVISIONING_X": "y"}).json()
    found = {row["name"]: row["value"] for row in rows}
    assert found["NU_LIB_DIRS"] == f"{library}:{SHIPPED}"
    assert found["PROVISIONING_X"] == "y"
    assert found["PROVCTL_STATE_DIR"] == str(thing.state)
    assert os.access(found["PROVCTL_NUSHELL_BINARY"], os.X_OK)
