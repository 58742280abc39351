"""All verbs and interfaces report the same about a run, also about an orphaned one."""

from __future__ import annotations

import json
import os
import subprocess
from resource import RUSAGE_CHILDREN, getrusage
from typing import TYPE_CHECKING, Any, Dict

import pytest

from provctl.core.engine import events as ev
from provctl.executors.local import exit_record
from provctl.storage.layout import StateDir
from tests.support.api import start_api
from tests.support.run_folders import append, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from tests.support.installed import Provctl

ENDED = "finished with exit code 0, not yet recorded"


@pytest.fixture
def orphan(provctl: Provctl) -> str:
    """A run whose owner died while `a` ran; `a` has finished, `b` waits for it."""
    folder = StateDir(provctl.state)
    folder.prepare()
    run = submit(folder, a_workflow(task("a"), task("b", ["a"])), "orphan")
    append(run, [ev.AttemptStarted("orphan", 1000.0, "a", 1)])
    run.attempts.mkdir(exist_ok=True)
    record: Dict[str, Any] = {"v": 1, "cause": "exit", "problem": "", "survivors": 0}
    record.update(status=0, exit_code=0, started_at=1000.0, finished_at=1001.0)
    file = os.open(str(run.attempts / "0.1.go"), os.O_RDWR | os.O_CREAT, 0o600)
    exit_record.store(file, record)
    os.close(file)
    return run.id


@pytest.mark.parametrize(
    "words",
    [
        ("status", "orphan"),
        ("explain", "orphan"),
        ("explain", "orphan/a"),
        ("explain", "orphan/b"),
        ("workflow", "show", "orphan"),
        ("workflow", "diff", "orphan", "other", "-o", "json"),
    ],
    ids=" ".join,
)
def test_all_verbs_report_the_same_about_an_orphaned_task(
    provctl: Provctl, orphan: str, words: Any
) -> None:
    folder = StateDir(provctl.state)
    submit(folder, a_workflow(task("a"), task("b", ["a"])), "other")
    out = provctl(*words).out
    assert ENDED in out
    assert "it is running" not in out


def test_reports_show_the_same_about_an_orphaned_task(
    provctl: Provctl, orphan: str
) -> None:
    files = {
        f"--{form}": provctl.folder / form for form in ("html", "junit", "summary")
    }
    options = [word for pair in files.items() for word in pair]
    provctl("workflow", "report", orphan, *options)
    for file in files.values():
        assert ENDED in file.read_text()
    assert "orphaned" in provctl("graph", orphan).out


def test_watch_wait_and_outputs_report_the_same_about_an_orphaned_task(
    provctl: Provctl, orphan: str
) -> None:
    assert ENDED in provctl("watch", orphan, code=None).err
    assert ENDED in provctl("wait", orphan, code=None).err
    assert ENDED in provctl("workflow", "outputs", orphan, "a", code=40).err


@pytest.mark.parametrize(
    "script",
    [
        "print 'PROGRESS: 40% at work'; {message: 'Server wuji created successfully'}",
        "print 'PROGRESS: 100% Server wuji created successfully'",
        "print 'PROGRESS: Server wuji created successfully'; print 'and more'; {a: 1}",
    ],
)
def test_last_progress_message_is_shown_after_the_task_finished(
    provctl: Provctl, script: str
) -> None:
    provctl("run", provctl.file({"wuji": {"script": script}}))
    (run,) = provctl.runs()
    (shown,) = provctl.status(run)["tasks"]
    assert shown["message"] == "Server wuji created successfully"
    assert "Server wuji created successfully" in provctl("status", run).out


def test_failure_reason_is_shown_before_the_last_progress_message(
    provctl: Provctl,
) -> None:
    script = "print 'PROGRESS: 40% at work'; exit 3"
    file = provctl.file({"a": {"script": script, "retry": {"attempts": 1}}})
    provctl("run", file, code=10)
    (run,) = provctl.runs()
    (shown,) = provctl.status(run)["tasks"]
    assert (shown["reason"], shown["message"]) == ("exit code 3", "at work")
    assert "exit code 3" in provctl("status", run).out


def test_all_interfaces_use_the_same_names(provctl: Provctl) -> None:
    hook = provctl.folder / "hook"
    heard = provctl.folder / "heard"
    hook.write_text(f"#!/bin/sh\ncat >> {heard}.new; mv {heard}.new {heard}\n")
    hook.chmod(0o700)
    config = provctl.text("hooks.toml", f'[hooks]\non_run_finished = [["{hook}"]]\n')
    api = start_api(provctl, PROVCTL_CONFIG=str(config))
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", "exit 3"]}}))
    provctl("wait", run, code=10)
    whole = provctl.status(run)
    (task,) = whole.pop("tasks")
    (listed,) = provctl("list", "-o", "json").json()
    assert listed.pop("damage") is None
    assert whole.items() >= listed.items()
    shown = provctl("show", run, "-o", "json").json()
    assert (shown.pop("tasks"), shown) == ([task], whole)
    told = provctl.until(lambda: heard.exists() and json.loads(heard.read_text()), "it")
    assert told.items() >= whole.items()
    (failed,) = told["failed"]
    served = api.get(f"/workflows/{run}").data
    (served_task,) = served.pop("tasks")
    assert served == whole
    (explained,) = provctl("explain", f"{run}/a", "-o", "json").json()
    for name in ("critical", "slack_s"):  # of a whole run
        del task[name]
    assert failed.items() >= task.items()
    assert explained.items() >= task.items()
    # The five statuses are those of the platform, and so are its ids.
    assert served_task["state"] == task.pop("status")
    assert served_task["id"] == f"{run}/{task.pop('id')}"
    assert served_task["progress"] == (task.pop("progress") or 0)
    assert served_task.items() >= task.items()


def test_bytes_read_and_written_by_an_attempt_are_shown(provctl: Provctl) -> None:
    size = 3 << 20
    write = ["dd", "if=/dev/zero", f"of={provctl.folder / 'data'}", "bs=1M", "count=3"]
    before = getrusage(RUSAGE_CHILDREN).ru_oublock
    subprocess.run([*write, "conv=fsync"], check=True, capture_output=True)
    if (getrusage(RUSAGE_CHILDREN).ru_oublock - before) * 512 < size:
        pytest.skip("this file system does not count what is written")
    provctl("run", provctl.file({"a": {"command": [*write, "conv=fsync"]}}))
    (run,) = provctl.runs()
    (task,) = provctl.status(run)["tasks"]
    assert size <= task["written_bytes"] < 2 * size
    assert task["read_bytes"] >= 0
    report = provctl.folder / "report.html"
    provctl("report", run, "--html", report)
    assert '<td class="n">3 MiB</td><td>' in report.read_text()


def test_runs_start_by_priority_then_by_age(provctl: Provctl) -> None:
    """Neither their ids nor a queue filled before the scheduler started matter."""
    order = provctl.folder / "order"
    idle = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    ids = []
    for number in range(6):
        word = f"r{number}"
        command = ["sh", "-c", f"echo {word} >> {order}"]
        file = provctl.file({"a": {"command": command}}, name=word)
        wish = ("-P", "1") if number == 4 else ()
        ids.append(provctl("submit", file, *wish, "-o", "name", env=idle).last_word)
    files = [
        provctl.file(
            {"a": {"command": ["sh", "-c", f"echo b{n} >> {order}"]}}, name=f"b{n}"
        )
        for n in range(6)
    ]
    batch = provctl("batch", "submit", *files, "-o", "name", env=idle).last_word
    assert provctl.schedulers() == []
    one = {"PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS": "1"}
    provctl("scheduler", "start", env=one)
    provctl("wait", *ids, batch, within_s=120)
    told = order.read_text().split()
    assert told[:6] == ["r4", "r0", "r1", "r2", "r3", "r5"]
    assert told[6:] == [f"b{n}" for n in range(6)]
