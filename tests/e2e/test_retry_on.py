"""`retry.on`: which outcomes are retried automatically."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List

import pytest

from tests.support.supervisors import kill_supervisor

if TYPE_CHECKING:
    from tests.support.installed import Provctl


def first_then_good(provctl: Provctl, first: str, on: List[Any], **more: Any) -> str:
    """A run of a task whose first attempt does `first`; the second one succeeds."""
    once = f"{provctl.folder}/once"
    script = f"echo ready; test -e {once} && exit 0; touch {once}; {first}"
    task: Dict[str, Any] = {
        "command": ["sh", "-c", script],
        "retry": {"attempts": 2, "delay": "50ms", **({"on": on} if on else {})},
        **more,
    }
    return provctl.submit(provctl.file({"a": task}))


@pytest.mark.parametrize(
    ("first", "on", "code", "tries"),
    [
        ("exit 75", [75], 0, 2),
        ("exit 75", [1, 75], 0, 2),
        ("exit 75", [1], 10, 1),
        ("exit 75", ["exit"], 0, 2),
        ("exit 75", ["signal", "timeout"], 10, 1),
        ("kill -9 $$", ["signal"], 0, 2),
        ("kill -9 $$", ["SIGKILL"], 0, 2),
        ("kill -9 $$", ["SIGTERM"], 10, 1),
        ("kill -9 $$", ["exit"], 10, 1),
    ],
)
def test_retry_on_selects_exit_codes_and_signals(
    provctl: Provctl, first: str, on: List[Any], code: int, tries: int
) -> None:
    run = first_then_good(provctl, first, on)
    provctl("wait", run, code=code)
    assert provctl.task(run, "a")["attempts"] == tries


@pytest.mark.parametrize(("on", "code"), [(["timeout"], 0), (["exit"], 12)])
def test_retry_on_selects_timeouts(provctl: Provctl, on: List[Any], code: int) -> None:
    run = first_then_good(provctl, "sleep 60", on, timeout="2s")
    provctl("wait", run, code=code)


@pytest.mark.parametrize(("on", "code"), [(["lost"], 0), (["exit"], 13)])
def test_retry_on_selects_lost_attempts(
    provctl: Provctl, on: List[Any], code: int
) -> None:
    run = first_then_good(provctl, "sleep 60", on, idempotent=True)
    provctl.until_ready(run)
    provctl.until((provctl.folder / "once").exists, "it is under way")
    kill_supervisor(provctl, run)
    provctl("wait", run, code=code)


def test_time_of_the_next_attempt_survives_a_restart(provctl: Provctl) -> None:
    run = first_then_good(provctl, "exit 1", [])
    provctl("wait", run)
    slow = {"attempts": 2, "delay": "2s"}
    run = provctl.submit(provctl.file({"a": {"command": ["false"], "retry": slow}}))
    provctl.until(lambda: "retry_at" in str(provctl.journal(run)), "it failed")
    provctl.kill_scheduler()
    (ended,) = [r for r in provctl.journal(run) if r["type"] == "attempt_finished"]
    provctl("scheduler", "start")
    provctl("wait", run, code=10)
    starts = [r for r in provctl.journal(run) if r["type"] == "attempt_started"]
    assert len(starts) == 2
    assert starts[1]["at"] >= ended["retry_at"]
