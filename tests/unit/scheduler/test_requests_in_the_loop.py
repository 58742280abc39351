"""Requests of operators: retry, pause, freeze, rollback; and secrets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from provctl.base.flock import is_locked
from provctl.core.engine.requests import Cancel, Pause, Resume, RetryRun, Rollback
from provctl.core.model.workflow import Command, Undo
from provctl.errors import NotFound, RequestRejected
from provctl.scheduler.secrets import find_secret
from provctl.storage.lock import LockOwner
from tests.support.fake_executor import adopted, ended
from tests.support.run_folders import state_folder, submit
from tests.support.scheduler_harness import Household, in_a_loop
from tests.support.workflows import a_workflow, output, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import StateDir

TWO = a_workflow(task("a"), task("b", ["a"]))
UNDOABLE = a_workflow(
    task("a", undo=Undo(Command(("rm", output("a", "id"))))),
)


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    return state_folder(tmp_path)


async def failed_run(folder: StateDir) -> Household:
    """A run without an owner in which b failed."""
    submit(folder, TWO)
    house = Household(folder)
    await house.scheduler.acquire_run("r")
    house.executor.end("a")
    house.executor.end("b", exit_code=1)
    assert house.scheduler.state.runs == {}
    house.executor.said()
    return house


@in_a_loop
async def test_retry_reopens_a_finished_run_and_acquires_it(folder: StateDir) -> None:
    house = await failed_run(folder)
    await house.scheduler.request(RetryRun("r"))
    assert house.executor.said() == ["launch b.2"]
    assert folder.queued() == ["r"]  # whoever comes next finds it
    kinds = house.kinds()
    assert kinds[kinds.index("RunFinished") :] == [
        "RunFinished",
        "RetryRequested",
        "OwnershipTaken",
        "AttemptStarted",
    ]
    house.executor.end("b.2")
    assert house.kinds()[-1] == "RunFinished"
    assert folder.queued() == []


@in_a_loop
async def test_refused_request_leaves_a_finished_run_unchanged(
    folder: StateDir,
) -> None:
    house = await failed_run(folder)
    before = house.journal()
    run = folder.run("r")
    for wish, kind in (
        (RetryRun("r", ("z",)), NotFound),
        (Rollback("r"), RequestRejected),
        (Cancel("r"), RequestRejected),
        (Pause("r"), RequestRejected),
    ):
        with pytest.raises(kind):
            await house.scheduler.request(wish)
        assert house.journal() == before
        assert not is_locked(run.lock)
        assert folder.queued() == []
        assert house.scheduler.state.runs == {}


@in_a_loop
async def test_reopened_run_survives_its_owner(folder: StateDir) -> None:
    first = await failed_run(folder)
    await first.scheduler.request(RetryRun("r", ("a",), downstream=True))
    first.scheduler.close()
    second = Household(folder)
    second.executor.found["a"] = ended
    await second.scheduler.acquire_queued()
    assert second.executor.said() == ["recover a.2", "launch b.2"]


@in_a_loop
async def test_foreground_owner_acquires_no_other_run(folder: StateDir) -> None:
    await failed_run(folder)
    holder = LockOwner("foreground", 4242, "boot-1", "", 1000.0)
    house = Household(folder, holder=holder)
    with pytest.raises(NotFound, match="does not own run"):
        await house.scheduler.request(RetryRun("r"))
    await house.scheduler.acquire_run("r", RetryRun("r"))
    assert house.executor.said() == ["launch b.2"]
    assert folder.queued() == []  # it is not the scheduler's


@in_a_loop
async def test_undo_is_a_separate_attempt(folder: StateDir) -> None:
    submit(folder, UNDOABLE)
    house = Household(folder)
    await house.scheduler.acquire_run("r")
    house.executor.end("a", output={"id": 7})
    await house.scheduler.request(Rollback("r"))
    order = house.executor.orders["a.2u"]
    assert order.argv == ("rm", "7")
    assert order.place.name == "0.2u"
    assert order.env["PROVCTL_IDEMPOTENCY_KEY"] == "r/a/undo"
    house.scheduler.close()
    again = Household(folder)
    again.executor.found["a"] = adopted
    await again.scheduler.acquire_run("r")
    assert again.executor.said() == ["recover a.2u"]


@in_a_loop
async def test_pause_of_a_queued_run_applies_before_any_start(
    folder: StateDir,
) -> None:
    submit(folder, TWO)
    house = Household(folder)
    await house.scheduler.request(Pause("r"))
    assert house.executor.said() == []
    await house.scheduler.request(Resume("r"))
    assert house.executor.said() == ["launch a"]


@in_a_loop
async def test_freeze_reaches_running_tasks_and_the_next_owner(
    folder: StateDir,
) -> None:
    submit(folder, TWO)
    first = Household(folder)
    await first.scheduler.acquire_run("r")
    await first.scheduler.request(Pause("r", freeze=True))
    assert first.executor.said() == ["launch a", "freeze a"]
    first.scheduler.close()
    second = Household(folder)
    second.executor.found["a"] = adopted
    await second.scheduler.acquire_run("r")
    assert second.executor.said() == ["recover a", "freeze a"]
    await second.scheduler.request(Resume("r"))
    assert second.executor.said() == ["thaw a"]


@in_a_loop
async def test_secret_is_only_in_the_launch_spec(
    folder: StateDir, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("from a file\n")
    secrets = {"A": "env:OUR_TOKEN", "B": f"file:{file}"}
    run = submit(folder, a_workflow(task("a", secrets=secrets)))
    house = Household(folder, environ={"OUR_TOKEN": "from the environment"})
    await house.scheduler.acquire_run("r")
    order = house.executor.orders["a"]
    values = ("from the environment", "from a file")
    assert (order.env["A"], order.env["B"]) == values
    assert order.masked == values
    for written in (run.journal, run.workflow):
        assert all(value not in written.read_text() for value in values)


@in_a_loop
async def test_task_with_a_missing_secret_fails_with_a_reason(
    folder: StateDir,
) -> None:
    submit(folder, a_workflow(task("a", secrets={"A": "env:NONE"})))
    house = Household(folder, environ={})
    await house.scheduler.acquire_run("r")
    assert house.executor.said() == []
    assert house.kinds() == ["OwnershipTaken", "TaskFailed", "RunFinished"]
    assert "secret A: the environment variable NONE is not set" in str(house.journal())


@in_a_loop
async def test_undo_with_a_missing_secret_fails(folder: StateDir) -> None:
    undo = Undo(Command(("rm",)))
    submit(folder, a_workflow(task("a", undo=undo, secrets={"A": "env:KEY"})))
    first = Household(folder, environ={"KEY": "there"})
    await first.scheduler.acquire_run("r")
    first.executor.end("a")
    second = Household(folder, environ={})
    await second.scheduler.request(Rollback("r"))
    assert second.executor.said() == []
    assert second.kinds()[-4:] == [
        *("RollbackRequested", "OwnershipTaken", "TaskFailed", "RunFinished")
    ]
    assert "rollback_failed" in str(second.journal()[-1])


@in_a_loop
async def test_probe_with_a_missing_secret_applies_the_policy(
    folder: StateDir,
) -> None:
    asked = task("a", probe=Command(("ask",)), secrets={"A": "env:KEY"})
    submit(folder, a_workflow(asked))
    first = Household(folder, environ={"KEY": "there"})
    await first.scheduler.acquire_run("r")
    first.scheduler.close()
    second = Household(folder, environ={})
    await second.scheduler.acquire_run("r")
    await asyncio.sleep(0)  # what no probe could find out is news of the next turn
    assert second.executor.said() == ["recover a"]
    assert second.kinds()[-1] == "TaskHeld"
    assert "probe: secret A: " in str(second.journal()[-1])


@pytest.mark.parametrize(
    "content", [None, b"", b"\n", b"a\0b", b"\xff", b"x" * 70_000], ids=repr
)
def test_value_that_no_environment_can_hold_is_refused_as_a_secret(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NotFound, match="secret A: "):
        find_secret("A", f"file:{path}", {})
