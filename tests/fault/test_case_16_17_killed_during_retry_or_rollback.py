"""The owner is killed at every system call of a retry and a rollback.

An acknowledged request is done, and done once: each retried task, and each undo in its
order. A request that was not acknowledged is done completely or not at all.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, List

import pytest

from tests.support.attempts import alive
from tests.support.fault_points import sweep
from tests.support.fault_workflow import account, told
from tests.support.strace import (
    TRACING,
    Point,
    attached,
    has_injected,
    killing,
    need_strace,
    points_of,
    under,
)
from tests.support.thresholds import bar, evenly

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

Figure = Callable[[str], None]


@pytest.fixture(autouse=True)
def _strace() -> None:
    need_strace()


def stairs(provctl: Provctl, **of_c: Any) -> Path:
    """Tasks a, b and c in a chain; c fails until there is a file `ok`."""
    folder = provctl.folder
    tasks: Dict[str, Dict[str, Any]] = {}
    for name in "abc":
        fails = f"test -e '{folder}/ok' && " if name == "c" else ""
        tasks[name] = {
            "command": ["sh", "-c", f"{fails}echo {name} >> '{folder}/ran'"],
            "needs": list(tasks)[-1:],
            "undo": {"command": ["sh", "-c", f"echo {name} >> '{folder}/undone'"]},
        }
    tasks["c"].update(of_c)
    return provctl.file(tasks)


def written(provctl: Provctl, name: str) -> str:
    """What tasks, or their undos, wrote."""
    file = provctl.folder / name
    return "".join(file.read_text().split()) if file.exists() else ""


def failed(provctl: Provctl) -> str:
    """A run in which c failed, and an idle scheduler."""
    run = provctl.submit(stairs(provctl))
    provctl("wait", run, code=10)
    (provctl.folder / "ok").touch()
    return run


# -- by hand, in the background ------------------------------------------------------------

# Named, a task that succeeded would run again if the wish were told twice.
_NAMED = {"retry": ("--only", "c", "--yes"), "rollback": ("--yes",)}
_ENDS = {"retry": (0, "abc", ""), "rollback": (14, "ab", "ba")}


# Whether the command starts the next scheduler itself, or gives up.
_NONE = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}


@pytest.mark.parametrize("then", [{}, _NONE], ids=["continues", "gives up"])
@pytest.mark.parametrize("verb", ["retry", "rollback"])
def test_case_17_acknowledged_request_is_done_after_its_owner_was_killed(
    tmp_path: Path, figure: Figure, verb: str, then: Dict[str, str]
) -> None:
    log = tmp_path / "trace"
    provctl = account(tmp_path / "traced")
    try:
        run = failed(provctl)
        with attached(provctl.schedulers()[0], log, TRACING):
            provctl("workflow", verb, run, "-w", "--yes")
    finally:
        provctl.kill_everything()
    every = points_of(log)
    points = evenly(every, bar("FAULT_POINTS", 10))
    play = partial(_opened, verb=verb, then=then)
    ends = Counter(sweep(tmp_path / "points", points, play))
    figure(told(f"case 17: owner killed over a {verb}", points, every, ends))
    assert ends["acknowledged"], ends
    assert bool(ends["not acknowledged, not done"]) == bool(then), ends


def _opened(provctl: Provctl, point: Point, *, verb: str, then: Dict[str, str]) -> str:
    run, log = failed(provctl), provctl.folder / "strace"
    (scheduler,) = provctl.schedulers()
    with attached(scheduler, log, killing(point)):
        done = provctl("workflow", verb, run, *_NAMED[verb], code=None, env=then)
        assert done.code in (0, 30), done
        provctl.until(lambda: not alive(scheduler), f"killed at {point}")
        provctl.until(lambda: has_injected(log), "it was not killed by somebody else")
    provctl("scheduler", "start")
    requested = f"{verb}_requested"
    asked = [r for r in provctl.journal(run) if r["type"] == requested]
    if done.code == 0:
        assert asked, "acknowledged, but not in the journal"
    code, ran, undone = _ENDS[verb] if asked else (10, "ab", "")
    provctl("wait", run, code=code)
    assert len(asked) <= 1, asked
    assert (written(provctl, "ran"), written(provctl, "undone")) == (ran, undone)
    if done.code == 0:
        return "acknowledged"
    if not asked:
        # Nothing of it is in the way of doing it now.
        provctl("workflow", verb, run, "-w", "--yes")
    return "not acknowledged, " + ("done" if asked else "not done")


# -- after a failure, in the foreground ----------------------------------------------------


def test_case_17_rollback_killed_anywhere_undoes_each_task_once(
    tmp_path: Path, figure: Figure
) -> None:
    log = tmp_path / "trace"
    for name in ("warm", "traced"):  # the first one may have to write .pyc files
        provctl = account(tmp_path / "points" / name)
        file = stairs(provctl, on_failure="rollback")
        provctl("run", file, code=14, under=under(log, TRACING))
        provctl.kill_everything()
    every = _from_the_failure_on(points_of(log))
    points = evenly(every, bar("FAULT_POINTS", 16))
    ends = Counter(sweep(tmp_path / "points", points, _after_a_failure))
    figure(told("case 17: owner killed in a rollback", points, every, ends))
    assert ends["taken over"] > 1, ends


def _from_the_failure_on(points: List[Point]) -> List[Point]:
    """Roughly the second half; the first is the same for every foreground run."""
    return points[len(points) // 2 :]


def _after_a_failure(provctl: Provctl, point: Point) -> str:
    log = provctl.folder / "strace"
    file = stairs(provctl, on_failure="rollback")
    done = provctl("run", file, code=None, under=under(log, killing(point)))
    assert done.code == -9, f"it was not killed: {done}"
    assert has_injected(log), "it was killed by somebody else"
    (run,) = provctl.runs()
    again = provctl("workflow", "resume", run, code=None)
    assert again.code in (14, 41), again
    provctl("wait", run, code=14)
    assert (written(provctl, "ran"), written(provctl, "undone")) == ("ab", "ba")
    return "taken over" if again.code == 14 else "over"
