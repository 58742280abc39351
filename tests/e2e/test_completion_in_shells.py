"""Completion in real shells at a terminal: what the Tab key shows and inserts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Iterator

import pytest

from tests.support.shells import SHELLS, Shell

if TYPE_CHECKING:
    from tests.support.installed import Provctl

# All that a shell acts upon, in what somebody else has written.
_BAD = "$(touch evil) `touch evil`; touch evil | x: 'q' \"d\" %F{red} \\ !! ~ * {a,b} #"


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, provctl: Provctl) -> Iterator[Shell]:
    provctl.environ["XDG_CACHE_HOME"] = str(provctl.folder / "cache")
    shell = Shell(request.param, provctl)
    with shell:
        yield shell


def test_shell_completes_verbs_and_flags(shell: Shell) -> None:
    shell.type("provctl workflow mon\t")
    shell.shows("READY> provctl workflow monitor")
    shell.type("provctl outp\t")  # without the word workflow
    shell.shows("READY> provctl outputs")
    shell.type("provctl workflow re\t\t")
    shell.shows("replay", "Play a run back", "report", "resume", "retry")
    shell.type("provctl workflow retry --downs\t")
    shell.shows("READY> provctl workflow retry --downstream")


def test_shell_completes_runs_and_their_tasks(provctl: Provctl, shell: Shell) -> None:
    tasks = {"fetch": {"command": ["true"]}, "build": {"command": ["false"]}}
    run = provctl.submit(provctl.file(tasks, "hello"))
    provctl("wait", run, code=10)
    provctl("scheduler", "stop")
    shell.type("provctl logs \t\t")
    shell.shows("@last", run, "hello, failed, ", "s ago")
    shell.type(f"provctl logs {run[:4]}\t")
    shell.shows(f"READY> provctl logs {run}")
    shell.type(f"provctl logs {run} \t\t")
    shell.shows("build", "fetch")
    shell.type(f"provctl explain {run}/bu\t")
    shell.shows(f"READY> provctl explain {run}/build")
    shell.type("provctl workflow retry @last --from fe\t")
    shell.shows("READY> provctl workflow retry @last --from fetch")
    shell.type("provctl workflow retry @last --from=fe\t")
    shell.shows("READY> provctl workflow retry @last --from=fetch")
    shell.type("provctl workflow retry @la\t")
    shell.shows("READY> provctl workflow retry @last")


def test_shell_completes_parameters_and_files(provctl: Provctl, shell: Shell) -> None:
    file = provctl.file(
        {"a": {"command": ["true"]}}, "p", params={"zone": "es-mad1", "on": True}
    )
    shell.type(f"provctl run {file.name[:-2]}\t")
    shell.shows(f"READY> provctl run {file.name}")
    shell.type(f"provctl run {file.name} -p \t\t")
    shell.shows("zone=", "on=", 'default: "es-mad1"')
    shell.type(f"provctl run {file.name} -p zo\tX")  # no space follows
    shell.shows(f"READY> provctl run {file.name} -p zone=X")
    shell.type(f"provctl run {file.name} -p zone=\t")
    shell.shows(f"READY> provctl run {file.name} -p zone=es-mad1")
    shell.type(f"provctl run {file.name} -p on=f\t")
    shell.shows(f"READY> provctl run {file.name} -p on=false")
    shell.type(f"provctl --config {file.name[:-2]}\t")
    shell.shows(f"READY> provctl --config {file.name}")


def test_shell_completes_labels(provctl: Provctl, shell: Shell) -> None:
    file = provctl.file({"a": {"command": ["true"]}})
    for label in ("env=prod", "env=two words", "team=web"):
        provctl.submit(file, "-l", label, "--wait")
    provctl("scheduler", "stop")
    shell.type("provctl ps -l \t\t")
    shell.shows("env=", "team=", "two words, prod")
    shell.type("provctl ps -l en\tX")  # no space follows
    shell.shows("READY> provctl ps -l env=X")
    shell.type("provctl ps -l env=p\t")
    shell.shows("READY> provctl ps -l env=prod")
    shell.type("provctl cancel -l team,env=p\t")
    shell.shows("team,env=prod")  # some shells put quotes around it
    shell.type(f"provctl workflow submit {file.name} --label te\twe\t")
    shell.shows(f"READY> provctl workflow submit {file.name} --label team=web")
    shell.type("provctl prune -l env=t\t --keep 5 --dry-run\r")
    shell.shows("would remove 0 runs")  # what was inserted is one word


def test_completed_names_and_values_are_never_run_as_code(
    provctl: Provctl, shell: Shell
) -> None:
    tasks = {
        "a": {"command": ["true"], "description": _BAD},
        "b": {"command": ["true"]},
    }
    file = provctl.file(tasks, "bad", params={"zone of": _BAD})
    content = {**json.loads(file.read_bytes()), "name": _BAD}
    before = provctl.submit(provctl.text("bad.json", json.dumps(content)))
    provctl("wait", before)
    provctl("scheduler", "stop")
    shell.type("provctl logs \t\t")
    shell.shows(before, "$(touch evil) `touch evil`; touch evil | x: 'q' \"d\"")
    shell.type("provctl logs @last \t\t")
    shell.shows("$(touch evil) `touch evil`; touch evil | x: 'q' \"d\"")
    # Name and value are inserted; then the line is run, and both arrive as they are.
    shell.type("provctl run bad.json -p zo\t")
    shell.shows("zone", "of=")
    shell.press("\t")
    shell.shows("touch", "a,b")
    shell.press("\r")
    shell.shows(" succeeded in ")
    runs = {run["id"] for run in provctl("ps", "-o", "json").json()} - {before}
    (frozen,) = (provctl.state / "runs" / run / "workflow.json" for run in runs)
    assert json.loads(frozen.read_bytes())["params"] == {"zone of": _BAD}
    assert not list(provctl.folder.rglob("evil"))
    # And if a shell had done what they say, it would have been seen.
    shell.type("touch evil; provctl version\r")
    shell.shows("provctl 0")
    assert list(provctl.folder.rglob("evil"))


@pytest.mark.parametrize("name", SHELLS)
def test_shell_completes_the_name_of_the_platform(provctl: Provctl, name: str) -> None:
    programs = provctl.folder / "bin"
    programs.mkdir()
    (programs / "provisioning").symlink_to(provctl.program)
    provctl.environ["PATH"] = f"{programs}:{provctl.environ['PATH']}"
    provctl.program = str(programs / "provisioning")
    shell = Shell(name, provctl, "provisioning")
    with shell:
        shell.type("provisioning workflow mon\t")
        shell.shows("READY> provisioning workflow monitor")
        shell.type("provisioning workflow retry --downs\t")
        shell.shows("READY> provisioning workflow retry --downstream")


def test_completion_prints_nothing_if_the_state_directory_is_unusable(
    provctl: Provctl, shell: Shell
) -> None:
    provctl.state.write_text("a file", encoding="utf-8")
    shell.type("provctl cancel x\t")
    shell.type("provctl vers\t")  # it still listens
    shell.shows("READY> provctl version")
    assert "Traceback" not in shell.raw
    assert "error" not in shell.raw
