"""Completion answers quickly, also with broken files, and never runs code from them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Dict, List, Set

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

# Each takes longer to load than an answer may take.
HEAVY = {
    *("asyncio", "pydantic", "rich", "nickel", "psutil", "platformdirs", "subprocess"),
    *(
        "provctl.workflow_files",
        "provctl.scheduler",
        "provctl.executors",
        "provctl.render",
    ),
}
BAD = "$(touch x) `touch x` \"d\" 'q' !x; ~ \\ * {a,b} & | < > # é"


def ask(provctl: Provctl, typed: str, shell: str = "bash", **env: str) -> List[str]:
    """The lines of a response; nothing else is printed, whatever is wrong."""
    asked = {"_PROVCTL_COMPLETE": shell, "_PROVCTL_WORDS": typed, **env}
    done = provctl(env=asked)
    assert not done.err
    return done.out.split("\n")


def offered(provctl: Provctl, typed: str, **env: str) -> Set[str]:
    return {line.split("  ")[0] for line in ask(provctl, typed, **env)[1:]}


@pytest.fixture
def ran(provctl: Provctl) -> str:
    """A run that failed, submitted in a batch; its file has parameters."""
    tasks = {"a": {"command": ["true"]}, "b": {"command": ["false"]}}
    file = provctl.file(tasks, "w", params={"zone": "x"}).rename(
        provctl.folder / "w.json"
    )
    provctl("batch", "submit", file)
    provctl("wait", "@last", code=10)
    provctl("scheduler", "stop")
    run: str = provctl("ps", "-o", "name").last_word
    return run


def test_every_kind_of_word_is_completed(provctl: Provctl, ran: str) -> None:
    batch = provctl("batch", "list", "-o", "name").last_word
    for typed, expected in {
        "workflow status ": {"@last", ran},
        "cancel ": {"@last", ran, batch},
        f"cancel {ran} ": {"@last", batch},
        "batch status batch-": {batch},
        f"logs {ran} ": {"a", "b"},
        f"logs {ran[:5]} ": {"a", "b"},
        f"workflow outputs {ran} b": {"b"},
        f"explain {ran}/": {f"{ran}/a", f"{ran}/b"},
        f"retry {ran} --only ": {"a", "b"},
        f"retry {ran} --only a --only ": {"b"},
        f"workflow rollback {ran} --to=": {"a", "b"},
        f"workflow resume {ran} --accept ": {"a", "b"},
        "run w.json -p ": {"zone="},
        "run w.json --param=zo": {"zone="},
        "workflow validate w.json -p zone=": {"x"},
        "batch submit w.json -p zone=": {"x"},
        "graph w.json -p z": {"zone="},
        "ps --status ": {"failed"},
        "stats ": {"w"},
        "config show executor.grace": {"executor.grace_seconds"},
        "help workflow mon": {"monitor"},
        "completion ": {"bash", "zsh", "fish", "nu"},
        "graph @last -f t": {"text"},
        "journal tail ": {"@last", ran},
        "nonsense ": set(),
        f"logs {ran} a ": set(),
        "logs nosuchrun ": set(),
        f"logs ../runs/{ran} ": set(),  # a run is no path
    }.items():
        assert offered(provctl, f"provctl {typed}") == expected, typed


def test_labels_of_runs_are_completed(provctl: Provctl) -> None:
    file = provctl.file({"a": {"command": ["true"]}}).rename(provctl.folder / "w.json")
    for labels in (["env=prod", "draft="], ["env=test"], ["env=test", "team=web"]):
        given = [word for label in labels for word in ("-l", label)]
        provctl.submit(file, *given, "--wait")
    provctl("scheduler", "stop")
    for typed, expected in {
        "ps -l ": {"env=", "draft=", "team="},
        "ps -l en": {"env="},
        "ps -l env=": {"prod", "test"},
        "ps --label=env=p": {"prod"},
        "ps -l env==p": {"prod"},
        "cancel -l env!=t": {"test"},
        "wait -l !d": {"\\!draft"},
        "prune -l team,env=": {"prod", "test"},
        "prune -l team,!t": {"team,\\!team"},
        "workflow rm -l env=x": set(),
        "workflow submit w.json -l env=": {"prod", "test"},
        "schedule add w.json -l te": {"team="},
        "workflow submit w.json -l !d": set(),
    }.items():
        assert offered(provctl, f"provctl {typed}") == expected, typed
    told = ask(provctl, "provctl\x1fps\x1f-l\x1fenv=", "fish")[1:]
    assert told == ["env=test\tof 2 runs", "env=prod\tof 1 run"]


def test_completed_run_has_a_description(provctl: Provctl, ran: str) -> None:
    (line,) = ask(provctl, f"provctl\x1flogs\x1f{ran[:6]}", "fish")[1:]
    assert line.startswith(f"{ran}\tw, failed, ")
    assert line.endswith(" ago")
    (item,) = json.loads(ask(provctl, f"provctl\x1flogs\x1f{ran[:6]}", "nu")[0])
    assert item["description"].startswith("w, failed, ")


def test_flags_on_the_command_line_are_respected(provctl: Provctl, ran: str) -> None:
    nowhere = provctl.folder / "nowhere"
    for typed in (
        f"provctl --state-dir {nowhere} logs ",
        f"provctl logs --state-dir {nowhere} ",
        f"provctl logs --state-dir={nowhere} ",
    ):
        assert offered(provctl, typed) == set()
    home = provctl.environ["HOME"]
    there = {"PROVCTL_STATE_DIR": str(nowhere), "HOME": str(provctl.folder)}
    assert ran in offered(provctl, "provctl --state-dir ~/state logs ", **there)
    assert not (provctl.folder / "nowhere").exists(), home


def test_nickel_parameters_are_completed_after_validate(
    provctl: Provctl,
) -> None:
    provctl.environ["XDG_CACHE_HOME"] = str(provctl.folder / "cache")
    params = '{ zone | String | default = "x", size | Number | default = 1 }'
    provctl.text("w.ncl", f'{{ params = {params}, tasks.a.command = ["true"] }}')
    typed = "provctl workflow plan w.ncl -p "
    assert offered(provctl, typed) == set()
    provctl("workflow", "validate", "w.ncl", "-p", "size=2")
    assert offered(provctl, typed) == {"zone=", "size="}
    assert offered(provctl, f"{typed}zone=") == {"x"}
    assert offered(provctl, f"{typed}size=") == set()  # 2 is what was given


@pytest.mark.parametrize("start", ["", "'", '"'])
def test_text_inserted_into_bash_is_one_word(provctl: Provctl, start: str) -> None:
    provctl.file({"a": {"command": ["true"]}}, "w", params={"z": BAD})
    _, inserted = ask(provctl, f"provctl run w-1.json -p {start}z=")
    # Without a quote what is in front of the = stays as it is.
    word = f"{start}{inserted}{start}" if start else f"z={inserted}"
    command = ["bash", "-c", f"set +H; printf %s {word}"]
    done = subprocess.run(
        command, cwd=str(provctl.folder), capture_output=True, check=True
    )
    assert done.stdout.decode() == f"z={BAD}"
    assert not (provctl.folder / "x").exists()


BROKEN: Dict[str, Dict[str, str]] = {
    "state directory": {"PROVCTL_STATE_DIR": "/dev/null"},
    "configuration": {"PROVCTL_CONFIG": "/dev/null/x"},
    "setting": {"PROVCTL_SERVER_PORT": "x"},
    "cache": {"XDG_CACHE_HOME": "/dev/null"},
    "home": {"HOME": "/dev/null"},
    "words": {"_PROVCTL_WORDS": ""},
    "shell": {"_PROVCTL_COMPLETE": "tcsh"},
    "locale": {"LC_ALL": "C"},
}


@pytest.mark.parametrize("what", BROKEN)
def test_completion_is_silent_whatever_is_broken(provctl: Provctl, what: str) -> None:
    for shell in ("bash", "zsh", "fish", "nu"):
        ask(provctl, "provctl\x1flogs\x1f", shell, **BROKEN[what])
        ask(provctl, "provctl logs ", shell, **BROKEN[what])


def test_broken_configuration_still_completes_verbs(provctl: Provctl) -> None:
    broken = provctl.text("config.toml", "nonsense = [")
    env = {"PROVCTL_CONFIG": str(broken)}
    assert offered(provctl, "provctl workflow mon", **env) == {"monitor"}
    assert offered(provctl, "provctl logs ", **env) == set()


def test_completion_runs_no_option(provctl: Provctl) -> None:
    assert offered(provctl, "provctl --version workflow mon") == {"monitor"}
    assert offered(provctl, "provctl --help workflow mon") == {"monitor"}


@pytest.mark.parametrize(
    "typed",
    ["provctl ", "provctl logs ", "provctl logs @last ", "provctl run w.json -p "],
)
def test_completion_imports_no_heavy_modules(
    provctl: Provctl, ran: str, typed: str, tmp_path: Path
) -> None:
    assert ran
    command = [sys.executable, "-X", "importtime", "-m", "provctl"]
    asked = {"_PROVCTL_COMPLETE": "bash", "_PROVCTL_WORDS": typed}
    for _ in ("read", "kept"):
        done = subprocess.run(
            command,
            env={**provctl.environ, "XDG_CACHE_HOME": str(tmp_path / "c"), **asked},
            cwd=str(provctl.folder),
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "provctl.cli.completion.respond" in loaded
        assert loaded.isdisjoint(HEAVY)
        assert done.stdout
