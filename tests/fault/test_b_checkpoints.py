"""Cases 10, 11 and 23: with any checkpoint the state is that of the journal.

A run has one checkpoint, and its journal is never shortened. If the checkpoint cannot
be used, the whole journal is replayed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, Tuple

import pytest

from provctl.core.engine import events as ev
from provctl.core.engine.apply import apply
from provctl.core.engine.snapshot import snapshot
from provctl.core.engine.state import State
from provctl.core.model.attempt_result import AttemptResult
from provctl.core.model.workflow import RetryPolicy
from provctl.errors import JournalDamaged
from provctl.storage.journal.checkpoint import END_RECORDS_MIN, RECORDS_MIN, load, save
from provctl.storage.journal.codec import seal
from provctl.storage.journal.file import Journal, JournalReader, recover
from provctl.storage.journal.replay import read_run, replay, replay_from_checkpoint
from tests.support.engine_driver import picture
from tests.support.fake_executor import adopted
from tests.support.run_folders import state_folder, submit
from tests.support.scheduler_harness import HandClock, Household, in_a_loop
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import RunDir

WORKFLOW = a_workflow(
    *(task(f"t{n}", pools={"p": 1}) for n in range(5)),
    task("again", retry=RetryPolicy(3, 60.0)),
    task("last", ["t0", "again"]),
    timeout_s=3600.0,
)
CAPACITY = {"p": 2}


def facts() -> Tuple[ev.Event, ...]:
    """Some tasks done, two running, one waiting for its next attempt."""
    started = [ev.AttemptStarted("r", 1001.0 + n, f"t{n}", 1) for n in range(3)]
    failed = ev.AttemptFinished(
        "r", 1005.0, "again", 1, "failed", result=AttemptResult(3), retry_at=1065.0
    )
    done = ev.AttemptFinished(
        "r", 1006.0, "t0", 1, "succeeded", result=AttemptResult(0), output={"a": [1]}
    )
    took = ev.OwnershipTaken("r", 1000.0, "scheduler", 1, "boot-1")
    return (took, *started, ev.AttemptStarted("r", 1004.0, "again", 1), failed, done)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run with a checkpoint in the middle of its journal."""
    run = submit(state_folder(tmp_path), WORKFLOW)
    state = State(slots=5, capacity=CAPACITY)
    events, position = recover(run.journal, "r")
    replay(state, run, events)
    journal = Journal(run.journal, position)
    for number, event in enumerate(facts()):
        apply(state, event)
        journal.add(event)
        journal.commit()
        if number == 4:
            save(run, journal.position, snapshot(state, "r"))
    journal.close()
    return run


def replayed(run: RunDir) -> Dict[str, Any]:
    state = State(slots=5, capacity=CAPACITY)
    replay(state, run, JournalReader(run.journal, "r").read())
    return picture(state)


def recovered(run: RunDir) -> Tuple[Dict[str, Any], int]:
    """The state of the next owner, and the number of records that it replayed.

    A reader that is not an owner has the same state.
    """
    known, count = _recovered(run)
    state = State(slots=5, capacity=CAPACITY)
    read_run(state, run)
    assert picture(state) == known
    return known, count


def _recovered(run: RunDir) -> Tuple[Dict[str, Any], int]:
    checkpoint = load(run)
    state = State(slots=5, capacity=CAPACITY)
    if checkpoint is not None:
        events, _ = recover(run.journal, "r", checkpoint.position)
        if replay_from_checkpoint(state, run, checkpoint, events):
            return picture(state), len(events)
        assert picture(state) == picture(State(slots=5, capacity=CAPACITY))
    events, _ = recover(run.journal, "r")
    replay(state, run, events)
    return picture(state), len(events)


def test_control_valid_checkpoint_shortens_the_replay(run: RunDir) -> None:
    """The negative control of all tests here: a valid checkpoint is used."""
    assert recovered(run) == (replayed(run), 2)
    run.checkpoint.unlink()
    assert recovered(run) == (replayed(run), 8)


def test_10_flipped_bit_makes_a_checkpoint_unused(run: RunDir) -> None:
    whole, expected = run.checkpoint.read_bytes(), replayed(run)
    flips = 0
    for place in range(len(whole) - 1):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            run.checkpoint.write_bytes(damaged)
            assert load(run) is None, (place, bit)
            flips += 1
    assert flips == 8 * (len(whole) - 1)
    assert recovered(run) == (expected, 8)


def test_11_missing_or_empty_checkpoint_replays_the_journal(run: RunDir) -> None:
    expected = replayed(run)
    for content in (b"", b"\0" * 4096, b"{}\n", b"garbage"):
        run.checkpoint.write_bytes(content)
        assert recovered(run) == (expected, 8)


def test_23_kill_at_any_byte_of_a_checkpoint_keeps_the_state(run: RunDir) -> None:
    whole, expected = run.checkpoint.read_bytes(), replayed(run)
    draft = run.path / "checkpoint.json.new"
    for cut in range(0, len(whole) - 1, 7):
        # Killed in the middle of the next one: the one before counts.
        draft.write_bytes(whole[:cut])
        assert recovered(run) == (expected, 2)
        # A rename that came to the disk before the bytes did.
        run.checkpoint.write_bytes(whole[:cut])
        assert recovered(run) == (expected, 8)
        run.checkpoint.write_bytes(whole)


FALSE = {
    "newer": lambda record: {**record, "v": 2},
    "of another version": lambda record: {**record, "version": "0.0.1"},
    "of other fields": lambda record: {**record, "fields": "status"},
    "of a longer journal": lambda record: {**record, "length": 1 << 20},
    "of a shorter journal": lambda record: {**record, "length": 10},
    "of no length": lambda record: {**record, "length": None},
    "of other bytes": lambda record: {**record, "sum": 1},
    "of another last record": lambda record: {**record, "last": "00000000"},
    "of other tasks": lambda record: {**record, "state": with_task(record, "x")},
    "without a state": lambda record: {**record, "state": []},
}


def with_task(record: Dict[str, Any], name: str) -> Dict[str, Any]:
    return {**record["state"], "tasks": {name: {"status": "running"}}}


@pytest.mark.parametrize("why", FALSE)
def test_10_checkpoint_of_another_run_or_position_is_not_used(
    run: RunDir, why: str
) -> None:
    record = json.loads(run.checkpoint.read_bytes())
    del record["crc"]
    run.checkpoint.write_bytes(seal(json.dumps(FALSE[why](record)))[0])
    assert recovered(run) == (replayed(run), 8)


@pytest.mark.parametrize("record", [1, 2, 5])
def test_10_damage_before_the_checkpoint_is_found(run: RunDir, record: int) -> None:
    lines = run.journal.read_bytes().splitlines(keepends=True)
    lines[record - 1] = lines[record - 1].replace(b'"at":1', b'"at":2')
    run.journal.write_bytes(b"".join(lines))
    with pytest.raises(JournalDamaged, match=f"record {record}:"):
        recovered(run)
    with pytest.raises(JournalDamaged, match=f"record {record}:"):
        read_run(State(slots=5, capacity=CAPACITY), run)


@pytest.mark.parametrize("tasks", [498, 499])
@in_a_loop
async def test_end_of_a_large_run_writes_a_checkpoint(
    tmp_path: Path, tasks: int
) -> None:
    run = submit(
        state_folder(tmp_path), a_workflow(*(task(f"t{n}") for n in range(tasks)))
    )
    house = Household(run.state, clock=HandClock(), slots=1)
    await house.scheduler.acquire_run("r")
    for number in range(tasks):
        house.executor.end(f"t{number}")
    assert run.journal.read_bytes().count(b"\n") == 2 * tasks + 3
    assert run.checkpoint.exists() == (2 * tasks + 3 >= END_RECORDS_MIN)
    assert replayed(run) == recovered(run)[0]
    house.scheduler.close()


@in_a_loop
async def test_checkpoint_is_written_as_its_policy_says(tmp_path: Path) -> None:
    folder, clock = state_folder(tmp_path), HandClock()
    run = submit(folder, a_workflow(*(task(f"t{n}") for n in range(100))))
    house = Household(folder, clock=clock, slots=1)
    await house.scheduler.acquire_run("r")
    ended = 0

    def end(count: int) -> None:
        nonlocal ended
        for _ in range(count):
            house.executor.end(f"t{ended}")
            ended += 1

    end(RECORDS_MIN)
    assert not run.checkpoint.exists()
    clock.time += 30
    end(1)
    first = run.checkpoint.read_bytes()
    end(5)
    clock.time += 30
    end(1)
    assert run.checkpoint.read_bytes() == first, "too little was written since"
    before = picture(house.scheduler.state)
    house.scheduler.close()
    checkpoint = load(run)
    assert checkpoint is not None
    assert checkpoint.position.seq > RECORDS_MIN
    second = Household(folder, clock=clock, slots=1)
    second.executor.found[f"t{ended}"] = adopted
    await second.scheduler.acquire_run("r")
    assert picture(second.scheduler.state) == before


def test_checkpoint_that_cannot_be_written_is_ignored(run: RunDir) -> None:
    run.checkpoint.unlink()
    (run.path / "checkpoint.json.new").mkdir()
    save(run, JournalReader(run.journal, "r").position, {})
    assert load(run) is None
