"""What README and docs/ show works as shown: every block of code in them is run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple

import pytest

from tests.support.api import free_port
from tests.support.documents import DOCUMENTS, README, Block, all_blocks, blocks, spans
from tests.support.installed import ROOT, Provctl
from tests.support.tools import need

# Slow enough for a whole session to happen while servers are being created.
SPEED = "8"

# What differs from one time to the next.
CHANGING = [
    (re.compile(r"\b[b-df-hj-np-tv-xz][b-df-hj-np-tv-xz2-9]{9}\b"), "RUN"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\bin [\d.]+s"), "in SECONDS"),
    (re.compile(r" \d+(\.\d)?s +"), " SECONDS "),
    (re.compile(r"\bprocess \d+"), "process ID"),
    (re.compile(r"\b\d+% [a-z].*"), ""),  # how far a task is, if it has said so yet
    (re.compile(r" +"), " "),
]


# Blocks in bash are run as they stand, but for these lines. What cannot be run says
# why; {free} is a port that is free, of which there are two.
INSTEAD: Dict[str, str] = {
    "moto_server -p 5555 &": """
        moto_server -p {free[0]} >moto.log 2>&1 & trap 'kill %1' EXIT
        until curl --silent http://127.0.0.1:{free[0]} >moto.up; do sleep 0.1; done""",
    "export AWS_ENDPOINT_URL=http://127.0.0.1:5555 AWS_DEFAULT_REGION=us-east-1"
    " AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b": """
        export AWS_ENDPOINT_URL=http://127.0.0.1:{free[0]} AWS_DEFAULT_REGION=us-east-1
        export AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b""",
    "provctl template render site.conf.j2 --values @values.json"
    " -O /etc/nginx/site.conf": """
        provctl template render site.conf.j2 --values @values.json -O site.conf""",
    # Ctrl-C after a second: the exit code of curl is then 28.
    "ask --no-buffer http://localhost/events                      # until Ctrl-C": """
        ask --no-buffer --max-time 1 http://localhost/events || [ $? = 28 ]""",
    """curl -H @<(printf 'Authorization: Bearer %s' "$(cat "$state/scheduler/token")")"""
    " http://127.0.0.1:9090/tasks": """
        curl --fail -H @<(printf 'Authorization: Bearer %s' \
            "$(cat "$state/scheduler/token")") http://127.0.0.1:{free[1]}/tasks""",
}
NO_SYSTEMD = (
    "needs the systemd of an account that is logged in;"
    " tests/e2e/test_service.py plays its part"
)
UNTRIED: Dict[str, str] = {
    "systemctl --user daemon-reload": NO_SYSTEMD,
    "systemctl --user enable --now provctl.service": NO_SYSTEMD,
    "loginctl enable-linger               # so that it keeps running when you log out": (
        NO_SYSTEMD
    ),
}


class Step(NamedTuple):
    """A command of a session, and the lines that the document shows."""

    command: str
    shown: List[str]


def steps(text: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield Step(command, [line for line in shown if line != "..."])


def steady(line: str) -> str:
    """A line without the parts that differ between runs."""
    for pattern, word in CHANGING:
        line = pattern.sub(word, line)
    return line.strip()


class Shell:
    """Runs lines in bash, in a checkout, with `programs` first on PATH."""

    def __init__(self, provctl: Provctl, programs: Path) -> None:
        self.checkout = provctl.folder / "checkout"
        path = os.pathsep.join([str(programs), provctl.environ["PATH"]])
        self.environ: Dict[str, str] = {**provctl.environ, "PATH": path}

    def __call__(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.checkout,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=300,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout


@pytest.fixture
def shell(provctl: Provctl) -> Shell:
    shell = Shell(provctl, Path(sys.executable).parent)
    shutil.copytree(ROOT / "examples", shell.checkout / "examples")
    return shell


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_console_session_prints_what_the_document_shows(
    shell: Shell, block: Block
) -> None:
    if "kill -9" in block.text:
        shell.environ["PROVISIONING_SPEED"] = SPEED
    for step in steps(block.text):
        said = shell(step.command)
        printed = [steady(line) for line in said.splitlines()]
        for line in step.shown:
            assert steady(line) in printed, f"$ {step.command}\n{said}"


def tried(line: str, free: List[int]) -> str:
    """The part of a bash line that is run here."""
    if line in UNTRIED:
        return ""
    return INSTEAD[line].format(free=free) if line in INSTEAD else line


@pytest.mark.parametrize("block", blocks("bash"), ids=str)
def test_bash_block_runs(shell: Shell, block: Block) -> None:
    free = [free_port(), free_port()]
    lines = ["set -euo pipefail", *(tried(x, free) for x in block.text.splitlines())]
    script = "\n".join(lines)
    need(*(tool for tool in ("curl", "jq") if tool in script))
    shell.environ["PROVCTL_SERVER_PORT"] = str(free[1])
    shell.environ["PROVCTL_NUSHELL_PROVISIONING_LIB"] = str(
        shell.checkout / "examples/provisioning"
    )
    template = shell.checkout / "site.conf.j2"
    template.write_text("server_name {{ name }}:{{ port | default(80) }};\n")
    (shell.checkout / "values.json").write_text('{"name": "web-2"}')
    if "scheduler/api.sock" in block.text:
        shell("provctl scheduler start")
    said = shell(script)
    assert '"success":false' not in said, said
    assert said.count('"success":true') == (6 if "api.sock" in block.text else 0), said


def test_exceptions_listed_here_still_occur_in_a_document() -> None:
    lines = {line for block in blocks("bash") for line in block.text.splitlines()}
    assert lines >= {*INSTEAD, *UNTRIED}


def test_nushell_block_for_tasks_prints_what_the_document_shows(shell: Shell) -> None:
    (block,) = blocks("nu")
    (shell.checkout / "site.conf.j2").write_text("server_name {{ name }};\n")
    tasks = {
        "servers": {"script": '{ ips: ["10.0.0.1"] }'},
        "shown": {"needs": ["servers"], "script": block.text},
    }
    file = shell.checkout / "module.json"
    file.write_text(json.dumps({"tasks": tasks}))
    assert "2 succeeded" in shell(f"provctl run {file}").splitlines()[-1]
    assert "web-1" in shell("provctl outputs @last shown")


def test_every_kind_of_block_is_run() -> None:
    run_here = {"bash", "console", "json", "nickel", "nu", "sh", "toml"}
    # What is in `text` is no code.
    assert {block.language for block in all_blocks()} <= {*run_here, "text"}


def test_commands_that_reproduce_figures_exist() -> None:
    commands = [
        shlex.split(span)
        for document in DOCUMENTS
        for span in spans(document)
        if re.search(r"bash tests/|python -m tests", span)
    ]
    assert len(commands) > 8
    for words in commands:
        _measure(words)


def _measure(words: List[str]) -> None:
    """Check that the named files exist. The commands are not run: they take hours."""
    words = [word for word in words if not re.match(r"[A-Z_]+=", word)]
    if words[:2] == ["python", "-m"]:
        assert (ROOT / words[2].replace(".", "/")).with_suffix(".py").is_file(), words
    elif words[1] == "tests/run":
        paths, _, chosen = " ".join(words[2:]).partition(" -k ")
        assert all((ROOT / path).exists() for path in paths.split()), words
        for name in {*re.findall(r"\w+", chosen)} - {"and", "or"}:
            assert any(name in test for test in fault_tests()), (words, name)
    else:
        assert (ROOT / words[1]).is_file(), words


@lru_cache(maxsize=None)
def fault_tests() -> List[str]:
    """The names of all fault tests, with their files."""
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/fault"]
    done = subprocess.run(collect, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-500:]
    return done.stdout.splitlines()


ENDINGS = {"nickel": "ncl", "json": "json"}
WORKFLOWS = [
    *blocks("nickel"),
    *(block for block in blocks("json") if "tasks" in json.loads(block.text)),
]


@pytest.mark.parametrize(
    "block", WORKFLOWS, ids=lambda block: f"{block.language}-{block}"
)
def test_workflow_block_runs(shell: Shell, block: Block) -> None:
    file = shell.checkout / f"workflow.{ENDINGS[block.language]}"
    file.write_text(block.text, encoding="utf-8")
    shell(f"provctl validate {file}")
    assert " succeeded in " in shell(f"provctl run {file}").splitlines()[-1]


def test_two_workflows_of_the_readme_are_the_same(shell: Shell) -> None:
    plans = []
    for block in WORKFLOWS:
        if block.document == README:
            file = shell.checkout / f"workflow.{ENDINGS[block.language]}"
            file.write_text(block.text, encoding="utf-8")
            assert len(block.text.splitlines()) == 6, block.text
            plans.append(shell(f"provctl plan {file} -o json"))
    first, second = plans
    assert first == second


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_configuration_block_is_valid(shell: Shell, block: Block) -> None:
    file = shell.checkout / "config.toml"
    file.write_text(block.text, encoding="utf-8")
    shell(f"provctl config check {file}")


def test_second_command_of_the_readme_runs_the_tests() -> None:
    (block,) = blocks("sh")
    assert block.document == README
    _, test = block.text.splitlines()
    asked = subprocess.run(
        ["bash", "-c", f"{test} --version"], cwd=ROOT, capture_output=True, check=True
    )
    assert re.match(rb"pytest \d+\.\d+\.\d+\n", asked.stdout.splitlines(True)[-1])
