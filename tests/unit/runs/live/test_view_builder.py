"""What fills the rows of a view: rates, expected ends, stages, unmet dependencies."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Dict, List, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.engine import events as ev
from provctl.core.model.attempt_result import AttemptResult
from provctl.core.model.graph import stages
from provctl.render.live.layout import render
from provctl.runs.history.estimates import DurationEstimator
from provctl.runs.live.stage_counts import StageCounts
from provctl.runs.live.view_builder import ViewBuilder
from tests.support.engine_driver import Dialogue
from tests.support.run_folders import append, state_folder, submit
from tests.support.workflows import a_workflow, group, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.engine.view import TaskView
    from provctl.core.model.workflow import Task
    from provctl.storage.layout import StateDir


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watch:
    """A run of the tasks `a` and `b`, which depends on it, and its views."""

    def __init__(self, folder: StateDir, *, retold: bool = False) -> None:
        self.dialogue = Dialogue()
        self.dialogue.submit(a_workflow(task("a"), task("b", ["a"])))
        self.clock = Clock()
        self.folder = folder
        folder.run("r").attempts.mkdir(parents=True)
        self.pictures = ViewBuilder(folder, self.clock, retold=retold)

    def says(self, line: str, at: float) -> TaskView:
        """Write to the log of `a`; return its row."""
        with folder_log(self.folder).open("a") as log:
            log.write(f"{line}\n")
        return self.rows(at)["a"]

    def rows(self, at: float) -> Dict[str, TaskView]:
        self.clock.now = at
        picture = self.pictures.live_view(self.dialogue.r, 24)
        filled = (self.pictures.enrich_row(picture, row) for row in picture.tasks)
        return {row.id: row for row in filled}

    def end(self, at: float) -> Optional[float]:
        self.clock.now = at
        return self.pictures.live_view(self.dialogue.r, 24).expected_end


def folder_log(folder: StateDir) -> Path:
    return folder.run("r").log_of(0, 1)


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    return state_folder(tmp_path)


def test_rate_of_parts_is_in_parts_per_second(folder: StateDir) -> None:
    watch = Watch(folder)
    row = watch.says("PROGRESS: 20/200 copying", at=1010)
    assert (row.rate, row.progress.percent, row.progress.whole) == (2.0, 10.0, 200)
    assert watch.says("PROGRESS: 80/200", at=1020).rate == 4.0


def test_rate_of_percent_is_in_percent_per_second(folder: StateDir) -> None:
    watch = Watch(folder)
    assert watch.says("PROGRESS: 5", at=1010).rate == 0.5


def test_rate_is_recent_and_restarts_after_a_reset(folder: StateDir) -> None:
    watch = Watch(folder)
    watch.says("PROGRESS: 50", at=1010)
    for at in range(1015, 1060, 5):
        stalled = watch.rows(at)["a"]
    assert stalled.rate is None
    assert watch.says("PROGRESS: 10", at=1070).rate is None
    assert watch.says("PROGRESS: 30", at=1080).rate == 2.0


def test_replay_uses_neither_logs_nor_processes(
    folder: StateDir,
) -> None:
    watch = Watch(folder, retold=True)
    row = watch.says("PROGRESS: 50", at=1010)
    assert (row.progress.percent, row.rate, row.rss_bytes) == (None, None, None)


def test_waiting_task_names_its_dependencies(folder: StateDir) -> None:
    watch = Watch(folder)
    assert watch.rows(1001)["b"].waits_for == ("a",)
    many = [task(f"t{n}") for n in range(5)]
    last = task("last", [each.id for each in many])
    watch.dialogue = Dialogue()
    watch.dialogue.submit(a_workflow(*many, last))
    watch.dialogue.hear("t0 exits 0")
    row = watch.rows(1002)["last"]
    assert (row.waits_for, row.waits_more) == (("t1", "t2"), 2)


def test_expected_end_of_a_run_follows_from_its_progress(folder: StateDir) -> None:
    watch = Watch(folder)
    assert watch.end(1010) is None
    watch.says("PROGRESS: 50", at=1010)
    assert watch.end(1010) == 1040.0  # a quarter of two tasks in ten seconds
    watch.dialogue.hear("cancel")
    assert watch.end(1010) is None


def test_run_is_not_expected_to_end_before_its_tasks(folder: StateDir) -> None:
    watch = Watch(folder)
    watch.dialogue = Dialogue()
    quick = [task(f"t{n}") for n in range(19)]
    watch.dialogue.submit(a_workflow(task("a"), *quick))
    for each in quick:
        watch.dialogue.hear(f"{each.id} exits 0")
    assert watch.end(1010) == pytest.approx(1010 + 10 / 19)
    watch.says("PROGRESS: 10", at=1010)
    assert watch.end(1010) == 1100.0


def test_log_tail_of_a_failed_task_leaves_out_progress(
    folder: StateDir,
) -> None:
    watch = Watch(folder)
    watch.says("Error: quota exceeded", at=1001)
    watch.says("PROGRESS: 10", at=1001)
    watch.says("PROGRESSION is no progress", at=1001)
    watch.dialogue.hear("a exits 1")
    tail = watch.rows(1002)["a"].log_tail
    assert tail == ("Error: quota exceeded", "PROGRESSION is no progress")


# --- stages -------------------------------------------------------------------------


def test_counts_by_stage_include_the_next_tasks() -> None:
    dialogue = Dialogue(slots=2)
    wide = [task(f"w{n}", ["first"]) for n in range(4)]
    dialogue.submit(
        a_workflow(task("last", [w.id for w in wide]), *wide, task("first"))
    )
    levels = StageCounts(dialogue.r)
    levels.refresh(1000.0)
    assert levels.counts == ({"running": 1}, {"waiting": 4}, {"waiting": 1})
    assert levels.next_up == ["w0", "w1", "w2", "w3", "last"]
    dialogue.hear("first exits 0")
    levels.refresh(1000.1)
    assert levels.counts[0] == {"running": 1}, "too early to look again"
    levels.refresh(1001.0)
    assert levels.counts == (
        {"succeeded": 1},
        {"running": 2, "ready": 2},
        {"waiting": 1},
    )
    assert levels.next_up == ["w2", "w3", "last"]


def all_looked_at(levels: StageCounts) -> StageCounts:
    for second in range(10_000):
        levels.refresh(1000.0 + second)
        if levels.next_up:
            return levels
    raise AssertionError(levels)


@st.composite
def graphs(draw: st.DrawFn) -> List[Task]:
    """Tasks and nested workflows that depend on each other, in any order."""
    names = [f"t{n}" for n in range(draw(st.integers(1, 8)))]
    order = draw(st.permutations(names))
    found: List[Task] = []
    for name in names:
        before = order[: order.index(name)]
        needs = draw(st.sets(st.sampled_from(before))) if before else set()
        inner = draw(st.integers(-3, 3))
        if inner < 0:
            found.append(task(name, sorted(needs)))
            continue
        found.append(group(name, sorted(needs)))
        for k in range(inner):
            inside = [f"{name}/c{j}" for j in range(k) if draw(st.booleans())]
            found.append(task(f"{name}/c{k}", inside))
        found += draw(finalizers(f"{name}/"))
    return [*found, *draw(finalizers(""))]


@st.composite
def finalizers(draw: st.DrawFn, prefix: str) -> List[Task]:
    """Up to two of a level, of which the second may need the first."""
    names = [f"{prefix}f{k}" for k in range(draw(st.integers(0, 2)))]
    needs = [names[:k] if draw(st.booleans()) else [] for k in range(len(names))]
    return [task(name, n, finalizer=True) for name, n in zip(names, needs)]


@given(graphs())
def test_stages_are_those_of_the_graph(tasks: List[Task]) -> None:
    workflow = a_workflow(*tasks)
    dialogue = Dialogue(slots=1)
    dialogue.submit(workflow)
    levels = StageCounts(dialogue.r)
    levels.refresh(1000.0)
    states = [[t.id for t in stage] for stage in stages(workflow.tasks)]
    expected = [Counter(dialogue.task(name).counted_as for name in s) for s in states]
    assert list(levels.counts) == [dict(each) for each in expected]


@pytest.mark.parametrize("shape", ["fan", "join", "deep"])
def test_stages_of_a_large_run_are_computed_in_steps(shape: str) -> None:
    names = [f"t{n}" for n in range(50_000)]
    before: Dict[str, Any] = {"fan": {}, "join": {"t0": names[1:]}}.get(shape, {})
    if shape == "deep":
        before = {name: [last] for last, name in zip(names, names[1:])}
    dialogue = Dialogue(slots=1)
    dialogue.submit(a_workflow(*(task(name, before.get(name, [])) for name in names)))
    levels = StageCounts(dialogue.r)
    levels.refresh(1000.0)
    at_first = levels.counts
    assert at_first == ()
    assert levels.next_up == []
    all_looked_at(levels)
    sizes = [sum(counts.values()) for counts in levels.counts]
    assert sizes == {"fan": [50_000], "join": [49_999, 1], "deep": []}[shape]


def test_only_visible_rows_of_ten_thousand_tasks_are_built(
    folder: StateDir,
) -> None:
    watch = Watch(folder)
    watch.dialogue = Dialogue(slots=100)
    watch.dialogue.submit(a_workflow(*(task(f"t{n}") for n in range(10_000))))
    watch.dialogue.hear("t7 exits 1")
    picture = next(
        picture
        for picture in (
            watch.pictures.live_view(watch.dialogue.r, 24) for _ in range(1000)
        )
        if picture.stages
    )
    assert len(picture.tasks) == 24
    frame = render(
        picture, now=1001.0, width=80, height=24, fill=watch.pictures.enrich_row
    )
    lines = ["".join(text for text, _ in line) for line in frame.lines]
    assert len(lines) == 24
    assert any(line.startswith("✗ t7") for line in lines)
    assert sum(line.startswith("▶ t") for line in lines) > 15
    assert lines[-2:] == [
        "… 81 running",
        "  stage 1  ──────── 1/10000  100 running  1 failed  9899 ready",
    ]


# --- what earlier runs say -----------------------------------------------------------


def ended(
    folder: StateDir, run: str, at: float, took_s: float, chatter: int = 0
) -> None:
    """Write a run of the task `a` to disk with this start and duration.

    `chatter` is how many times 100 kB of progress it reported.
    """
    said = ev.ProgressReported(run, at, "a", 1, 50.0, "x" * 100_000)
    events: List[ev.Event] = [
        ev.AttemptStarted(run, at, "a", 1),
        *[said] * chatter,
        ev.AttemptFinished(
            run,
            at + took_s,
            "a",
            1,
            "succeeded",
            result=AttemptResult(0, started_at=at, finished_at=at + took_s),
        ),
        ev.RunFinished(run, at + took_s, "succeeded"),
    ]
    append(submit(folder, a_workflow(task("a")), run, at=at), events)


def test_history_predicts_the_end_and_marks_slow_tasks(folder: StateDir) -> None:
    for number in range(6):
        ended(folder, f"r{number}", 100.0 + 50 * number, 10.0 + number)
    watch = Watch(folder)
    watch.rows(1001)
    for _ in range(3):
        watch.pictures.load_history()
    row = watch.rows(1001)["a"]
    assert row.expected_end == 1012.5
    assert not row.slow
    assert watch.end(1001) == 1012.5
    assert watch.rows(1020)["a"].slow


def test_later_runs_are_not_used_as_history(folder: StateDir) -> None:
    for number in range(6):
        ended(folder, f"r{number}", 990.0, 20.0)
    watch = Watch(folder)
    watch.rows(1001)
    for _ in range(3):
        watch.pictures.load_history()
    row = watch.rows(1100)["a"]
    assert (row.expected_end, row.slow) == (None, False)


def test_only_complete_runs_of_large_journals_are_used(folder: StateDir) -> None:
    ended(folder, "large", 100.0, 10.0, chatter=50)
    run = Watch(folder).dialogue.r
    estimator = DurationEstimator(folder)
    while estimator.load_history([run]):
        continue
    whole = estimator.stats(run)
    assert whole is not None
    assert whole.p50_s == 10.0
    assert estimator.stats(run, "a") is None


def test_history_of_many_runs_is_read_in_steps(folder: StateDir) -> None:
    for number in range(4):
        ended(folder, f"r{number}", 100.0 + number, 10.0, chatter=1)
    run = Watch(folder).dialogue.r
    estimator = DurationEstimator(folder)
    steps = 0
    while estimator.load_history([run]):
        steps += 1
    assert steps == 3, "to know them, then two to read them"
    pace = estimator.stats(run, "a")
    assert pace is not None
    assert pace.succeeded == 4
