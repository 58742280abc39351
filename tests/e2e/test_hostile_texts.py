"""No foreign text (file name, log, message) sends escape sequences to a terminal.

Each verb is called, with and without a terminal; a new verb must be added to `CALLS`.
Every created file and every page of the API is checked too.
"""

from __future__ import annotations

import json
import re
import tarfile
from typing import Any, Dict, Iterator, List, Tuple

import click
import pytest

from provctl.cli.main import cli
from tests.support.api import Api
from tests.support.attempts import PATIENCE_S
from tests.support.installed import Provctl

# Clipboard, title, colour, erasing the screen, in both spellings, the order of letters, an end of line.
HOSTILE = (
    "w\x1b]52;c;eA==\x07\x1b]0;t\x1b\\\x1b[31m\x1b[2J\x9b2J\x1b[9A"
    "\u202e\u2066\u200f\u061c\u2028\nSPOOFED"
)
# What tasks say has lines of its own, and Nushell shows where it works.
SAID = HOSTILE.replace("SPOOFED", "said")
# What a terminal obeys of that, or shows in another order.
STEERING = re.compile(
    "[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
# What the live view prints: colours, the cursor, and rows that are erased.
OWN = re.compile("\x1b\\[(?:\\?25[hl]|1A|2K|[0-9;]*m)")

FILE, RUN, OTHER = "<file>", "<run>", "<other>"
# How each verb is called; all are also given names that nothing has.
CALLS: Dict[str, List[List[str]]] = {
    "apply": [[FILE], ["<broken>"]],
    "batch cancel": [[RUN]],
    "batch list": [[]],
    "batch monitor": [[RUN]],
    "batch pause": [[RUN]],
    "batch resume": [[RUN]],
    "batch retry": [[RUN, "--plan"]],
    "batch rollback": [[RUN, "-y"]],
    "batch status": [[RUN]],
    "batch submit": [[FILE, FILE]],
    "bundle": [[RUN, "-O", "<new>"], [RUN, "--dry-run"]],
    "cancel": [[RUN]],
    "completion": [["bash"], ["zsh"], ["fish"], ["nu"]],
    "config check": [[], [FILE]],
    "config path": [[]],
    "config show": [[], ["state.dir"]],
    "doctor": [[]],
    "env": [[], ["--for", "nu"]],
    "explain": [[RUN], [OTHER], [f"{RUN}/bad"]],
    "graph": [
        [RUN],
        [FILE],
        *([FILE, "-f", form] for form in ("svg", "dot", "mermaid")),
    ],
    "help": [[], ["workflow-file"]],
    "journal export": [[RUN]],
    "journal repair": [[RUN, "-y"]],
    "journal tail": [[RUN], [OTHER]],
    "journal verify": [[RUN], []],
    "logs": [[RUN], [RUN, "good"], [f"{RUN}/bad", "-n", "2"], [OTHER, "never"]],
    "node agent": [],  # it speaks with an owner, and no terminal
    "node drain": [["n"]],
    "node list": [[]],
    "node resume": [["n"]],
    "node show": [["n"]],
    "prune": [["--keep", "0", "--dry-run"]],
    "ps": [[]],
    "retry": [[RUN, "--plan"]],
    "run": [[FILE], [FILE, "-o", "json"], [FILE, "-o", "plain"], [FILE, "-o", "group"]],
    "schedule add": [[FILE, "--cron", "@daily", "--name", "s"]],
    "schedule list": [[]],
    "schedule pause": [["s"]],
    "schedule resume": [["s"]],
    "schedule rm": [["s", "-y"]],
    "schedule run": [["s"]],
    "schedule show": [["s"]],
    "scheduler install": [["--print"], []],
    "scheduler load-workflow": [],  # it reads an order of the scheduler
    "scheduler logs": [[]],
    "scheduler restart": [[]],
    "scheduler run-hooks": [[RUN]],
    "scheduler serve": [],  # it does not end by itself
    "scheduler start": [[]],
    "scheduler status": [[]],
    "scheduler stop": [[]],
    "scheduler uninstall": [[]],
    "simulate": [[FILE, "--gantt"], [RUN]],
    "stats": [[], ["w"]],
    "status": [[RUN], [OTHER]],
    "submit": [[FILE]],
    "template render": [["<template>", "--set", f"x={HOSTILE}"], ["<wrong>"]],
    "version": [[]],
    "wait": [[RUN]],
    "watch": [[RUN]],
    "workflow attach": [[RUN]],
    "workflow cancel": [[RUN]],
    "workflow detach": [[RUN]],
    "workflow apply": [[FILE]],
    "workflow diff": [[RUN, OTHER]],
    "workflow explain": [[RUN]],
    "workflow graph": [[FILE]],
    "workflow list": [[], ["-o", "json"], ["-o", "name"]],
    "workflow logs": [[RUN]],
    "workflow monitor": [[RUN]],
    "workflow outputs": [[RUN], [RUN, "good"], [RUN, "good", "said"]],
    "workflow pause": [[RUN]],
    "workflow pin": [[RUN]],
    "workflow plan": [[FILE], ["<broken>"]],
    "workflow replay": [[RUN, "--speed", "1000000"]],
    "workflow report": [
        [RUN, *(w for f in ("html", "junit", "summary") for w in (f"--{f}", f"<{f}>"))]
    ],
    "workflow resume": [[RUN]],
    "workflow retry": [[RUN, "--plan"]],
    "workflow rm": [["<rm>", "-y"]],
    "workflow rollback": [[RUN, "-y"]],
    "workflow run": [[FILE]],
    "workflow show": [[RUN], [OTHER]],
    "workflow simulate": [[FILE]],
    "workflow status": [[RUN]],
    "workflow submit": [[FILE]],
    "workflow unpin": [[RUN]],
    "workflow validate": [[FILE], [FILE, "<broken>"], ["<toml>"]],
    "workflow wait": [[RUN]],
}


def verbs_of(
    command: click.Command, ctx: click.Context
) -> Iterator[Tuple[str, click.Command]]:
    """Every verb below a command, by its words."""
    for name in command.list_commands(ctx) if isinstance(command, click.Group) else ():
        assert isinstance(command, click.Group)
        below = command.get_command(ctx, name)
        assert below is not None
        inside = list(verbs_of(below, click.Context(below, parent=ctx)))
        if inside:
            yield from ((f"{name} {verb}", found) for verb, found in inside)
        else:
            yield name, below


def test_every_verb_is_tested_here() -> None:
    found = dict(verbs_of(cli, click.Context(cli)))
    assert set(CALLS) <= set(found)
    # Each command once: all of `workflow` are at top level too.
    called = {id(found[verb]) for verb in CALLS}
    assert [verb for verb, each in found.items() if id(each) not in called] == []


@pytest.fixture(scope="module")
def household(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provctl]:
    """A state directory and files with hostile names, and runs with hostile output."""
    provctl = Provctl(tmp_path_factory.mktemp("hostile"))
    provctl.state = provctl.folder / SAID
    provctl.environ["PROVCTL_STATE_DIR"] = str(provctl.state)
    say = "import sys; sys.stdout.write(sys.argv[1] * 2); sys.exit(int(sys.argv[2]))"
    tasks: Dict[str, Any] = {
        "good": {"script": "{said: $args.it, ($args.it): 1}", "args": {"it": SAID}},
        "bad": {
            "script": "print $args.it; error make {msg: $args.it}",
            "args": {"it": SAID},
        },
        "ugly": {"command": ["python3", "-c", say, f"PROGRESS: 40% {SAID}\n", "3"]},
        "never": {"command": ["true"], "needs": ["bad"], "description": HOSTILE},
    }
    text = json.dumps(
        {"description": HOSTILE, "params": {"p": HOSTILE}, "tasks": tasks}
    )
    folder = provctl.folder
    (folder / f"{HOSTILE}.json").write_text(text)
    (folder / f"{HOSTILE}-broken.json").write_text(
        f'{{"name": {json.dumps(HOSTILE)}, "tasks": {{"{HOSTILE}": 1}}}}'.replace(
            "\n", ""
        )
    )
    (folder / f"{HOSTILE}.toml").write_text(f'tasks.a.comand = "{HOSTILE}"')
    (folder / f"{HOSTILE}.j2").write_text("{{ x }}\n")
    (folder / f"{HOSTILE}-2.j2").write_text(f"{{{{ {HOSTILE} }}}}\n")
    provctl("scheduler", "start")
    yield provctl
    provctl.end()


@pytest.fixture(scope="module")
def runs(household: Provctl) -> Dict[str, str]:
    """The values of the placeholders in `CALLS`."""
    folder = household.folder
    file = str(folder / f"{HOSTILE}.json")
    ids = [household("submit", file, "--key", f"{n}").last_word for n in range(3)]
    household("wait", *ids, code=None)
    html, junit, summary = (
        str(folder / f"{HOSTILE}.{end}") for end in ("html", "xml", "md")
    )
    return {
        FILE: file,
        RUN: ids[0],
        OTHER: ids[1],
        "<rm>": ids[2],
        "<new>": str(folder / f"{HOSTILE}.tar.gz"),
        "<broken>": str(folder / f"{HOSTILE}-broken.json"),
        "<wrong>": str(folder / f"{HOSTILE}-2.j2"),
        "<toml>": str(folder / f"{HOSTILE}.toml"),
        "<template>": str(folder / f"{HOSTILE}.j2"),
        "<html>": html,
        "<junit>": junit,
        "<summary>": summary,
    }


def check_letters(what: str, said: str) -> None:
    """Check that a text contains no control characters."""
    found = STEERING.search(said)
    assert found is None, f"{what}: {found.group()!r} in {said!r}"


def check(what: str, said: str) -> None:
    """Check that a text has no control characters and each line is one of ours."""
    check_letters(what, said)
    lines = [line for line in said.splitlines() if line.startswith("SPOOFED")]
    assert not lines, f"{what}: {said!r}"


def calls_of(verb: str, names: Dict[str, str]) -> List[List[str]]:
    """All calls of a verb."""
    calls = [[*verb.split(), HOSTILE], [*verb.split(), f"--{HOSTILE}"]]
    for given in CALLS[verb]:
        line = "\t".join([*verb.split(), *given])
        for name, meant in names.items():
            line = line.replace(name, meant)
        calls.append(line.split("\t"))
    return calls


@pytest.mark.parametrize("verb", CALLS)
def test_no_verb_prints_control_characters(
    household: Provctl, runs: Dict[str, str], verb: str
) -> None:
    for call in calls_of(verb, runs):
        (household.folder / f"{HOSTILE}.tar.gz").unlink(missing_ok=True)
        done = household(*call, code=None)
        is_data = verb == "template render" and "--set" in call
        for said in (done.err,) if is_data else (done.out, done.err):
            check(f"{call} off a terminal", said)


@pytest.mark.parametrize("verb", CALLS)
def test_no_verb_sends_escape_sequences_to_the_terminal(
    household: Provctl, runs: Dict[str, str], verb: str
) -> None:
    for call in calls_of(verb, runs):
        (household.folder / f"{HOSTILE}.tar.gz").unlink(missing_ok=True)
        with household.terminal(*call) as terminal:
            terminal.wait(within_s=PATIENCE_S)
            said = OWN.sub("", terminal.raw)
            # What is made of a template is what was asked for, with its lines.
            has_lines = verb == "template render" and "--set" in call
            look = check_letters if has_lines else check
            look(f"{call} at a terminal", said.replace("\r", ""))


@pytest.mark.parametrize("job", [{"GITHUB_ACTIONS": "true"}, {"GITLAB_CI": "true"}])
def test_no_job_log_contains_control_characters(
    household: Provctl, runs: Dict[str, str], job: Dict[str, str]
) -> None:
    page = household.folder / "page.md"
    environ = {**job, "GITHUB_STEP_SUMMARY": str(page)}
    for call in (["run", runs[FILE]], ["validate", runs["<broken>"]]):
        done = household(*call, code=None, env=environ)
        said = re.sub("\x1b\\[0Ksection_[a-z]+:[^\r]*\r\x1b\\[0K", "", done.out)
        check(str(call), OWN.sub("", said))
        check(str(call), done.err)
    if page.exists():
        check("the page", page.read_text())


def test_no_report_file_contains_control_characters(
    household: Provctl, runs: Dict[str, str]
) -> None:
    files = {
        name: household.folder / f"{HOSTILE}.{name}" for name in ("html", "xml", "md")
    }
    flags = ["--html", files["html"], "--junit", files["xml"], "--summary", files["md"]]
    household("workflow", "report", runs[RUN], *flags)
    for name, file in files.items():
        check_letters(name, file.read_text())  # an end of line is a space there
    household("scheduler", "install")
    units = list((household.folder / "account").rglob("provctl.service"))
    assert units
    check("unit", units[0].read_text())
    check("log", (household.state / "scheduler" / "log").read_text())
    bundle = household.folder / "bundle.tar.gz"
    household("bundle", runs[RUN], "-O", bundle)
    with tarfile.open(bundle) as archive:
        for part in archive.getmembers():
            content = archive.extractfile(part)
            # Logs of tasks are evidence: they are in it as they were written.
            if content is not None and not part.name.endswith(".log"):
                check(part.name, content.read().decode())


def pages_of(api: Api, runs: Dict[str, str]) -> Iterator[Tuple[str, str]]:
    """All pages that can be read, and some that do not exist."""
    hostile = "".join(f"%{byte:02X}" for byte in HOSTILE.encode())
    for path, methods in api.ask("GET", "/openapi.json").json()["paths"].items():
        if "get" in methods:
            for run, name in ((runs[RUN], "good"), (hostile, hostile)):
                page = re.sub(r"\{(\w+)\}", run, path, count=1)
                yield "GET", re.sub(r"\{(\w+)\}", name, page)
        yield "DELETE", re.sub(r"\{(\w+)\}", hostile, path)
    yield "GET", f"/{hostile}"


def test_no_api_response_contains_control_characters(
    household: Provctl, runs: Dict[str, str]
) -> None:
    household("scheduler", "start")
    household("schedule", "add", runs[FILE], "--cron", "@daily", "--name", "s2")
    api = Api(household.state)
    seen = 0
    for method, page in pages_of(api, runs):
        if "stream" in page or "events" in page or page == "/openapi.json":
            continue
        answer = api.ask(method, page)
        seen += answer.status == 200
        check(page, answer.body.decode())
        check(page, json.dumps(dict(answer.headers), ensure_ascii=False))
    assert seen > 5


def test_control_input_does_contain_control_characters(
    household: Provctl, runs: Dict[str, str]
) -> None:
    log = household("logs", runs[RUN], "ugly", "--raw").out
    for text in (HOSTILE, runs[FILE], log):
        assert len(set(STEERING.findall(text))) >= 8
        with pytest.raises(AssertionError):
            check("", OWN.sub("", text))
    assert "said" in log.splitlines()
    rendered = household(
        "template", "render", runs["<template>"], "--set", f"x={HOSTILE}"
    )
    assert rendered.out == f"{HOSTILE}\n"
