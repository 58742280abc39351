"""Every example in the help is run in a shell, exactly as it is written.

An example is a line of a help page or a topic that starts with at least two spaces and
`provctl`. Text after two more spaces or a `#` is a comment. Examples run in a folder
with the files and runs that they name: workflows such as `deploy.ncl` with the tasks
web-1, web-2, database, kubernetes and apps. @last has the status that the verb needs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Dict, Iterator, List, NamedTuple, Sequence

import pytest
from click import Context, Group
from click.testing import CliRunner

from provctl.cli.main import cli
from provctl.cli.session import Session
from tests.support.installed import PROGRAM, ROOT, Provctl

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = re.compile(r"^ {2,}(provctl .+?)(?: {2,}.*| +# .*)?$", re.MULTILINE)
TOPIC = re.compile(r"^  (\S+)  ", re.MULTILINE)

DEPLOY = """
let p = import "provctl.ncl" in
{
  name = "deploy",
  params = { zone | String | default = "fi-hel1", servers | Number | default = 2,
             nap | Number | default = 0, kubernetes | String | default = "true" },
  tasks = {
    web-1 = { command = ["sh", "-c", "echo web-1 is up; exec sleep $NAP"],
              env.NAP = params.nap, undo.command = ["true"] },
    web-2 = { command = ["true"], undo.command = ["true"] },
    database = { script = m%"{ ip: "10.0.0.9" }"%, needs = ["web-1"] },
    kubernetes = { command = ["sh", "-c", params.kubernetes],
                   needs = ["web-1", "web-2"], undo.command = ["true"] },
    apps = { script = m%"{ name: "shop" }"%, needs = ["kubernetes", "database"],
             undo.command = ["true"] },
  },
} | p.Workflow
"""

# How @last must be for lines that have these words, the first of them that fit; for
# others it has succeeded.
LAST: Dict[str, str] = {
    "provctl apply": "a saved plan",
    "provctl node": "a node",
    "schedule add": "succeeded",
    "schedule resume": "a paused schedule",
    "schedule ": "a schedule",
    "detach": "in the foreground",
    "batch cancel": "a batch at work",
    "batch pause": "a batch at work",
    "batch resume": "a batch at work, paused",
    "batch retry": "a batch that failed",
    "batch": "a batch",
    "cancel": "at work",
    "pause": "at work",
    "--accept": "held",
    "--rerun": "held",
    "--fail ": "held",
    "resume": "paused",
    "retry": "failed",
    "explain": "failed",
}

# What makes the task kubernetes end so; what failed can be repaired.
KUBERNETES = {
    "failed": "test -e repaired",
    "held": "test -e repaired || kill -9 $PPID",  # its supervisor
}

# By the whole line: what is run in its place, for it speaks of one moment.
INSTEAD: Dict[str, str] = {
    "provctl show @last --at 2026-05-04T12:00:00Z": (
        "provctl show @last --at $(date -u +%FT%TZ)"
    ),
}

# By the beginning of a line: how it is run, for it goes on until it is told.
TOLD_TO_END = {
    "provctl scheduler serve": """
        {} &
        until provctl scheduler status -o name | grep -q '[0-9]'; do sleep 0.1; done
        kill $!
        wait $!"""
}

# By the whole line: the exit code that is right, if it is not 0.
CODES: Dict[str, int] = {"provctl node show web1": 32}  # there is no such host

# By the whole line: why it cannot be run here.
UNTRIED: Dict[str, str] = {}

# What a line has in the place of a value, where no file or run is called so.
PLACEHOLDERS = {"FILE": "deploy.ncl", "RUN": "@last", "TASK": "web-1"}

_WITHIN_S = 120


class Example(NamedTuple):
    """An example, and the words of the command whose help has it."""

    line: str
    of: str


def helped(*words: str) -> str:
    """The output of `provctl` for these words, which ask for help."""
    done = CliRunner().invoke(cli, words, obj=Session())
    assert done.exit_code == 0, (words, done.output)
    return done.output


def commands(group: Group = cli, words: Sequence[str] = ()) -> Iterator[Sequence[str]]:
    """The words of every command and group; each is loaded when needed."""
    yield words
    context = Context(group, obj=Session())
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, Group):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name)


def topics() -> List[str]:
    """The topics that `provctl help` lists."""
    _, _, listed = helped("help").partition("\nTopics:\n")
    return TOPIC.findall(listed)


def examples() -> List[Example]:
    """All example lines, each once: a command may be in two places of the tree."""
    found: Dict[str, Example] = {}
    asked = [(*words, "--help") for words in commands()]
    asked += [("help", topic) for topic in topics()]
    for words in asked:
        # What else to read is named there, and no line to be typed.
        text, _, _ = helped(*words).partition("\nSee also:\n")
        for line in EXAMPLE.findall(text):
            found.setdefault(line, Example(line, " ".join(words)))
    return list(found.values())


ALL = examples()

# Workflow files that are named; all have the same tasks.
FILES = {
    word
    for example in [Example("deploy.ncl other.ncl", ""), *ALL]
    for word in example.line.split()
    if word.endswith(".ncl") and "/" not in word
}

LABELS = ("-l", "env=test")  # which all runs have


class Desk:
    """A folder with everything that examples name, and a shell in it."""

    def __init__(self, provctl: Provctl) -> None:
        self.provctl = provctl
        self.folder = provctl.folder / "desk"
        shutil.copytree(ROOT / "examples", self.folder / "examples")
        files = {
            **{name: DEPLOY.replace("deploy", name[: -len(".ncl")]) for name in FILES},
            "site.conf.j2": "server_name {{ name }};\n",
            "motd.j2": "This is {{ name }}.\n",
            "values.json": json.dumps({"name": "web-1", "port": 443}),
        }
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")
        path = os.pathsep.join([str(PROGRAM.parent), provctl.environ["PATH"]])
        self.environ: Dict[str, str] = {**provctl.environ, "PATH": path}
        self._begun: List[subprocess.Popen[bytes]] = []

    def put(self, how: str) -> None:
        """Create a last run, or batch, that has the needed status."""
        if how == "failed":
            self._submit("-p", f"kubernetes={KUBERNETES[how]}", "--wait", code=10)
            (self.folder / "repaired").touch()
        elif how == "held":
            self._submit("-p", f"kubernetes={KUBERNETES[how]}")
            self._until("kubernetes", "held")
            (self.folder / "repaired").touch()
        elif how == "in the foreground":
            words = ("run", "deploy.ncl", "-p", "nap=600", *LABELS)
            self._begun.append(self.provctl.start(*words, cwd=self.folder))
            self._until("web-1", "running")
        elif how.startswith("a batch"):
            self._put_batch(how)
        elif how.startswith("a "):
            self._put_beside(how)
        elif how != "succeeded":
            self._submit("-p", "nap=600")
            self._until("web-1", "running")
            if how == "paused":
                self._provctl("workflow", "pause", "@last")

    def _put_beside(self, how: str) -> None:
        if how == "a saved plan":
            self._provctl("plan", "deploy.ncl", "--save", "deploy.plan")
        elif how == "a node":
            config = self.folder / "nodes.toml"
            config.write_text('[nodes.web1]\nssh = "web1.invalid"\n', encoding="utf-8")
            self.environ["PROVCTL_CONFIG"] = str(config)
        else:
            self._provctl("schedule", "add", "backup.ncl", "--cron", "0 3 * * *")
            if "paused" in how:
                self._provctl("schedule", "pause", "backup")

    def _put_batch(self, how: str) -> None:
        words: Sequence[str] = ()
        if "at work" in how:
            words = ("-p", "nap=600")
        elif how.endswith("failed"):
            words = ("-p", f"kubernetes={KUBERNETES['failed']}")
        self._provctl("batch", "submit", "deploy.ncl", "other.ncl", *words, *LABELS)
        if "at work" in how:
            self._until("web-1", "running")
            if how.endswith("paused"):
                self._provctl("batch", "pause", "@last")
        else:
            code = 10 if how.endswith("failed") else 0
            self._provctl("batch", "monitor", "@last", code=code)

    def end(self) -> None:
        """End everything that was started here."""
        for process in self._begun:
            process.kill()
            process.communicate()

    def _submit(self, *words: str, code: int = 0) -> None:
        self._provctl("workflow", "submit", "deploy.ncl", *words, *LABELS, code=code)

    def _provctl(self, *words: str, code: int = 0) -> None:
        self.provctl(*words, cwd=self.folder, code=code)

    def _until(self, task: str, status: str) -> None:
        self.provctl.until(
            lambda: self.provctl.task("@last", task)["status"] == status,
            f"{task} of the last run is {status}",
        )

    def __call__(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=_WITHIN_S,
        )


@pytest.fixture(scope="module")
def succeeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state directory with a batch of two, then two runs, all successful.

    It is created once; each test starts with a copy.
    """
    provctl = Provctl(tmp_path_factory.mktemp("before"))
    try:
        desk = Desk(provctl)
        desk.put("a batch")
        for _ in range(2):
            provctl("run", "deploy.ncl", *LABELS, cwd=desk.folder)
        provctl("scheduler", "stop")
        yield provctl.state
    finally:
        provctl.end()


@pytest.fixture
def desk(provctl: Provctl, succeeded: Path) -> Iterator[Desk]:
    shutil.copytree(
        succeeded, provctl.state, ignore=shutil.ignore_patterns("*.sock", "token")
    )
    desk = Desk(provctl)
    try:
        yield desk
    finally:
        desk.end()


def typed(line: str) -> str:
    """A line with its placeholders replaced by values."""
    words = INSTEAD.get(line, line).split(" ")
    how = next(
        (TOLD_TO_END[start] for start in TOLD_TO_END if line.startswith(start)), "{}"
    )
    return how.format(" ".join(PLACEHOLDERS.get(word, word) for word in words))


def wanted(line: str) -> str:
    """The status that the last run must have."""
    return next((LAST[words] for words in LAST if words in line), "succeeded")


@pytest.mark.parametrize(
    "example",
    [example for example in ALL if example.line not in UNTRIED],
    ids=lambda example: example.line,
)
def test_help_example_runs(desk: Desk, example: Example) -> None:
    desk.put(wanted(example.line))
    done = desk(typed(example.line))
    code = CODES.get(example.line, 0)
    told = f"{example.line} (in {example.of}): {done.returncode}\n{done.stdout}"
    assert done.returncode == code, told
    assert "Traceback" not in done.stdout, told


def test_exceptions_listed_here_still_occur_in_the_help() -> None:
    lines = {example.line for example in ALL}
    assert len(lines) > 10
    assert {*CODES, *INSTEAD, *UNTRIED} <= lines
    text = "  provctl graph a.ncl      by stages\n  provctl graph @last > b  # drawn\n"
    assert EXAMPLE.findall(text) == ["provctl graph a.ncl", "provctl graph @last > b"]


def test_wrong_example_fails(desk: Desk) -> None:
    assert desk("provctl graph deploy.ncl -f nothing").returncode == 2
    assert desk("provctl explain @last/web-9").returncode == 40
