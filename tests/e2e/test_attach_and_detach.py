"""A run moves from the terminal to the scheduler, and back into view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

from tests.support.gated_tasks import Gated

if TYPE_CHECKING:
    from tests.support.installed import Provctl


@pytest.fixture
def gated(provctl: Provctl) -> Iterator[Gated]:
    gated = Gated(provctl)
    yield gated
    gated.open()


def test_detached_run_continues_and_can_be_attached(
    provctl: Provctl, gated: Gated
) -> None:
    with provctl.terminal("run", gated.file) as terminal:
        run = gated.until_two_run()
        said = provctl("workflow", "detach", run).err
        assert f"run {run} continues in the background" in said
        assert terminal.wait() == 130
    for words in (f"run {run} continues in the background", f"provctl attach {run}"):
        assert words in terminal.plain
    assert gated.owners(run) == ["foreground", "scheduler"]
    with provctl.terminal("workflow", "attach", run) as terminal:
        terminal.read_until("running")
        terminal.press("\x03")
        assert terminal.wait() == 130
    assert "the run continues" in terminal.plain
    with provctl.terminal("workflow", "attach", run) as terminal:
        terminal.read_until("running")
        gated.open()
        assert terminal.wait() == 10
    assert f"run {run} (w) failed" in terminal.screen
    gated.check_end(run)


def test_detach_accepts_a_run_that_is_already_in_the_background(
    provctl: Provctl, gated: Gated
) -> None:
    run = provctl.submit(gated.file)
    gated.until_two_run()
    assert "already in the background" in provctl("workflow", "detach", run).err
    gated.check_end(run)
    assert (
        "has already finished (failed)"
        in provctl("workflow", "detach", run, code=41).err
    )
    shown = provctl("workflow", "attach", run, code=10).out
    assert f"run {run} (w) failed" in shown


@pytest.mark.parametrize("verb", ["attach", "detach"])
def test_attach_and_resume_continue_an_orphaned_run(
    provctl: Provctl, gated: Gated, verb: str
) -> None:
    with provctl.start("run", gated.file) as owner:
        run = gated.until_two_run()
        owner.kill()
        owner.communicate(timeout=60)
    if verb == "attach":
        gated.open()
        assert "failed" in provctl("workflow", "attach", run, code=10).out
    else:
        provctl("workflow", "detach", run)
    gated.check_end(run)
    assert gated.owners(run) == ["foreground", "scheduler"]


def test_attach_fails_without_a_scheduler(provctl: Provctl, gated: Gated) -> None:
    off = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    with provctl.start("run", gated.file) as owner:
        run = gated.until_two_run()
        owner.kill()
        owner.communicate(timeout=60)
    said = provctl("workflow", "attach", run, env=off, code=30).err
    assert "queued, but no scheduler could be reached" in said
    provctl("scheduler", "start", env=off)
    gated.check_end(run)


def test_detach_changes_nothing_without_a_scheduler(
    provctl: Provctl, gated: Gated
) -> None:
    with provctl.start("run", gated.file) as owner:
        run = gated.until_two_run()
        lock = provctl.state / "scheduler" / "lock"
        lock.mkdir()  # which none can take
        provctl("workflow", "detach", run, code=30)
        assert not gated.marker(run).exists()
        gated.open()
        assert owner.wait(timeout=60) == 10
    lock.rmdir()
    gated.check_end(run)


def test_detach_keeps_the_jobs_limit_of_the_run(provctl: Provctl) -> None:
    go = provctl.folder / "go"
    script = f'echo ready; until [ -e "{go}" ]; do sleep 0.02; done; sleep 0.1'
    tasks = {f"t{n}": {"command": ["sh", "-c", script]} for n in range(4)}
    with provctl.start("run", provctl.file(tasks), "-j", 1) as owner:
        (run,) = provctl.until(provctl.runs, "there is a run")
        provctl.until_ready(run)
        provctl("workflow", "detach", run)
        assert owner.wait(timeout=60) == 130
    go.touch()
    provctl("wait", run)
    facts = provctl.journal(run)
    steps = [f["type"] for f in facts if f["type"].startswith("attempt_")]
    moves = [step for step in steps if step != "attempt_adopted"]
    assert moves == ["attempt_started", "attempt_finished"] * 4
