"""Runs in jobs of CI systems: their logs, annotations, summaries and reports."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Dict, Iterator, List

import pytest
from junit2htmlreport.parser import Junit

from tests.support.gated_tasks import Gated
from tests.support.installed import ROOT
from tests.support.job_logs import GitHubJob, GitLabJob

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

GITLAB = {"GITLAB_CI": "true", "CI": "true"}

# Parallel tasks in Nushell; one that needs a second try; one that fails until it is mended.
WORKFLOW = """\
let p = import "provctl.ncl" in
{
  name = "deploy",
  tasks = {
    web = { script = m%"for i in 1..5 { print $"web ($i)"; sleep 100ms }"% },
    db = { script = m%"for i in 1..3 { print $"::set-output name=db::($i)"; sleep 50ms }"% },
    dns = {
      command = ["sh", "-c", "echo asked; [ -e seen ] || { touch seen; exit 1; }"],
      retry = { attempts = 2, delay = "100ms" },
    },
    apps = {
      command = ["sh", "-c", "[ -e mended ] || { echo 'quota: 100%, used up' >&2; exit 3; }"],
      needs = ["db"],
    },
    last = { command = ["true"], needs = ["apps"] },
  },
} | p.Workflow
"""


@pytest.fixture
def github(provctl: Provctl) -> Dict[str, str]:
    """The variables of a GitHub job whose checkout is the test's folder."""
    return {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(provctl.folder),
        "GITHUB_STEP_SUMMARY": str(provctl.folder / "step.md"),
    }


@pytest.fixture
def gated(provctl: Provctl) -> Iterator[Gated]:
    gated = Gated(provctl)
    yield gated
    gated.open()


def said_by(job: Any, task: str) -> List[str]:
    """All lines of a task, from all its groups."""
    title = re.compile(rf"{task}( \(attempt \d\))?(, continued)?")
    groups = [group for group in job.groups if title.fullmatch(group.title)]
    return [line for group in groups for line in group.lines]


def test_github_job_shows_groups_annotations_and_summary(
    provctl: Provctl, github: Dict[str, str]
) -> None:
    file = provctl.text("deploy.ncl", WORKFLOW)
    page = provctl.text("step.md", "# before\n")
    done = provctl("run", file, "--junit", "j.xml", env=github, code=10)
    job = GitHubJob(done.out)
    assert job.obeyed == []
    assert said_by(job, "web") == [f"web {n}" for n in range(1, 6)]
    assert said_by(job, "db") == [f"> ::set-output name=db::{n}" for n in (1, 2, 3)]
    assert said_by(job, "dns") == ["asked", "asked"]
    assert said_by(job, "apps") == ["quota: 100%, used up"]
    (error,) = job.of("error")
    assert error["file"] == "deploy.ncl"
    assert int(error["line"]) == _line("apps = {")
    assert error["title"] == "apps failed"
    assert error["message"].splitlines()[-1] == "quota: 100%, used up"
    (warning,) = job.of("warning")
    assert warning["title"] == "dns is flaky"
    assert int(warning["line"]) == _line("dns = {")
    summary = page.read_text(encoding="utf-8")
    assert summary.startswith("# before\n## \N{CROSS MARK} deploy failed after ")
    assert "```mermaid\nflowchart LR\n" in summary
    assert "quota: 100%, used up" in summary
    assert "Critical path" in summary


def _line(start: str) -> int:
    lines = [line.strip() for line in WORKFLOW.splitlines()]
    return lines.index(start) + 1


def test_gitlab_job_shows_sections_and_summary(provctl: Provctl) -> None:
    file = provctl.text("deploy.ncl", WORKFLOW)
    done = provctl("run", file, "--summary", "s.md", env=GITLAB, code=10)
    job = GitLabJob(done.out)
    assert said_by(job, "web") == [f"web {n}" for n in range(1, 6)]
    assert said_by(job, "db") == [f"::set-output name=db::{n}" for n in (1, 2, 3)]
    assert "::error" not in done.out + done.err
    summary = (provctl.folder / "s.md").read_text(encoding="utf-8")
    assert "apps" in summary
    assert not (provctl.folder / "step.md").exists()


@pytest.mark.parametrize("system", ["github", "plain"])
def test_end_of_the_job_log_has_failed_logs_and_hints(
    provctl: Provctl, github: Dict[str, str], system: str
) -> None:
    lines = [f"::add-mask::{n}" for n in range(500)]
    provctl.text("long.txt", "\n".join(lines))
    script = "cat long.txt; [ -e mended ]"
    file = provctl.file({"a": {"command": ["sh", "-c", script]}})
    env = github if system == "github" else {}
    done = provctl("run", file, env=env, code=10)
    _, _, account = done.out.partition("(w) failed")
    shown = [line.replace("> ", "").strip() for line in account.splitlines()]
    assert [line for line in shown if line.startswith("::add-mask")] == lines
    assert GitHubJob(done.out).obeyed == [] or system == "plain"
    _, command = next(
        line for line in done.out.splitlines() if "provctl retry" in line
    ).split(": ")
    provctl.text("mended", "")
    provctl(*shlex.split(command)[1:])
    provctl("wait", "@last")


def test_job_log_shows_output_while_the_task_runs(
    provctl: Provctl, gated: Gated, github: Dict[str, str]
) -> None:
    script = "echo first; until [ -e gate ]; do sleep 0.05; done; echo second"
    file = provctl.file({"a": {"command": ["sh", "-c", script]}})
    with provctl.start("run", file, env=github) as process:
        assert process.stdout is not None
        seen: List[bytes] = []
        while b"first\n" not in seen:
            seen.append(process.stdout.readline())
            assert seen[-1], seen
        provctl.text("gate", "")
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 0
    job = GitHubJob((b"".join(seen) + rest).decode())
    assert said_by(job, "a") == ["first", "second"]


BROKEN = {
    "nickel": ('{\n  name = "w",\n  tasks = { a = { command = ["true" } },\n}\n', 3),
    "contract": (
        'let p = import "provctl.ncl" in\n{\n  name = "w",\n'
        '  tasks = { a = { command = "true" } } } | p.Workflow\n',
        4,
    ),
    "ours": (
        'let p = import "provctl.ncl" in\n{ name = "w",\n  tasks = {\n'
        '    a = { command = ["true"] },\n'
        '    b = { command = ["true"], needs = ["c"] } } } | p.Workflow\n',
        5,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("verb", ["run", "submit", "validate"])
def test_mistakes_are_annotated_at_their_lines(
    provctl: Provctl, github: Dict[str, str], name: str, verb: str
) -> None:
    text, line = BROKEN[name]
    (provctl.folder / "deep").mkdir()
    file = provctl.text("deep/w.ncl", text)
    done = provctl("workflow", verb, file, env=github, code=50)
    errors = GitHubJob(done.err).of("error")
    assert {error["file"] for error in errors} == {"deep/w.ncl"}
    assert int(errors[0]["line"]) == line
    assert int(errors[0]["col"]) > 1
    # Without such a system nothing is added to what people read.
    assert "::error" not in provctl("workflow", verb, file, code=50).err


def test_annotation_of_a_mistake_contains_no_workflow_command(
    provctl: Provctl, github: Dict[str, str]
) -> None:
    text = '{ "name": "w", "tasks": { "a": { "comand": "##[add-mask]x" } } }'
    done = provctl("run", provctl.text("w.json", text), env=github, code=50)
    assert GitHubJob(done.err).obeyed == []
    assert "# #[add-mask]x" in done.err


def test_last_annotation_counts_the_mistakes_that_are_left_out(
    provctl: Provctl, github: Dict[str, str]
) -> None:
    tasks: Dict[str, Any] = {
        f"t{n}": {"command": ["true"], "needs": [f"no{n}"]} for n in range(30)
    }
    done = provctl("run", provctl.file(tasks), env=github, code=50)
    errors = GitHubJob(done.err).of("error")
    assert len(errors) == 10
    assert errors[-1]["title"] == "and 21 more"
    assert "no29" in errors[-1]["message"]


def test_annotations_list_the_earliest_failures_first(
    provctl: Provctl, github: Dict[str, str]
) -> None:
    tasks: Dict[str, Any] = {}
    for n in range(14, -1, -1):
        before = [{"task": f"t{n - 1}", "on": "done"}] if n else []
        tasks[f"t{n}"] = {"command": ["sh", "-c", "exit 4"], "needs": before}
    file = provctl.file(tasks)
    done = provctl("run", file, "-j", "20", env=github, code=10)
    errors = GitHubJob(done.out).of("error")
    assert len(errors) == 10
    assert errors[0]["title"] == "t0 failed"
    assert errors[-1]["title"] == "and 6 more"
    assert "t14 failed" in errors[-1]["message"]


def test_annotations_find_tasks_in_every_file_format(
    provctl: Provctl, github: Dict[str, str]
) -> None:
    inner = '{ tasks = { deep = { command = ["false"] } } }'
    text = f'{{ name = "w",\n  tasks = {{\n  outer = {{ workflow =\n{inner} }} }} }}\n'
    provctl.text("nested.ncl", text)
    provctl.text(
        "w.toml", 'name = "w"\n\n[tasks.ok]\ncommand = ["true"]\n\n'
        '[tasks.bad]\ncommand = ["false"]\n',
    )  # fmt: skip
    provctl.text(
        "w.json", '{"name": "w", "tasks": [\n {"id": "ok", "command": ["true"]},\n'
        ' {"id": "bad", "command": ["false"]}]}\n',
    )  # fmt: skip
    for name, line in (("nested.ncl", 4), ("w.toml", 6), ("w.json", 3)):
        done = provctl("run", name, env=github, code=10)
        (error,) = GitHubJob(done.out).of("error")
        assert (error["file"], int(error["line"])) == (name, line)


def test_annotation_of_a_removed_file_has_no_line(
    provctl: Provctl, github: Dict[str, str]
) -> None:
    file = provctl.file({"a": {"command": ["sh", "-c", "rm *.json; exit 1"]}})
    done = provctl("run", file, env=github, code=10)
    (error,) = GitHubJob(done.out).of("error")
    assert error["file"] == file.name
    assert "line" not in error


def test_unwritable_summary_prints_only_a_warning(
    provctl: Provctl, github: Dict[str, str]
) -> None:
    file = provctl.file({"a": {"command": ["true"]}})
    env = {**github, "GITHUB_STEP_SUMMARY": str(provctl.folder / "no" / "page")}
    assert "step summary could not be written" in provctl("run", file, env=env).err
    full = provctl.text("full.md", "x" * (1 << 20))
    provctl("run", file, env={**github, "GITHUB_STEP_SUMMARY": str(full)})
    assert full.stat().st_size <= (1 << 20) + 1


def test_monitor_of_a_background_run_shows_the_same_as_run(
    provctl: Provctl, gated: Gated, github: Dict[str, str]
) -> None:
    run = provctl.submit(gated.file)
    with provctl.start("workflow", "monitor", run, env=github) as process:
        gated.until_two_run()
        gated.open()
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 10
    job = GitHubJob(out.decode())
    assert job.of("error")
    assert (provctl.folder / "step.md").exists()


def test_batch_writes_one_report_with_one_suite_per_run(
    provctl: Provctl, github: Dict[str, str]
) -> None:
    good = provctl.file({"a": {"command": ["sh", "-c", "echo hello"]}}, name="good")
    batch = provctl("batch", "submit", good, provctl.ends_badly()).last_word
    reports = ("--junit", "j.xml", "--summary", "s.md")
    done = provctl("batch", "monitor", batch, *reports, env=github, code=10)
    job = GitHubJob(done.out)
    assert said_by(job, "a") == ["hello"]
    suites = Junit(str(provctl.folder / "j.xml")).suites
    assert {suite.name for suite in suites} == {"good", "w"}
    text = (provctl.folder / "s.md").read_text(encoding="utf-8")
    assert text.count("\n## ") + text.startswith("## ") == 2
    provctl("wait", batch, "--junit", "k.xml", code=10)
    assert len(Junit(str(provctl.folder / "k.xml")).suites) == 2


def test_junitparser_reads_the_junit_report(provctl: Provctl) -> None:
    provctl("run", provctl.text("deploy.ncl", WORKFLOW), "--junit", "j.xml", code=10)
    (suite,) = Junit(str(provctl.folder / "j.xml")).suites
    outcomes = {case.name: case.outcome() for case in suite.all()}
    assert outcomes == {
        "web": "passed",
        "db": "passed",
        "dns": "passed",
        "apps": "failed",
        "last": "skipped",
    }
    text = (provctl.folder / "j.xml").read_text(encoding="utf-8")
    assert re.search(r'name="dns".*?<flakyFailure', text, re.DOTALL)


# --- how it is shown --------------------------------------------------------------


def test_output_flag_chooses_the_view(provctl: Provctl, github: Dict[str, str]) -> None:
    file = provctl.file({"a": {"command": ["sh", "-c", "echo '  ::add-mask::x'"]}})
    plain = provctl("run", file, "-o", "plain", env=github).out
    assert "add-mask" not in plain
    assert "::group::" not in plain
    group = provctl("run", file, "-o", "group").out
    assert "--- a\n  ::add-mask::x\n" in group
    done = provctl("run", file, "-o", "json", env=github)
    assert done.json()["outcome"] == "succeeded"
    assert said_by(GitHubJob(done.err), "a") == [">   ::add-mask::x"]
    done = provctl("-o", "group", "run", file, "-o", "json")
    assert done.json()["outcome"] == "succeeded"
    assert "--- a\n" in done.err


def test_live_view_requires_a_terminal(provctl: Provctl) -> None:
    file = provctl.file({"a": {"command": ["true"]}})
    assert "not a terminal" in provctl("run", file, "-o", "live", code=2).err
    assert provctl.runs() == []
    with provctl.terminal("run", file, "-o", "live", env=GITLAB) as terminal:
        assert terminal.wait() == 0
    assert "\x1b[?25l" in terminal.raw


@pytest.mark.parametrize("words", [["ps"], ["schedule", "list"]])
def test_group_view_is_only_accepted_by_commands_that_watch_runs(
    provctl: Provctl, words: List[str]
) -> None:
    assert "group" in provctl(*words, "-o", "group", code=2).err
    said = provctl("-o", "group", *words, code=2).err
    assert "table, json, jsonl, name" in said


def test_silent_run_prints_heartbeats(provctl: Provctl, gated: Gated) -> None:
    file = provctl.file({"nap": {"command": ["sleep", "3"]}})
    env = {"PROVCTL_UI_HEARTBEAT_SECONDS": "1"}
    out = provctl("run", file, env=env).out
    beats = [line for line in out.splitlines() if "still running: nap for " in line]
    assert 1 <= len(beats) <= 3
    assert "still running" not in provctl("run", file).out
    # What it usually takes is known by now.
    out = provctl("run", file, env=env).out
    assert re.search(r"still running: nap for [12]s, about [012](\.\d)?s left", out)


def test_silent_wait_prints_heartbeats_without_a_terminal(
    provctl: Provctl, gated: Gated
) -> None:
    often = {"PROVCTL_UI_HEARTBEAT_SECONDS": "0.3"}
    run = provctl.submit(gated.file)
    gated.until_two_run()
    beat = re.compile(
        rf"^\d\d:\d\d:\d\d run {run} still running: first for ", re.MULTILINE
    )
    for words in ([run], [f"{run}/after"], [run, "--for", "paused"]):
        done = provctl("wait", *words, "--timeout", "1.5", env=often, code=124)
        assert 1 <= len(beat.findall(done.err)) <= 5, done.err
        assert done.out == ""
    for silent in ({"PROVCTL_UI_HEARTBEAT_SECONDS": "0"}, {}):
        done = provctl("wait", run, "--timeout", "1", env=silent, code=124)
        assert "still running:" not in done.err
    assert provctl("wait", run, "-q", "--timeout", "1", env=often, code=124).err == ""
    with provctl.terminal("wait", run, "--timeout", "1.5", env=often) as terminal:
        assert terminal.wait() == 124
    assert "still running:" not in terminal.raw


def test_submit_with_wait_prints_heartbeats(provctl: Provctl) -> None:
    file = provctl.file({"nap": {"command": ["sleep", "2"]}})
    often = {"PROVCTL_UI_HEARTBEAT_SECONDS": "0.5"}
    done = provctl("workflow", "submit", file, "-w", "-o", "name", env=often)
    assert f"run {done.last_word} still running: nap for " in done.err
    assert done.out == f"{done.last_word}\n"


def test_logs_prints_no_workflow_commands(
    provctl: Provctl, github: Dict[str, str]
) -> None:
    line = "::add-mask::x"
    provctl("run", provctl.file({"a": {"command": ["echo", line]}}))
    assert provctl("logs", "@last", "a", env=github).out == f"> {line}\n"
    assert provctl("logs", "@last", "a", "--raw", env=github).out == f"{line}\n"
    assert provctl("logs", "@last", "a").out == f"{line}\n"


def test_retry_with_wait_shows_groups_if_asked(
    provctl: Provctl,
) -> None:
    script = "echo asked; [ -e mended ]"
    provctl("run", provctl.file({"a": {"command": ["sh", "-c", script]}}), code=10)
    provctl.text("mended", "")
    assert provctl("retry", "@last", "-w").out == ""
    only = ("retry", "@last", "--only", "a", "-w", "--yes")
    provctl(*only)
    out = provctl(*only, "-o", "group", env=GITLAB).out
    job = GitLabJob(out)
    assert said_by(job, "a")[-1] == "asked"
    assert job.groups[-1].title == "a (attempt 4)"


def test_job_log_contains_no_secret(
    provctl: Provctl, gated: Gated, github: Dict[str, str]
) -> None:
    secret = "correct-horse-battery-staple"
    script = "for i in $(seq 30); do echo it is $TOKEN; sleep 0.05; done"
    task = {"command": ["sh", "-c", script], "secrets": {"TOKEN": "env:MY_TOKEN"}}
    file = provctl.file({"a": task, "b": {"command": ["sh", "-c", "echo b"]}})
    done = provctl("run", file, env={**github, "MY_TOKEN": secret})
    assert secret not in done.out + done.err
    stars = "*" * len(secret)
    assert said_by(GitHubJob(done.out), "a") == [f"it is {stars}"] * 30


# --- the job files of the examples --------------------------------------------------


def commands(value: Any, under: str = "") -> Iterator[str]:
    """The lines of a job file that a shell runs."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from commands(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from commands(inner, under)
    elif under in ("run", "script", "before_script", "after_script"):
        yield from filter(None, map(str.strip, str(value).splitlines()))


@pytest.mark.parametrize("name", ["github.yml", "gitlab-ci.yml"])
def test_example_job_files_work(
    provctl: Provctl, github: Dict[str, str], name: str
) -> None:
    import yaml

    (provctl.folder / "examples").symlink_to(ROOT / "examples")
    text = (ROOT / "examples" / "ci" / name).read_text(encoding="utf-8")
    lines = list(commands(yaml.safe_load(text)))
    ours = [line for line in lines if line.startswith("provctl ")]
    assert len(ours) >= 3
    assert len(lines) > len(ours)
    for line in ours:
        env = github if name == "github.yml" else GITLAB
        done = provctl(*shlex.split(line)[1:], env=env)
        job: Any = (GitHubJob if name == "github.yml" else GitLabJob)(done.out)
        if " run " in line:
            titles = {group.title.partition(" ")[0] for group in job.groups}
            assert {"server-1,", "server-1"} & titles
            assert {"kubernetes", "apps"} <= titles
    assert len(Junit(str(provctl.folder / "junit.xml")).suites) == 1
    for made in re.findall(r"\b[\w-]+\.(?:xml|html|md)\b", text):
        assert _read(provctl.folder / made)
    if name == "github.yml":
        assert "deployment succeeded" in _read(provctl.folder / "step.md")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


_SCHEMAS = {
    "github.yml": ("vendor.github-workflows",),
    "gitlab-ci.yml": ("vendor.gitlab-ci", "--data-transform", "gitlab-ci"),
}


@pytest.mark.parametrize("name", sorted(_SCHEMAS))
def test_schemas_of_the_ci_systems_accept_the_job_files(
    tmp_path: Path, name: str
) -> None:
    text = (ROOT / "examples" / "ci" / name).read_text(encoding="utf-8")
    done = _check(tmp_path / name, text)
    assert done.returncode == 0, done.stdout
    mistaken = re.sub(r"^( +)(run|script):", r"\1\2s:", text, flags=re.MULTILINE)
    assert mistaken != text
    assert _check(tmp_path / name, mistaken).returncode == 1


def _check(file: Path, text: str) -> subprocess.CompletedProcess[str]:
    file.write_text(text, encoding="utf-8")
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema")
    return subprocess.run(
        [*command, *_SCHEMAS[file.name], str(file)], capture_output=True, text=True
    )


def test_every_example_job_file_is_tested() -> None:
    files = {path.name for path in (ROOT / "examples" / "ci").iterdir()}
    assert files == set(_SCHEMAS)
