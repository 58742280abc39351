"""Paused runs start no tasks; frozen tasks are suspended, and so are their timeouts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, List

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Provctl


def ticking(provctl: Provctl, timeout: str = "1h") -> Path:
    """A task that ticks until there is a file `go`, and one after it."""
    folder = provctl.folder
    script = (
        f"echo $$ > {folder}/pid; echo ready;"
        f"until [ -e {folder}/go ]; do echo . >> {folder}/ticks; sleep 0.02; done"
    )
    tasks = {
        "a": {"command": ["sh", "-c", script], "timeout": timeout},
        "b": {"command": ["true"]},
        "c": {"command": ["true"], "needs": ["a"]},
    }
    return provctl.file(tasks)


def states(provctl: Provctl) -> List[str]:
    """The states of the task's processes: T is stopped.

    Zombies do not count: a stopped shell does not wait for its children. A shell that
    waits in the kernel (D) for a vfork child to run a program counts as its child.
    """
    pid = int((provctl.folder / "pid").read_text())
    (group,) = [_stat(pid)[2]]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = _stat(int(folder.name))
        except (OSError, IndexError):
            continue
        if fields[2] == group and fields[0] not in "ZX":
            found.append(fields[0])
    return ["T" if state == "D" and "T" in found else state for state in found]


def _stat(pid: int) -> List[str]:
    """State, parent, process group, ... of a process."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text.rpartition(")")[2].split()


def ticks(provctl: Provctl) -> int:
    """The number of ticks so far."""
    return (provctl.folder / "ticks").stat().st_size


def frozen(provctl: Provctl, timeout: str = "1h") -> str:
    """A frozen run, all of whose processes are stopped."""
    run = provctl.submit(ticking(provctl, timeout))
    provctl.until_ready(run)
    provctl.wait_for_text(provctl.folder / "ticks", ".")
    said = provctl("workflow", "pause", run, "--freeze", "--reason", "lunch").err
    assert said == f"paused: {run}; to resume it: provctl resume {run}\n"
    provctl.until(lambda: set(states(provctl)) == {"T"}, "all are stopped")
    return run


def test_paused_run_finishes_running_tasks_and_starts_no_others(
    provctl: Provctl,
) -> None:
    run = provctl.submit(ticking(provctl))
    provctl.until_ready(run)
    provctl("workflow", "pause", run)
    (provctl.folder / "go").touch()
    provctl.until(lambda: provctl.task(run, "a")["outcome"] == "succeeded", "a ended")
    assert provctl.status(run)["status"] == "paused"
    assert provctl.task(run, "c")["attempts"] == 0
    said = provctl("workflow", "status", run).out
    assert f"to resume it: provctl resume {run}" in said
    provctl("wait", run, "--timeout", "0.3", code=124)
    provctl("workflow", "resume", run)
    provctl("wait", run)


def test_frozen_task_is_suspended_until_it_is_resumed(provctl: Provctl) -> None:
    run = frozen(provctl)
    before = ticks(provctl)
    provctl("wait", run, "--timeout", "0.5", code=124)
    assert ticks(provctl) == before
    said = provctl("workflow", "status", run).out
    assert "a   frozen" in said
    assert provctl.task(run, "a")["frozen"] is True
    provctl("workflow", "resume", run)
    provctl.until(lambda: ticks(provctl) > before, "it goes on")
    (provctl.folder / "go").touch()
    provctl("wait", run)
    (request,) = [r for r in provctl.journal(run) if r["type"] == "run_paused"]
    assert request["reason"] == "lunch"


def test_timeout_of_a_frozen_task_is_suspended(provctl: Provctl) -> None:
    run = frozen(provctl, "4s")
    provctl("wait", run, "--timeout", "5", code=124)
    assert set(states(provctl)) == {"T"}
    (provctl.folder / "go").touch()
    provctl("workflow", "resume", run)
    provctl("wait", run)


def test_control_timeout_of_a_paused_task_still_applies(provctl: Provctl) -> None:
    run = provctl.submit(ticking(provctl, "2s"))
    provctl.until_ready(run)
    provctl("workflow", "pause", run)
    provctl.until(lambda: provctl.task(run, "a")["outcome"] == "timed_out", "too long")
    provctl("wait", run, code=12)


@pytest.mark.parametrize("how", ["restart", "kill -9"])
def test_frozen_task_stays_suspended_under_the_next_scheduler(
    provctl: Provctl, how: str
) -> None:
    run = frozen(provctl)
    if how == "restart":
        provctl("scheduler", "restart")
    else:
        provctl.kill_scheduler()
        provctl("scheduler", "start")
    before = ticks(provctl)
    provctl("wait", run, "--timeout", "0.3", code=124)
    assert (ticks(provctl), set(states(provctl))) == (before, {"T"})
    assert provctl.status(run)["status"] == "paused"
    (provctl.folder / "go").touch()
    provctl("workflow", "resume", run)
    provctl("wait", run)
    assert provctl.task(run, "a")["attempts"] == 1


@pytest.mark.parametrize("options", [[], ["--now"]])
def test_frozen_task_can_be_cancelled(provctl: Provctl, options: List[str]) -> None:
    run = frozen(provctl)
    provctl("cancel", run, *options)
    provctl("wait", run, code=11)
    assert not Path(f"/proc/{(provctl.folder / 'pid').read_text().strip()}").exists()


def test_foreground_run_can_be_paused_and_resumed_by_another_process(
    provctl: Provctl,
) -> None:
    with provctl.start("run", ticking(provctl)) as process:
        provctl.wait_for_text(provctl.folder / "ticks", ".")
        (run,) = provctl.runs()
        provctl("workflow", "pause", run, "--freeze")
        provctl.until(lambda: set(states(provctl)) == {"T"}, "all are stopped")
        provctl("workflow", "resume", run)
        (provctl.folder / "go").touch()
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"run {run} (w) is paused: 1 running" in out.decode()


def test_resume_refuses_a_run_that_is_not_paused(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    said = provctl("workflow", "resume", run, code=41).err
    assert "already has an owner: the scheduler" in said
    provctl("cancel", run, "--now")
    provctl("wait", run, code=11)
    assert "nothing to pause" in provctl("workflow", "pause", run, code=41).err


def test_batch_pause_affects_each_unfinished_run(provctl: Provctl) -> None:
    quick = provctl.file({"a": {"command": ["true"]}})
    batch = provctl("batch", "submit", ticking(provctl), quick).last_word
    provctl.wait_for_text(provctl.folder / "ticks", ".")
    provctl.until(
        lambda: "succeeded" in provctl("batch", "status", batch, "-o", "json").out,
        "the quick one is over",
    )
    said = provctl("batch", "pause", batch, "--freeze").err
    assert said.count("paused: ") == 1
    provctl.until(lambda: set(states(provctl)) == {"T"}, "all are stopped")
    provctl("batch", "cancel", batch)
    provctl("wait", batch, code=11)
