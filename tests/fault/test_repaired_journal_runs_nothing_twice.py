"""A journal is damaged at the start of a task and repaired; the run continues, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Tuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


def damage(journal: Path, needle: bytes) -> bytes:
    """Flip a bit in the first record that contains a text; return the original file."""
    raw = journal.read_bytes()
    at = raw.index(needle)
    journal.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
    return journal.read_bytes()


@pytest.fixture
def cut_off(provctl: Provctl) -> Tuple[str, Path, Path]:
    """A run of a dead owner: `ends` has since exited with 7, `runs` still runs.

    A later task ensures that the records of both starts are acknowledged.
    """
    ran, dead = provctl.folder / "ran", provctl.folder / "dead"

    def waits(code: int, gate: Path) -> Dict[str, Any]:
        wait = f'while [ ! -e "{gate}" ]; do sleep 0.02; done'
        script = f'echo "$PROVCTL_TASK" >> "{ran}"; {wait}; exit {code}'
        return {"command": ["sh", "-c", script]}

    tasks = {
        "ends": waits(7, dead),
        "runs": waits(5, provctl.folder / "go"),
        "brief": {"command": ["true"]},
        "after": {"command": ["true"], "needs": ["brief"]},
    }
    run = provctl.submit(provctl.file(tasks))
    journal = provctl.state / "runs" / run / "journal.jsonl"
    provctl.wait_for_text(ran, "ends")
    provctl.wait_for_text(ran, "runs")
    provctl.wait_for_text(journal, '"task":"after","attempt":1,"outcome"')
    provctl.kill_scheduler()
    dead.touch()
    attempts = journal.parent / "attempts"
    provctl.wait_for_text(attempts / "0.1.go", '"crc"')
    return run, journal, ran


@pytest.mark.parametrize("task", ["ends", "runs"])
def test_attempt_whose_record_was_dropped_is_found_by_its_file(
    provctl: Provctl, cut_off: Tuple[str, Path, Path], task: str
) -> None:
    run, journal, ran = cut_off
    damaged = damage(journal, b'"task":"%s"' % task.encode("ascii"))
    # The negative control: the damage is felt.
    provctl("journal", "verify", run, code=33)
    provctl("workflow", "resume", run, code=33)
    told = provctl("journal", "repair", run, "--dry-run").out
    assert journal.read_bytes() == damaged
    assert f"found in its attempt file: {task}, attempt 1" in told

    told = provctl("journal", "repair", run, "--yes").out
    assert "attempt_finished   after" in told
    (copy,) = journal.parent.glob("journal.jsonl.damaged-*")
    assert copy.read_bytes() == damaged
    assert damaged.startswith(journal.read_bytes())
    assert provctl("journal", "verify", run).code == 0

    provctl("scheduler", "start")
    (provctl.folder / "go").touch()
    provctl("wait", run, code=10)
    assert sorted(ran.read_text().split()) == ["ends", "runs"]
    for name, code in (("ends", 7), ("runs", 5), ("brief", 0), ("after", 0)):
        found = provctl.task(run, name)
        assert (found["exit_code"], found["attempts"]) == (code, 1), name
    assert "ok" in provctl("journal", "verify", run).out


def test_control_attempt_runs_again_without_its_files(
    provctl: Provctl, cut_off: Tuple[str, Path, Path]
) -> None:
    """The negative control: these files prevent a second start."""
    run, journal, ran = cut_off
    damage(journal, b'"task":"ends"')
    for name in ("0.1.go", "0.1.log"):
        (journal.parent / "attempts" / name).unlink()
    provctl("journal", "repair", run, "--yes")
    (provctl.folder / "go").touch()
    provctl("scheduler", "start")
    provctl("wait", run, code=10)
    assert sorted(ran.read_text().split()) == ["ends", "ends", "runs"]


def test_repair_refuses_a_run_with_an_owner(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    said = provctl("journal", "repair", run, code=41).err
    assert "has an owner" in said


def test_cancel_recorded_after_the_damage_must_be_requested_again(
    provctl: Provctl,
) -> None:
    run = provctl.submit(provctl.endless("trap : TERM"))
    provctl.until_ready(run)
    journal = provctl.state / "runs" / run / "journal.jsonl"
    provctl("cancel", run)
    provctl.wait_for_text(journal, "attempt_stopping")
    provctl.kill_scheduler()
    # The next owner writes behind it, and with that it is known to be on disk.
    provctl("scheduler", "start")
    provctl("scheduler", "stop")
    damage(journal, b'"task":"a"')
    told = provctl("journal", "repair", run, "--yes").out
    assert (
        f"a dropped record cancelled the run; to cancel it again: provctl cancel {run}"
        in told
    )
    assert "found in its attempt file: a, attempt 1: still running" in told
    provctl("cancel", run, "--now")
    provctl("wait", run, code=11)
    assert provctl.task(run, "a")["outcome"] == "cancelled"
    assert not (provctl.state / "runs" / run / "attempts" / "1.1.go").exists()


def test_repair_reports_and_leaves_what_it_cannot_repair(
    provctl: Provctl, cut_off: Tuple[str, Path, Path]
) -> None:
    run, journal, _ = cut_off
    workflow = journal.parent / "workflow.json"
    kept, frozen = journal.read_bytes(), workflow.read_bytes()
    workflow.write_bytes(frozen[:-1])
    said = provctl("journal", "repair", run, code=33).err
    assert str(workflow) in said
    assert "SHA-256" in said
    workflow.write_bytes(frozen)
    damaged = damage(journal, b"run_submitted")
    said = provctl("journal", "repair", run, "--yes", code=33).err
    assert "first record" in said
    assert journal.read_bytes() == damaged
    journal.write_bytes(kept)
    assert "nothing to repair" in provctl("journal", "repair", run, "--yes").out


def test_repair_asks_at_a_terminal(
    provctl: Provctl, cut_off: Tuple[str, Path, Path]
) -> None:
    run, journal, _ = cut_off
    damaged = damage(journal, b'"task":"ends"')
    with provctl.terminal("journal", "repair", run) as terminal:
        terminal.read_until("repair ")
        terminal.press("n\n")
        assert terminal.wait() == 130
    assert journal.read_bytes() == damaged
