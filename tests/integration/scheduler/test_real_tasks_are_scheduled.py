"""Slots, pools, priorities and retries with real processes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Set

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Provctl


@pytest.mark.parametrize("where", ["foreground", "background"])
def test_jobs_limit_is_not_exceeded(provctl: Provctl, where: str) -> None:
    file = provctl.file({f"t{n}": _counted(provctl, 3) for n in range(12)})
    if where == "foreground":
        provctl("run", file, "-j", "3")
    else:
        provctl("wait", provctl.submit(file, "-j", "3"))
    assert max(_at_once(provctl)) == 3


def test_all_runs_share_the_slots_of_the_scheduler(provctl: Provctl) -> None:
    environ = {"PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS": "2"}
    file = provctl.file({f"t{n}": _counted(provctl, 2) for n in range(3)})
    ids = [provctl.submit(file, env=environ) for _ in range(3)]
    provctl("wait", *ids)
    assert max(_at_once(provctl)) == 2


def test_pool_limits_only_its_own_tasks(provctl: Provctl) -> None:
    tasks = {f"p{n}": {**_counted(provctl, 2), "pools": {"db": 1}} for n in range(4)}
    others = {f"t{n}": {"command": ["sh", "-c", "sleep 0.1"]} for n in range(4)}
    environ = {"PROVCTL_POOLS": json.dumps({"db": 2})}
    provctl("run", provctl.file({**tasks, **others}), "-j", "8", env=environ)
    assert max(_at_once(provctl)) == 2


def test_tasks_of_higher_priority_start_first(provctl: Provctl) -> None:
    tasks = {f"t{n}": {"command": ["true"], "priority": n * 7 % 10} for n in range(10)}
    run = provctl("run", provctl.file(tasks), "-j", "1", "-o", "json").json()["id"]
    started = [r["task"] for r in _of(provctl, run, "attempt_started")]
    assert [tasks[task]["priority"] for task in started] == list(range(9, -1, -1))


def test_run_of_higher_priority_goes_before_an_earlier_run(
    provctl: Provctl,
) -> None:
    environ = {"PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS": "1"}
    first = provctl.submit(provctl.endless(), env=environ)
    provctl.until_ready(first)
    order = provctl.folder / "order"
    low, high = (
        provctl.submit(provctl.file({"a": _says(order, word)}), "-P", priority)
        for word, priority in (("low", -5), ("high", 5))
    )
    provctl("cancel", first)
    provctl("wait", low, high)
    assert order.read_text().split() == ["high", "low"]


def test_every_task_starts_after_its_dependencies_finished(provctl: Provctl) -> None:
    tasks: Dict[str, Any] = {}
    for n in range(60):
        needs = sorted({f"t{n // 2}", f"t{n * 3 // 4}"} - {f"t{n}"}) if n else []
        tasks[f"t{n}"] = {"command": ["true"], "needs": needs}
    run = provctl("run", provctl.file(tasks), "-o", "json").json()["id"]
    ended: Set[str] = set()
    for record in provctl.journal(run):
        if record["type"] == "attempt_started":
            assert set(tasks[record["task"]]["needs"]) <= ended
        elif record["type"] == "attempt_finished":
            ended.add(record["task"])
    assert ended == set(tasks)


def test_failed_task_skips_only_its_dependents(provctl: Provctl) -> None:
    run = provctl("run", _with_a_failure(provctl), "-o", "json", code=10).json()
    outcomes = {task["id"]: task["outcome"] for task in run["tasks"]}
    assert outcomes == {
        "bad": "failed",
        "after": "skipped",
        "later": "skipped",
        "alert": "succeeded",
        "cleanup": "succeeded",
        "other": "succeeded",
    }


def test_fail_fast_starts_no_more_tasks(provctl: Provctl) -> None:
    file = _with_a_failure(provctl)
    run = provctl("run", file, "-j", "1", "--fail-fast", "-o", "json", code=10).json()
    assert run["counts"] == {"failed": 1, "skipped": 5}


def test_failure_with_on_failure_continue_does_not_fail_the_run(
    provctl: Provctl,
) -> None:
    tasks = {
        "a": {"command": ["false"], "on_failure": "continue"},
        "b": {"command": ["true"], "needs": ["a"]},
    }
    run = provctl("run", provctl.file(tasks), "-o", "json").json()
    assert run["counts"] == {"failed": 1, "succeeded": 1}


def test_retry_delay_grows_with_each_attempt(provctl: Provctl) -> None:
    retry = {"attempts": 4, "delay": "100ms", "factor": 2, "max_delay": "300ms"}
    tasks = {"a": {"command": ["false"], "retry": retry}}
    run = provctl("run", provctl.file(tasks), "-o", "json", code=10).json()
    assert run["tasks"][0]["attempts"] == 4
    starts = [r["at"] for r in _of(provctl, run["id"], "attempt_started")]
    ends = [r["at"] for r in _of(provctl, run["id"], "attempt_finished")]
    waits = [start - end for start, end in zip(starts[1:], ends)]
    for wait, least in zip(waits, (0.1, 0.2, 0.3)):
        assert least <= wait + 0.001
        assert wait < least + 20


def test_timed_out_attempt_counts_as_an_attempt(provctl: Provctl) -> None:
    script = '[ "$PROVCTL_ATTEMPT" = 2 ] || sleep 60'
    task = {"command": ["sh", "-c", script], "timeout": "2s", "retry": {}}
    run = provctl("run", provctl.file({"a": task}), "-o", "json").json()
    assert run["tasks"][0]["attempts"] == 2


def test_condition_reads_an_output(provctl: Provctl) -> None:
    count = {"$output": {"task": "count", "path": "n"}}
    tasks = {
        "count": {"script": "{n: 3}"},
        "three": {"command": ["true"], "when": {"$equals": [count, 3]}},
        "four": {"command": ["true"], "when": {"$equals": [count, 4]}},
    }
    run = provctl("run", provctl.file(tasks), "-o", "json").json()
    outcomes = {task["id"]: task["outcome"] for task in run["tasks"]}
    assert outcomes == {"count": "succeeded", "three": "succeeded", "four": "skipped"}


def test_idempotency_key_is_the_same_in_every_attempt(provctl: Provctl) -> None:
    keys = provctl.folder / "keys"
    script = f'echo "$PROVCTL_IDEMPOTENCY_KEY" >> "{keys}"; [ "$PROVCTL_ATTEMPT" = 2 ]'
    tasks = {"a": {"command": ["sh", "-c", script], "retry": {}}}
    run = provctl("run", provctl.file(tasks), "-o", "json").json()["id"]
    assert keys.read_text().split() == [f"{run}/a"] * 2


def test_idle_scheduler_sleeps(provctl: Provctl) -> None:
    provctl("wait", provctl.submit(provctl.file({"a": {"command": ["true"]}})))
    (scheduler,) = provctl.schedulers()
    provctl.until(lambda: _switches(scheduler) == _later(scheduler), "it sleeps")


def _counted(provctl: Provctl, least: int) -> Dict[str, Any]:
    """A task that writes its start and its end; it ends after so many have started."""
    book = provctl.folder / "book"
    wait = f'until [ "$(grep -c + "{book}")" -ge {least} ]; do sleep 0.02; done'
    script = f'echo + >> "{book}"; {wait}; sleep 0.15; echo - >> "{book}"'
    return {"command": ["sh", "-c", script]}


def _at_once(provctl: Provctl) -> List[int]:
    """The number of running tasks after each line of the file."""
    running, numbers = 0, []
    for sign in (provctl.folder / "book").read_text().split():
        running += 1 if sign == "+" else -1
        numbers.append(running)
    assert running == 0
    return numbers


def _says(book: Path, word: str) -> Dict[str, Any]:
    return {"command": ["sh", "-c", f'echo {word} >> "{book}"']}


def _with_a_failure(provctl: Provctl) -> Path:
    true = {"command": ["true"]}
    return provctl.file(
        {
            "bad": {"command": ["false"], "priority": 1},
            "after": {**true, "needs": ["bad"]},
            "later": {**true, "needs": ["after"]},
            "alert": {**true, "needs": [{"task": "bad", "on": "failure"}]},
            "cleanup": {**true, "needs": [{"task": "bad", "on": "done"}]},
            "other": true,
        }
    )


def _of(provctl: Provctl, run: str, kind: str) -> List[Dict[str, Any]]:
    return [record for record in provctl.journal(run) if record["type"] == kind]


def _switches(pid: int) -> int:
    """How often a process has woken up so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [x for x in status.splitlines() if x.startswith("voluntary_ctxt")]
    return int(line.split()[1])


def _later(pid: int) -> int:
    """The same number, a second later."""
    time.sleep(1)
    return _switches(pid)
