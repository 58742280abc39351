"""`wait --for` ends when a run or a task has a status, or can no longer get it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


def two_steps(provctl: Provctl) -> Path:
    """`first` is quick, `second` ends when there is a file `go`."""
    script = f"echo ready; until [ -e {provctl.folder}/go ]; do sleep 0.05; done"
    tasks: Dict[str, Any] = {
        "first": {"command": ["true"]},
        "second": {"needs": ["first"], "command": ["sh", "-c", script]},
        "third": {"needs": ["second"], "command": ["true"]},
    }
    return provctl.file(tasks)


def go(provctl: Provctl) -> None:
    (provctl.folder / "go").touch()


def test_wait_for_a_status_of_a_run_and_of_its_tasks(provctl: Provctl) -> None:
    run = provctl.submit(two_steps(provctl))
    provctl("wait", run, "--for", "running")
    provctl("wait", f"{run}/first", "--for", "succeeded")
    provctl("wait", f"{run}/first")
    provctl("wait", f"{run}/second", "--for", "running")
    for words in (
        [f"{run}/second"],
        [run, "--for", "finished"],
        [f"{run}/third", "--for", "running"],
        [run, "--for", "paused"],
    ):
        said = provctl("wait", *words, "--timeout", "0.2", code=124).err
        assert "stopped waiting (timeout)" in said
    provctl("workflow", "pause", run)
    provctl("wait", run, "--for", "paused")
    provctl("workflow", "resume", run)
    with provctl.start("wait", run, "--for", "SUCCEEDED") as waiting:
        go(provctl)
        assert waiting.wait(timeout=60) == 0
    provctl("wait", run, "--for", "running")  # it has begun, so it was


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["{run}", "--for", "succeeded"], 10, "is failed, not succeeded"),
        (["{run}", "--for", "paused"], 10, "is failed, not paused"),
        (["{run}", "--for", "failed"], 0, ""),
        (["{run}/bad"], 10, ""),
        (["{run}/bad", "--for", "succeeded"], 10, "/bad is failed, not succeeded"),
        (["{run}/good", "--for", "failed"], 41, "/good is succeeded, not failed"),
        (["{run}/good", "--for", "undone"], 41, "this is final"),
        (["{run}/after", "--for", "running"], 41, "/after is skipped, not running"),
        (["{run}/after", "--for", "skipped"], 0, ""),
        (["{run}/good", "{run}/bad"], 10, ""),
        (["{run}/good", "{run}/bad", "--for", "succeeded"], 10, "/bad is failed"),
        (["{run}/good", "{run}/bad", "--for", "succeeded", "--any"], 0, ""),
        (["{run}/godo"], 40, "did you mean good?"),
        (["{run}", "--for", "skipped"], 2, "no such status or outcome"),
        (["{run}", "--for", "suceeded"], 2, "did you mean succeeded?"),
    ],
)
def test_wait_for_an_impossible_status_fails_at_once(
    provctl: Provctl, words: list[str], code: int, said: str
) -> None:
    run = provctl.submit(provctl.ends_badly(), "--wait", code=10)
    done = provctl("wait", *(word.format(run=run) for word in words), code=code)
    assert said in done.err


def test_wait_any_ends_with_the_first_run(provctl: Provctl) -> None:
    slow = provctl.submit(provctl.endless())
    quick = provctl.submit(provctl.ends_badly())
    provctl("wait", slow, quick, "--any", code=10)
    provctl("wait", slow, quick, "--any", "--for", "failed")
    provctl.until_ready(slow)
    provctl("cancel", slow, "--now")
    provctl("wait", slow, quick, code=10)


def test_wait_for_an_orphaned_run_fails(provctl: Provctl) -> None:
    off = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    run = provctl.submit(provctl.endless(), env=off)
    provctl("wait", run, "--for", "queued", env=off)
    said = provctl("wait", run, "--for", "running", code=30, env=off).err
    assert "because no process owns it" in said
