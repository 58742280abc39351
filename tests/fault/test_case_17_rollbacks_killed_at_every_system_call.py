"""A run that fails is rolled back, and its owner is killed at every system call of that.

Whoever goes on, each task and each undo runs just once, undos in reverse order.
By itself a sample of the points; `FAULT_POINTS=9999` leaves out none.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Callable, Dict, List

import pytest

from tests.support.bars import bar, evenly
from tests.support.chains import account, told
from tests.support.strace import (
    TRACING,
    Point,
    killing,
    meddled,
    need_strace,
    points_of,
    under,
)
from tests.support.sweeps import sweep

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

_ROLLED_BACK = 14
_IN_ORDER = ["net", "web", "bad", "undo web", "undo net"]


@pytest.fixture(autouse=True)
def _strace() -> None:
    need_strace()


def test_case_17_a_rollback_killed_anywhere_undoes_each_task_once(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    log = tmp_path / "trace"
    for name in ("warm", "traced"):  # the first one may have to write .pyc files
        provctl = account(tmp_path / "points" / name)
        provctl("run", _fails(provctl), code=_ROLLED_BACK, under=under(log, TRACING))
        provctl.kill_everything()
    every = points_of(log)
    points = evenly(every, bar("FAULT_POINTS", 24))
    ends = Counter(sweep(tmp_path / "points", points, _killed))
    figure(told("case 17: rollback killed", points, every, ends))
    assert ends["in its rollback"] > 3, ends
    assert ends["before it"] > 1, ends


def test_the_control_an_undo_that_ran_twice_is_found(provctl: Provctl) -> None:
    provctl("run", _fails(provctl), code=_ROLLED_BACK)
    with (provctl.folder / "ran").open("a") as ran:
        ran.write("undo net\n")
    with pytest.raises(AssertionError):
        _check(provctl)


def _killed(provctl: Provctl, point: Point) -> str:
    log = provctl.folder / "strace"
    done = provctl("run", _fails(provctl), code=None, under=under(log, killing(point)))
    assert done.code == -9, f"it was not killed: {done}"
    assert meddled(log), "it was killed by somebody else"
    if not provctl.runs():
        return "absent"
    (run,) = provctl.runs()
    kinds = [record["type"] for record in provctl.journal(run)]
    again = provctl("workflow", "resume", run, code=None)
    assert again.code in (_ROLLED_BACK, 41), again
    _check(provctl)
    return "in its rollback" if "rollback_requested" in kinds else "before it"


def _check(provctl: Provctl) -> None:
    (run,) = provctl.runs()
    assert provctl.status(run)["outcome"] == "rolled_back"
    assert (provctl.folder / "ran").read_text().splitlines() == _IN_ORDER


def _fails(provctl: Provctl) -> Path:
    """A chain of tasks that can be undone; the last one fails."""
    ran = provctl.folder / "ran"

    def note(words: str, code: int = 0) -> Dict[str, Any]:
        return {"command": ["sh", "-c", f'echo {words} >> "{ran}"; exit {code}']}

    tasks: Dict[str, Dict[str, Any]] = {}
    before: List[str] = []
    for name in ("net", "web"):
        tasks[name] = {**note(name), "needs": before, "undo": note(f"undo {name}")}
        before = [name]
    tasks["bad"] = {**note("bad", 3), "needs": before, "on_failure": "rollback"}
    return provctl.file(tasks)
