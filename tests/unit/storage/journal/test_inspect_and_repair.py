"""Inspection and repair of a journal: what is kept, cut, or beyond repair."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, List

import pytest

from provctl.core.engine import events as ev
from provctl.core.model.attempt_result import AttemptResult
from provctl.errors import StateDirError
from provctl.runs.verify import verify
from provctl.storage.journal.codec import seal
from provctl.storage.journal.file import JournalReader
from provctl.storage.journal.inspect import inspect
from provctl.storage.journal.repair import dropped_records, repair
from tests.support.run_folders import append, disk_full_beyond, state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import RunDir

FACTS: List[ev.Event] = [
    ev.OwnershipTaken("r", 1001.0, "scheduler", 1, "b"),
    ev.AttemptStarted("r", 1001.0, "a", 1),
    ev.AttemptFinished(
        "r",
        1002.0,
        "a",
        1,
        "failed",
        result=AttemptResult(3, started_at=1001.0, finished_at=1002.0),
    ),
    ev.RunFinished("r", 1002.0, "failed"),
]


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = submit(state_folder(tmp_path), a_workflow(task("a")))
    append(run, FACTS, at_once=False)
    return run


def damage(run: RunDir, record: int) -> int:
    """Change something in a record; return the offset of the record."""
    lines = run.journal.read_bytes().splitlines(keepends=True)
    lines[record - 1] = lines[record - 1].replace(b'"at":1', b'"at":2')
    run.journal.write_bytes(b"".join(lines))
    return sum(map(len, lines[: record - 1]))


def exit_record(run: RunDir, code: int, name: str = "0.1") -> None:
    """Write an exit record as a shim does."""
    record = f'{{"cause":"exit","exit_code":{code},"survivors":0,"problem":""'
    record += ',"started_at":1001.0,"finished_at":1002.0}'
    (run.attempts / f"{name}.go").write_bytes(seal(record)[0])


def test_complete_journal_is_ok(run: RunDir) -> None:
    exit_record(run, 3)
    verdict = verify(run)
    assert (verdict.verdict, verdict.records, verdict.attempts) == ("ok", 5, 1)


def test_torn_journal_is_reported_as_torn(run: RunDir) -> None:
    run.journal.write_bytes(run.journal.read_bytes()[:-5])
    verdict = verify(run)
    assert (verdict.verdict, verdict.records) == ("torn", 4)
    assert "an incomplete last record" in verdict.problem


@pytest.mark.parametrize("record", [2, 3])
def test_damage_is_located_and_repaired(run: RunDir, record: int) -> None:
    offset = damage(run, record)
    damaged = run.journal.read_bytes()
    verdict = verify(run)
    assert (verdict.verdict, verdict.offset, verdict.record) == (
        "damaged",
        offset,
        record,
    )
    assert (verdict.file, verdict.mendable) == (str(run.journal), True)
    finding = inspect(run)
    dropped = dropped_records(run, finding)
    assert dropped.records == 6 - record
    assert [each["seq"] for each in dropped.readable] == list(range(record + 1, 6))
    copy = repair(run, finding)
    assert copy.name == "journal.jsonl.damaged-1"
    assert copy.read_bytes() == damaged
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(run.journal.stat().st_mode) == 0o600
    assert run.journal.read_bytes() == damaged[:offset]
    assert JournalReader(run.journal, "r").read()[1:] == FACTS[: record - 2]
    damage(run, 1)
    assert not inspect(run).mendable


def test_second_repair_keeps_a_second_copy(run: RunDir) -> None:
    damage(run, 3)
    repair(run, inspect(run))
    append(run, FACTS[1:], at_once=False)
    damage(run, 3)
    assert repair(run, inspect(run)).name == "journal.jsonl.damaged-2"


def test_impossible_event_is_damage(run: RunDir) -> None:
    append(run, [ev.AttemptStarted("r", 1003.0, "a", 2)])
    verdict = verify(run)
    assert (verdict.verdict, verdict.record, verdict.mendable) == ("damaged", 6, True)
    before = run.journal.read_bytes()
    repair(run, inspect(run))
    assert before.startswith(run.journal.read_bytes())
    assert verify(run).verdict == "ok"


def test_full_disk_leaves_the_journal_unchanged(run: RunDir) -> None:
    damage(run, 3)
    damaged = run.journal.read_bytes()
    for room in (0, 100, len(damaged) - 1):
        with disk_full_beyond(room), pytest.raises(
            StateDirError, match="File too large"
        ):
            repair(run, inspect(run))
        assert run.journal.read_bytes() == damaged


@pytest.mark.parametrize("what", ["missing", "empty", "changed"])
def test_journal_without_its_workflow_cannot_be_repaired(
    run: RunDir, what: str
) -> None:
    frozen = run.workflow.read_bytes()
    run.workflow.unlink()
    if what != "missing":
        run.workflow.write_bytes(frozen[:-1] if what == "changed" else b"")
    verdict = verify(run)
    assert (verdict.verdict, verdict.mendable) == ("damaged", False)
    assert verdict.file == str(run.workflow)


def test_newer_journal_is_not_damage(run: RunDir) -> None:
    run.journal.write_bytes(seal('{"v":2,"kind":"submitted"}')[0])
    verdict = verify(run)
    assert (verdict.verdict, verdict.mendable) == ("newer", False)


def test_exit_record_that_contradicts_the_journal_is_damage(run: RunDir) -> None:
    exit_record(run, 0)
    verdict = verify(run)
    assert (verdict.verdict, verdict.mendable) == ("damaged", False)
    told = "exit record: exit code 0; journal: failed, exit code 3"
    assert verdict.problem == f"{run.attempts / '0.1.go'}: {told}"


def test_damaged_exit_record_is_reported(run: RunDir) -> None:
    exit_record(run, 3)
    path = run.attempts / "0.1.go"
    path.write_bytes(path.read_bytes().replace(b"3", b"4", 1))
    assert "no complete exit record" in verify(run).problem


def test_attempt_unknown_to_a_finished_run_is_reported(
    run: RunDir,
) -> None:
    exit_record(run, 0, "0.2")
    assert "this attempt is not in its journal" in verify(run).problem


def test_exit_that_is_not_yet_journaled_is_ok(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), a_workflow(task("a")))
    append(run, FACTS[:2])
    for name in ("0.1", "0.2u", "0.3p"):
        exit_record(run, 3, name)
    assert verify(run).verdict == "ok"
