"""All owners of a state directory share its pools and slots."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Dict, List

import pytest

from provctl.base import byte_range_lock
from tests.support.supervisors import kill_supervisor

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="locks of open files are Linux's"
)

ONE: Dict[str, str] = {"PROVCTL_POOLS": json.dumps({"db": 1})}
ALONE = {**ONE, "PROVCTL_FAILPOINT_SLOTS_ALONE": "1"}
NOTHING_HELD = {**ONE, "PROVCTL_FAILPOINT_SHIM_HOLDS_NOTHING": "1"}
_FIRST = 1 << 40  # as in `storage.slots`


def gated(provctl: Provctl, name: str, **fields: Any) -> Dict[str, Any]:
    """A task that reports its start, then waits for a file `go-NAME`."""
    begun, gate = provctl.folder / f"begun-{name}", provctl.folder / f"go-{name}"
    script = f"touch {begun}; until [ -e {gate} ]; do sleep 0.02; done"
    return {"command": ["sh", "-c", script], **fields}


def begun(provctl: Provctl, name: str) -> bool:
    return (provctl.folder / f"begun-{name}").exists()


def let_end(provctl: Provctl, name: str) -> None:
    (provctl.folder / f"go-{name}").touch()


def in_db(provctl: Provctl, name: str) -> Path:
    return provctl.file({"t": gated(provctl, name, pools={"db": 1})}, name)


def somebody_waits(provctl: Provctl, resource: str = "pool.db") -> bool:
    """Whether an owner is the first waiter for a resource."""
    fd = os.open(str(provctl.state / "slots" / resource), os.O_RDWR)
    try:
        return byte_range_lock.other_lock(fd, _FIRST, 1) is not None
    finally:
        os.close(fd)


def run_of(provctl: Provctl, name: str) -> str:
    (run,) = [run for run in provctl.runs() if provctl.status(run)["name"] == name]
    return run


def explained(provctl: Provctl, name: str) -> str:
    return provctl("explain", f"{run_of(provctl, name)}/t").out


def test_two_foreground_runs_share_a_pool(provctl: Provctl) -> None:
    with provctl.start("run", in_db(provctl, "one"), env=ONE) as one:
        provctl.until(lambda: begun(provctl, "one"), "the first runs")
        with provctl.start("run", in_db(provctl, "two"), env=ONE) as two:
            provctl.until(lambda: somebody_waits(provctl), "the second waits")
            assert not begun(provctl, "two")
            said = explained(provctl, "two")
            holder = f"{run_of(provctl, 'one')}/t"
            assert f"1 of them by other processes; this task needs 1: {holder}" in said
            let_end(provctl, "one")
            provctl.until(lambda: begun(provctl, "two"), "the second runs")
            let_end(provctl, "two")
            assert two.wait(60) == 0
        assert one.wait(60) == 0


def test_foreground_run_and_scheduler_share_slots(provctl: Provctl) -> None:
    most = {"PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS": "1"}
    submitted = provctl.submit(
        provctl.file({"t": gated(provctl, "one")}, "one"), env=most
    )
    provctl.until(lambda: begun(provctl, "one"), "the first runs")
    file = provctl.file({"t": gated(provctl, "two")}, "two")
    with provctl.start("run", file, env=most) as two:
        provctl.until(lambda: somebody_waits(provctl, "slots"), "the second waits")
        assert not begun(provctl, "two")
        said = provctl("explain", f"{run_of(provctl, 'two')}/t", env=most).out
        assert (
            f"the only slot is taken, 1 of them by other processes: {submitted}/t"
            in said
        )
        let_end(provctl, "one")
        let_end(provctl, "two")
        assert two.wait(60) == 0
    provctl("wait", submitted)


def test_run_may_set_a_higher_limit_and_gets_the_remaining_slots(
    provctl: Provctl,
) -> None:
    most = {"PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS": "1"}
    file = provctl.file({"t": gated(provctl, "one")}, "one")
    with provctl.start("run", file, env=most) as one:
        provctl.until(lambda: begun(provctl, "one"), "the first runs")
        two = provctl.file({f"t{n}": {"command": ["true"]} for n in range(4)})
        provctl("run", two, "-j", "2", env=most)
        let_end(provctl, "one")
        assert one.wait(60) == 0


def test_control_owner_that_does_not_share_slots_runs_at_once(provctl: Provctl) -> None:
    with provctl.start("run", in_db(provctl, "one"), env=ALONE) as one:
        provctl.until(lambda: begun(provctl, "one"), "the first runs")
        with provctl.start("run", in_db(provctl, "two"), env=ALONE) as two:
            provctl.until(lambda: begun(provctl, "two"), "the second runs too")
            let_end(provctl, "one")
            let_end(provctl, "two")
            assert (one.wait(60), two.wait(60)) == (0, 0)


def test_task_of_a_killed_owner_keeps_its_slots(provctl: Provctl) -> None:
    with provctl.start("run", in_db(provctl, "one"), env=ONE) as one:
        provctl.until(lambda: begun(provctl, "one"), "the first runs")
        one.kill()
    with provctl.start("run", in_db(provctl, "two"), env=ONE) as two:
        provctl.until(lambda: somebody_waits(provctl), "the second waits")
        assert not begun(provctl, "two")
        let_end(provctl, "one")
        provctl.until(lambda: begun(provctl, "two"), "the second runs")
        let_end(provctl, "two")
        assert two.wait(60) == 0


def test_control_slots_are_free_if_the_supervisor_holds_none(provctl: Provctl) -> None:
    with provctl.start("run", in_db(provctl, "one"), env=NOTHING_HELD) as one:
        provctl.until(lambda: begun(provctl, "one"), "the first runs")
        one.kill()
    with provctl.start("run", in_db(provctl, "two"), env=NOTHING_HELD) as two:
        provctl.until(lambda: begun(provctl, "two"), "the second runs beside it")
        let_end(provctl, "one")
        let_end(provctl, "two")
        assert two.wait(60) == 0


def test_waiting_owner_wakes_up_when_all_slot_holders_died(
    provctl: Provctl,
) -> None:
    with provctl.start("run", in_db(provctl, "one"), env=ONE) as one:
        provctl.until(lambda: begun(provctl, "one"), "the first runs")
        first = run_of(provctl, "one")
        with provctl.start("run", in_db(provctl, "two"), env=ONE) as two:
            provctl.until(lambda: somebody_waits(provctl), "the second waits")
            one.kill()
            kill_supervisor(provctl, first)
            provctl.until(lambda: begun(provctl, "two"), "the second runs")
            let_end(provctl, "two")
            assert two.wait(60) == 0
    let_end(provctl, "one")


def test_next_owner_of_a_task_shares_slots_too(provctl: Provctl) -> None:
    with provctl.start("run", in_db(provctl, "one"), env=ONE) as one:
        provctl.until(lambda: begun(provctl, "one"), "the first runs")
        one.kill()
    run = run_of(provctl, "one")
    with provctl.start("workflow", "resume", run, env=ONE) as resumed:
        provctl.until(
            lambda: "attempt_adopted" in map(kind, provctl.journal(run)), "adopted"
        )
        with provctl.start("run", in_db(provctl, "two"), env=ONE) as two:
            provctl.until(lambda: somebody_waits(provctl), "the second waits")
            assert not begun(provctl, "two")
            let_end(provctl, "one")
            let_end(provctl, "two")
            assert two.wait(60) == 0
        assert resumed.wait(60) == 0


def kind(record: Dict[str, Any]) -> str:
    return str(record["type"])


def test_large_task_is_not_overtaken_forever(provctl: Provctl) -> None:
    """One owner has many tasks with one unit each, another a task with all units."""
    three = {"PROVCTL_POOLS": json.dumps({"db": 3})}
    many = {f"t{n}": gated(provctl, "many", pools={"db": 1}) for n in range(30)}
    with provctl.start("run", provctl.file(many, "many"), env=three) as one:
        provctl.until(lambda: begun(provctl, "many"), "the first run")
        big = {"t": {"command": ["true"], "pools": {"db": 3}}}
        with provctl.start("run", provctl.file(big, "big"), env=three) as two:
            provctl.until(lambda: somebody_waits(provctl), "the big one waits")
            let_end(provctl, "many")
            assert two.wait(120) == 0
        assert one.wait(120) == 0
    started: Dict[str, List[float]] = {}
    for name in ("many", "big"):
        records = provctl.journal(run_of(provctl, name))
        started[name] = [r["at"] for r in records if kind(r) == "attempt_started"]
    before = [at for at in started["many"] if at < started["big"][0]]
    assert len(before) == 3  # those that ran when it came
