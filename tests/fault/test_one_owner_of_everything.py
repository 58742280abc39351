"""Many want to own the same thing at once; one does, and nobody is lied to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.installed import Provctl


def test_twenty_submits_at_once_start_one_scheduler(provctl: Provctl) -> None:
    file = provctl.file({"a": {"command": ["true"]}})
    started = [provctl.start("workflow", "submit", file) for _ in range(20)]
    ids = []
    for process in started:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert err == b""
        ids.append(out.decode().split()[-1])
    assert len(set(ids)) == 20
    assert len(provctl.schedulers()) == 1
    provctl("wait", *ids)
    outcomes = {run["id"]: run["outcome"] for run in _list(provctl)}
    assert outcomes == dict.fromkeys(ids, "succeeded")
    starts = (provctl.state / "scheduler" / "log").read_text().count("started")
    assert starts == 1


def test_ten_starts_at_once_start_one_scheduler(provctl: Provctl) -> None:
    started = [provctl.start("scheduler", "start") for _ in range(10)]
    for process in started:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert len(provctl.schedulers()) == 1


def test_a_scheduler_started_beside_another_lets_it_be(provctl: Provctl) -> None:
    provctl("scheduler", "start")
    before = provctl.schedulers()
    process = provctl.start("scheduler", "serve", "--ready-fd", 1)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, b"already\n", b"")
    assert provctl.schedulers() == before


def test_a_second_owner_of_a_foreground_run_is_refused(provctl: Provctl) -> None:
    file = provctl.file({"a": {"command": ["sh", "-c", "echo ready; sleep 60"]}})
    with provctl.start("run", file) as owner:
        run = provctl.until(provctl.runs, "there is a run")[0]
        log = provctl.log(run)
        provctl.wait_for_text(log, "ready")
        said = provctl("workflow", "resume", run, code=41).err
        assert f"run {run} has an owner already: a foreground run" in said
        assert str(owner.pid) in said
        provctl("cancel", run)
        assert owner.wait(timeout=10) == 11


def test_a_second_owner_of_a_submitted_run_is_refused(provctl: Provctl) -> None:
    file = provctl.file({"a": {"command": ["sh", "-c", "echo ready; sleep 60"]}})
    run = provctl.submit(file)
    log = provctl.log(run)
    provctl.wait_for_text(log, "ready")
    before = (provctl.state / "runs" / run / "journal.jsonl").read_bytes()
    said = provctl("workflow", "resume", run, code=41).err
    assert f"run {run} has an owner already: the scheduler" in said
    assert (provctl.state / "runs" / run / "journal.jsonl").read_bytes() == before
    provctl("cancel", run, "--now")
    provctl("wait", run, code=11)


def test_of_ten_resumes_at_once_one_owns_the_run(provctl: Provctl) -> None:
    ran = provctl.folder / "ran"
    script = f'echo x >> "{ran}"; sleep 2'
    file = provctl.file({"a": {"command": ["sh", "-c", script]}})
    with provctl.start("run", file) as owner:
        provctl.wait_for_text(ran, "x")
        owner.kill()
        owner.communicate(timeout=5)
    (run,) = provctl.runs()
    started = [provctl.start("workflow", "resume", run) for _ in range(10)]
    codes = []
    for process in started:
        process.communicate(timeout=30)
        codes.append(process.returncode)
    assert sorted(codes) == [0] + [41] * 9
    assert ran.read_text() == "x\n"


def _list(provctl: Provctl) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = provctl("ps", "-o", "json").json()
    return rows
