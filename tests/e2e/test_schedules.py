"""`provctl schedule`: schedules and their runs, across restarts and mistakes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

import pytest

from provctl.scheduler.clock import WallClock
from tests.support.attempts import command_of
from tests.support.clocks import SetClock
from tests.support.timetables import backdated

if TYPE_CHECKING:
    from tests.support.installed import Provctl

NEVER = "0 0 29 2 *"  # not while a test runs
MANY = [word for n in range(32) for word in ("-l", f"k{n}=")]


@pytest.fixture
def file(provctl: Provctl) -> Path:
    tasks = {"a": {"command": ["echo", {"$param": "word"}]}}
    return provctl.file(tasks, name="nightly", params={"word": "x"})


def add(provctl: Provctl, file: Path, *args: object, cron: str = NEVER) -> str:
    return provctl("schedule", "add", file, "--cron", cron, *args).last_word


def shown(provctl: Provctl, name: str = "s") -> Dict[str, Any]:
    told: Dict[str, Any] = provctl("schedule", "show", name, "-o", "json").json()
    return told


def runs(provctl: Provctl) -> List[Dict[str, Any]]:
    told: List[Dict[str, Any]] = provctl("ps", "-o", "json").json()
    return told


def test_schedule_is_added_shown_paused_and_removed(
    provctl: Provctl, file: Path
) -> None:
    given = ("-p", "word=y", "-P", 3, "-l", "env=test")
    done = provctl("schedule", "add", file, "--cron", NEVER, *given)
    assert done.out == "Schedule added: nightly\n"
    assert "next: " in done.err
    assert "provctl scheduler install" in done.err
    assert len(provctl.schedulers()) == 1
    (row,) = provctl("schedule", "list", "-o", "json").json()
    assert (row["name"], row["cron"], row["overlap"]) == ("nightly", NEVER, "skip")
    assert len(row["next_at"]) == 5
    run = provctl("schedule", "run", "nightly").last_word
    provctl("wait", run)
    labels = {"env": "test", "schedule": "nightly"}
    assert provctl("logs", run, "a").out == "y\n"
    (account,) = runs(provctl)
    assert (account["id"], account["labels"]) == (run, labels)
    assert provctl.status(run)["labels"] == labels
    assert "schedule=nightly" in provctl("workflow", "status", run).out
    provctl("schedule", "pause", "nightly", "--reason", "holidays")
    assert "holidays" in provctl("schedule", "list").out
    assert shown(provctl, "nightly")["next_at"] == []
    provctl("schedule", "resume", "nightly")
    provctl("schedule", "resume", "nightly", code=41)
    provctl("schedule", "rm", "nightly", "--yes")
    assert provctl("schedule", "list", "-o", "json").json() == []
    provctl("schedule", "show", "nightly", code=40)


def test_invalid_schedule_is_refused_and_not_added(
    provctl: Provctl, file: Path
) -> None:
    broken = provctl.file({"a": {}})
    for code, words, args in [
        (2, "'99' is not a valid minute", (file, "--cron", "99 * * * *")),
        (2, "time zone", (file, "--cron", NEVER, "--time-zone", "Mars")),
        (2, "is not a valid schedule name", (file, "--cron", NEVER, "--name", "../x")),
        (2, "at most 32 labels", (file, "--cron", NEVER, *MANY)),
        (50, "has nothing to run", (broken, "--cron", NEVER)),
        (50, "nowhere", (provctl.folder / "nowhere.json", "--cron", NEVER)),
    ]:
        assert words in provctl("schedule", "add", *args, code=code).err
    add(provctl, file)
    assert "already" in provctl("schedule", "add", file, "--cron", NEVER, code=41).err
    assert provctl("schedule", "list", "-o", "name").out == "nightly\n"


def test_schedule_fires_while_the_scheduler_waits(provctl: Provctl, file: Path) -> None:
    # A clock on which the next minute is near; nothing has to wait for a real one.
    clock = SetClock(provctl)
    clock.set(57 - int(WallClock().now()) % 60)
    provctl("schedule", "add", file, "--cron", "* * * * *", env=clock.env)
    (run,) = provctl.until(provctl.runs, "a run", within_s=120)
    provctl("wait", run)
    log = (provctl.state / "scheduler" / "log").read_text()
    assert f"Z schedule nightly: run {run}\n" in log


def test_scheduler_sleeps_between_two_times(provctl: Provctl, file: Path) -> None:
    add(provctl, file)
    (pid,) = provctl.schedulers()

    def is_quiet() -> bool:
        before = _wakes(pid)
        time.sleep(1)
        return _wakes(pid) == before

    provctl.until(is_quiet, "a second without a wake-up")
    before = _wakes(pid)
    provctl("schedule", "pause", "nightly")
    assert _wakes(pid) > before  # the control: a request wakes it


def _wakes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("voluntary_ctxt")]
    return int(line.split()[1])


def test_missed_time_is_run_when_the_scheduler_starts(
    provctl: Provctl, file: Path
) -> None:
    backdated(provctl, file)
    told = provctl("schedule", "list")
    assert "no scheduler is running" in told.err
    provctl("scheduler", "start")
    (run,) = provctl.until(provctl.runs, "the run")
    provctl("wait", run)
    row = provctl.until(
        lambda: shown(provctl)["outcome"] and shown(provctl), "it is written down"
    )
    assert (row["run"], row["outcome"], row["missed"]) == (run, "succeeded", 23)
    provctl("scheduler", "restart")
    assert provctl.runs() == [run]


def test_queued_runs_of_a_schedule_run_one_after_another(provctl: Provctl) -> None:
    ran = provctl.folder / "ran"
    script = f'echo begin >> "{ran}"; sleep 0.05; echo end >> "{ran}"'
    slow = provctl.file({"a": {"command": ["sh", "-c", script]}})
    backdated(provctl, slow, hours=4, overlap="queue", catch_up="all")
    provctl("scheduler", "start")
    provctl.until(lambda: len(provctl.runs()) == 4, "four runs")
    provctl("wait", *provctl.runs())
    assert ran.read_text() == "begin\nend\n" * 4


def test_file_that_becomes_invalid_is_reported(provctl: Provctl, file: Path) -> None:
    backdated(provctl, file)
    file.write_text('{"tasks": {"a": {}}}')
    provctl("scheduler", "start")
    row = provctl.until(
        lambda: shown(provctl)["last_error"] and shown(provctl), "it is told"
    )
    assert str(file) in row["last_error"]
    assert "failed at" in provctl("schedule", "list").out
    assert "could not be submitted" in provctl("scheduler", "logs").out
    provctl("schedule", "run", "s", code=50)


def test_damaged_schedule_is_reported_and_can_be_removed(
    provctl: Provctl, file: Path
) -> None:
    add(provctl, file)
    add(provctl, file, "--name", "other")
    path = provctl.state / "schedules" / "nightly.json"
    path.write_bytes(path.read_bytes().replace(b"nightly", b"mightly"))
    rows = provctl("schedule", "list", "-o", "json").json()
    assert [row.get("damage") is None for row in rows] == [False, True]
    assert "damaged" in provctl("schedule", "show", "nightly", code=33).err
    assert "nightly.json: damaged" in provctl("doctor", code=33).out
    verdicts = provctl("journal", "verify", "-o", "json", code=33).json()
    told = {each["id"]: (each["kind"], each["verdict"]) for each in verdicts}
    assert told == {"nightly": ("schedule", "damaged"), "other": ("schedule", "ok")}
    assert "nightly.json: damaged" in provctl("journal", "verify", code=33).out
    provctl("schedule", "rm", "nightly", "--yes")
    assert provctl("schedule", "list", "-o", "name").out == "other\n"
    provctl("journal", "verify")  # the control


def test_schedule_verbs_warn_without_a_scheduler(provctl: Provctl, file: Path) -> None:
    off = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    done = provctl("schedule", "add", file, "--cron", NEVER, env=off)
    assert "the schedule is not active yet" in done.err
    assert provctl.schedulers() == []
    assert "nothing is submitted" in provctl("doctor").out
    assert json.loads(provctl("schedule", "list", "-o", "jsonl").out)["run"] is None
    provctl("schedule", "rm", "nightly", "--yes")
    assert provctl.schedulers() == []


def test_endless_evaluation_delays_nothing_else(provctl: Provctl, file: Path) -> None:
    endless = "let rec f = fun n => if n < 2 then n else f (n - 1) + f (n - 2) in f 99"
    backdated(provctl, provctl.text("endless.ncl", endless))
    provctl("scheduler", "start", env={"PROVCTL_NICKEL_TIMEOUT_SECONDS": "600"})
    provctl.until(
        lambda: any(
            "evaluator_child" in word
            for pid in provctl.processes()
            for word in command_of(pid)
        ),
        "it is being evaluated",
    )
    backdated(provctl, file, name="other", made="o")
    provctl("schedule", "pause", "other")
    provctl("schedule", "resume", "other")  # the scheduler looks at all of them
    run = provctl("schedule", "run", "other").last_word
    provctl("wait", run)
    assert shown(provctl)["last_error"] is None
    provctl("scheduler", "restart", env={"PROVCTL_NICKEL_TIMEOUT_SECONDS": "1"})
    row = provctl.until(
        lambda: shown(provctl)["last_error"] and shown(provctl), "it was ended"
    )
    assert "exceeded the time limit of 1 s" in row["last_error"]
