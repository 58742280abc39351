"""Pictures of runs: how they look, and that they always fit."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from provctl.core.engine.view import Progress, RunView, TaskView
from provctl.core.model.attempt_result import AttemptResult
from provctl.render.live.layout import render, render_many
from tests.support.run_views import done, failed, run_of, running, waiting
from tests.support.screens import plain_text

if TYPE_CHECKING:
    from provctl.render.live.frame import Frame

Golden = Callable[[str, str], None]

CREATING = run_of(
    running("server-1", 20, "reserving an address"),
    running("server-2", 65.5, "creating disk 2 of 3", started_at=1003.5),
    running("server-3", 100, "booting"),
    replace(
        running("server-4", 0, "waiting for the API", attempt=2, attempts=3),
        progress=Progress(None, "waiting for the API"),
    ),
    TaskView("server-5", "running", attempt=1, started_at=1011.8),
    waiting("kubernetes"),
    waiting("apps"),
)
ENDED_WELL = run_of(
    *(done(f"server-{i}", 10.0 + i) for i in range(1, 6)),
    done("kubernetes", 312.0),
    done("apps", 0.42),
    status="finished",
    outcome="succeeded",
    finished_at=1327.0,
)
ENDED_BADLY = run_of(
    done("server-1"),
    failed(
        "server-2",
        "creating disk 1 of 3",
        "creating disk 2 of 3",
        "Error: quota exceeded",
        "  limit: 2 disks in es-mad1",
        "  ask support to raise it",
        attempts=3,
        attempt=3,
    ),
    failed("server-3", result=AttemptResult(signal=9), reason="out of memory"),
    replace(failed("server-4", result=AttemptResult()), outcome="timed_out"),
    TaskView("apps", "finished", outcome="skipped", reason="server-2 failed"),
    status="finished",
    outcome="failed",
    finished_at=1065.0,
)
UNCERTAIN = run_of(
    done("server-1"),
    TaskView(
        "server-2",
        "held",
        outcome="lost",
        attempt=1,
        started_at=1000.0,
        reason="its supervisor died",
    ),
    waiting("kubernetes"),
    status="held",
)
NESTED = run_of(
    done("network"),
    TaskView("cluster", "running", started_at=1004.0),
    done("cluster/etcd"),
    TaskView("cluster/nodes", "running", started_at=1005.0),
    running("cluster/nodes/worker-1", 50, "joining"),
    waiting("cluster/nodes/worker-2"),
    waiting("apps"),
)
THOUSAND = run_of(
    *(done(f"shard-{i}") for i in range(300)),
    failed("shard-300", "disk full"),
    *(running(f"shard-{i}", i % 100, "copying") for i in range(301, 309)),
    TaskView(
        "shard-309",
        "retrying",
        result=AttemptResult(75),
        attempt=1,
        attempts=3,
        started_at=1000.0,
        finished_at=1001.0,
        retry_at=1017.0,
    ),
    *(waiting(f"shard-{i}") for i in range(310, 1000)),
)
ROLLING_BACK = run_of(
    TaskView("network", "waiting", purpose="undo", has_undo=True),
    running("web-1", 50, "stopping web-1", purpose="undo", has_undo=True),
    replace(done("web-2"), outcome="undone", purpose="undo", has_undo=True),
    done("log"),
    failed("apps", result=AttemptResult(3), reason="exit code 3"),
    TaskView(
        "dns",
        "finished",
        outcome="skipped",
        reason="apps failed, and the run is rolled back",
    ),
    status="rolling_back",
)
STANDING = run_of(
    replace(
        done("network"),
        purpose="undo",
        has_undo=True,
        reason="the undo of web-1 failed",
    ),
    failed("web-1", "no such server", outcome="undo_failed", purpose="undo"),
    replace(done("web-2"), outcome="undone", purpose="undo", has_undo=True),
    done("log"),
    failed("apps", result=AttemptResult(3), reason="exit code 3"),
    status="finished",
    outcome="rollback_failed",
    finished_at=1065.0,
)
AT_WORK = run_of(
    replace(
        done("image", 40.0),
        result=AttemptResult(cpu_s=31.5, max_rss_bytes=700 << 20),
        started_at=960.0,
    ),
    replace(
        running("server-1", 20, "reserving an address"),
        expected_end=1061.5,
        rate=1.7,
        cpu_percent=3.2,
        rss_bytes=45 << 20,
    ),
    replace(
        running("server-2", 65.5, "disk 2 of 3", attempt=2, attempts=3),
        progress=Progress(66.6, "disk", 2, 3),
        expected_end=1014.2,
        rate=0.016,
        cpu_percent=187.0,
        rss_bytes=int(1.5 * (1 << 30)),
    ),
    TaskView(
        "server-3",
        "running",
        attempt=1,
        started_at=700.0,
        slow=True,
        cpu_percent=0.0,
        rss_bytes=3_400_000,
    ),
    replace(
        failed("server-4", "Error: quota exceeded"),
        result=AttemptResult(1, cpu_s=0.31, max_rss_bytes=9 << 20),
    ),
    replace(waiting("kubernetes"), waits_for=("server-1", "server-2"), waits_more=1),
    replace(waiting("apps"), waits_for=("kubernetes",)),
    TaskView("page", "ready"),
    expected_end=1133.0,
)
# The stages of a long migration, of which one is at work.
STAGES = (
    {"succeeded": 40},
    {"succeeded": 59, "skipped": 1},
    {"running": 2, "succeeded": 120, "failed": 1, "waiting": 0},
    {"running": 40, "retrying": 1, "held": 1, "waiting": 210, "succeeded": 30},
    *({"waiting": 10} for _ in range(12)),
)
MIGRATING = run_of(
    failed("shard-30", "disk full"),
    TaskView("shard-31", "held", outcome="lost", attempt=1, started_at=1000.0),
    *(
        replace(
            running(f"shard-{i}", i % 100, "copying", started_at=1000.0 - i),
            expected_end=1000.0 + i,
            rate=12.5,
        )
        for i in range(40, 80)
    ),
    replace(waiting("index-1"), waits_for=("shard-30", "shard-31"), waits_more=98),
    total=625,
    counts={
        "running": 42,
        "retrying": 1,
        "held": 1,
        "failed": 1,
        "waiting": 330,
        "succeeded": 249,
        "skipped": 1,
    },
    stages=STAGES,
    expected_end=4000.0,
)
FROZEN = run_of(
    done("network"),
    running("web-1", 40, "copying the image", frozen=True),
    TaskView("web-2", "running", attempt=1, started_at=1003.5, frozen=True),
    waiting("apps"),
    status="paused",
)

SCREENS: Dict[str, Tuple[RunView, Dict[str, Any]]] = {
    "creating": (CREATING, {}),
    "ended-well": (ENDED_WELL, {}),
    "ended-badly": (ENDED_BADLY, {}),
    "narrow": (CREATING, {"width": 40}),
    "narrow-ended-badly": (ENDED_BADLY, {"width": 40}),
    "ascii": (CREATING, {"ascii_only": True}),
    "ascii-ended-badly": (ENDED_BADLY, {"ascii_only": True, "width": 60}),
    "thousand-tasks": (THOUSAND, {}),
    "nested": (NESTED, {}),
    "nested-folded": (NESTED, {"height": 6}),
    "held": (UNCERTAIN, {}),
    "rolling-back": (ROLLING_BACK, {}),
    "rollback-failed": (STANDING, {}),
    "frozen": (FROZEN, {}),
    "one-line": (CREATING, {"height": 1}),
    "at-work": (AT_WORK, {}),
    "at-work-wide": (AT_WORK, {"width": 120}),
    "at-work-narrow": (AT_WORK, {"width": 60}),
    "at-work-very-narrow": (AT_WORK, {"width": 40}),
    "at-work-ascii": (AT_WORK, {"ascii_only": True}),
    "stages": (MIGRATING, {}),
    "stages-low": (MIGRATING, {"height": 8}),
    "stages-very-low": (MIGRATING, {"height": 4}),
    "stages-narrow": (MIGRATING, {"width": 40}),
    "stages-ended": (
        replace(
            MIGRATING,
            status="finished",
            outcome="succeeded",
            finished_at=1100.0,
            tasks=(),
            counts={"succeeded": 625},
            stages=({"succeeded": 300}, {"succeeded": 325}),
            expected_end=None,
        ),
        {},
    ),
}


@pytest.mark.parametrize("name", SCREENS)
def test_screen_matches_its_golden_file(name: str, golden: Golden) -> None:
    view, settings = SCREENS[name]
    settings = {"width": 80, "height": 24, **settings}
    frame = render(view, now=1012.0, **settings)
    golden(f"ui/{name}.txt", plain_text(frame, width=settings["width"]))


@pytest.mark.parametrize(("name", "height"), [("batch", 24), ("batch-low", 10)])
def test_batch_screen_matches_its_golden_file(
    name: str, height: int, golden: Golden
) -> None:
    runs = [CREATING, replace(ENDED_BADLY, id="01J8ZQ9F2M", name="edge")]
    frame = render_many(runs, now=1012.0, width=80, height=height)
    golden(f"ui/{name}.txt", plain_text(frame))


def test_large_batch_shows_the_running_runs(golden: Golden) -> None:
    queued = [
        run_of(waiting("a"), id=f"q{i}", name="later", status="queued", started_at=None)
        for i in range(30)
    ]
    runs = [*queued, CREATING, replace(ENDED_WELL, id="01J8ZQ9F2M")]
    frame = render_many(runs, now=1012.0, width=80, height=8)
    golden("ui/batch-large.txt", plain_text(frame))


def test_large_runs_of_a_batch_share_the_screen(golden: Golden) -> None:
    runs = [MIGRATING, replace(MIGRATING, id="01J8ZQ9F2M", name="edge"), AT_WORK]
    frame = render_many(runs, now=1012.0, width=100, height=40)
    golden("ui/batch-shared.txt", plain_text(frame, width=100))


def test_only_visible_rows_are_filled() -> None:
    filled: List[str] = []

    def fill(view: RunView, task: TaskView) -> TaskView:
        filled.append(task.id)
        return replace(task, progress=Progress(1, f"of {view.id}"))

    frame = render(THOUSAND, now=1012.0, width=80, height=8, fill=fill)
    text = plain_text(frame)
    assert len(filled) == 5
    assert all(name in text for name in filled)
    assert text.count("of 01J8ZQ4T6K") == 4


def test_failures_are_shown_even_if_the_running_tasks_do_not_fit() -> None:
    tasks = [running(f"r{n}", 1, "", started_at=2000.0 - n) for n in range(100)]
    view = run_of(*tasks, *(failed(f"f{n}") for n in range(9)))
    lines = plain_text(render(view, now=2012.0, width=80, height=12)).splitlines()
    shown = [line.split()[1] for line in lines[2:-1]]
    assert shown == ["r94", "r95", "r96", "r97", "r98", "r99", "f0", "f1", "f2"]
    assert lines[-1] == "… 94 running, 6 failed"


def test_all_tasks_are_shown_in_file_order_if_they_fit() -> None:
    tasks = [waiting("z"), running("b", 1, ""), done("a"), failed("c")]
    text = plain_text(render(run_of(*tasks), now=1012.0, width=80, height=6))
    assert [line.split()[1] for line in text.splitlines()[2:]] == ["z", "b", "a", "c"]


def test_rows_left_out_by_the_caller_are_counted() -> None:
    view = run_of(running("a", 1, ""), total=51, counts={"running": 1, "waiting": 50})
    text = plain_text(render(view, now=1012.0, width=80, height=24))
    assert text.splitlines()[3] == "… 50 waiting"


def test_elapsed_time_increases_only_for_running_tasks() -> None:
    view = run_of(TaskView("a", "running", attempt=1, started_at=1000.0), done("b"))

    def times(now: float) -> list[str]:
        lines = plain_text(render(view, now=now, width=80, height=9)).splitlines()
        return [line.split()[2] for line in lines[2:]]

    assert times(1002.0) == ["2s", "4s"]
    assert times(1065.0) == ["1m05s", "4s"]


def _colours(view: RunView, **console: Any) -> str:
    out = io.StringIO()
    Console(
        file=out, force_terminal=True, legacy_windows=False, width=80, **console
    ).print(render(view, now=1012.0, width=80, height=24))
    return out.getvalue()


def test_colours_are_used_unless_disabled() -> None:
    red, green = "\x1b[31m", "\x1b[32m"
    coloured = _colours(ENDED_BADLY, color_system="standard", _environ={})
    assert red in coloured
    assert green in coloured
    bare = _colours(ENDED_BADLY, color_system="standard", _environ={"NO_COLOR": "1"})
    assert red not in bare
    assert green not in bare


# --- whatever comes, it fits ----------------------------------------------------

STATUSES = ["waiting", "ready", "running", "retrying", "held", "finished", "novel"]
OUTCOMES = [
    None,
    *("succeeded", "failed", "cancelled", "timed_out", "lost", "interrupted"),
    *("skipped", "novel"),
]
HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;aGk=\x07",
    "\x9b2J",
    "a\tb\r\nc\u2028d",
    "\u202eevil\u2066",
    "漢字" * 30,
    "e" + "\u0301" * 400,
    "👨\u200d👩\u200d👧 ✔\ufe0f",
    "\ud800",
    "[bold]no markup[/bold] :smile:",
    "x" * 5000,
]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))
times = st.none() | st.floats(0, 1e10)
counts = st.integers(0, 5)
amounts = st.none() | st.floats(0, 1e15)
tasks = st.builds(
    TaskView,
    id=st.one_of(texts, st.sampled_from(["a", "a/b", "a/b/c", "/", "a//b", ""])),
    status=st.sampled_from(STATUSES),
    outcome=st.sampled_from(OUTCOMES),
    attempt=counts,
    attempts=counts,
    result=st.builds(
        AttemptResult,
        exit_code=st.none() | st.integers(-1, 255),
        signal=st.none() | st.integers(0, 70),
        cpu_s=st.floats(0, 1e9),
        max_rss_bytes=st.integers(0, 1 << 50),
    ),
    started_at=times,
    finished_at=times,
    retry_at=times,
    reason=texts,
    stopping=st.booleans(),
    progress=st.builds(
        Progress, st.none() | st.floats(0, 100), texts, amounts, amounts
    ),
    log_tail=st.lists(texts, max_size=6).map(tuple),
    rate=amounts,
    expected_end=times,
    slow=st.booleans(),
    cpu_percent=amounts,
    rss_bytes=st.none() | st.integers(0, 1 << 50),
    waits_for=st.lists(texts, max_size=2).map(tuple),
    waits_more=counts,
)
runs = st.builds(
    RunView,
    id=texts,
    name=texts,
    status=st.sampled_from(["queued", "running", "cancelling", "held", "finished"]),
    outcome=st.sampled_from(OUTCOMES),
    started_at=times,
    finished_at=times,
    total=st.integers(0, 50),
    counts=st.none() | st.dictionaries(st.sampled_from(STATUSES), counts),
    tasks=st.lists(tasks, max_size=12).map(tuple),
    stages=st.lists(
        st.dictionaries(st.sampled_from([*STATUSES, "succeeded"]), counts), max_size=40
    ).map(tuple),
    expected_end=times,
)
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
widths = st.integers(1, 120)
heights = st.integers(1, 30)


def assert_fits(frame: Frame, width: int, height: int, *, ascii_only: bool) -> None:
    lines = ["".join(text for text, _ in line) for line in frame.lines]
    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    everything = "".join(lines)
    assert not OBEYED.search(everything)
    assert everything.isascii() or not ascii_only
    everything.encode("utf-8")
    assert plain_text(frame, width=width).count("\n") == len(lines)


@given(runs, widths, heights, st.booleans())
def test_every_picture_fits_the_screen(
    view: RunView, width: int, height: int, ascii_only: bool
) -> None:
    frame = render(view, now=5e9, width=width, height=height, ascii_only=ascii_only)
    assert_fits(frame, width, height, ascii_only=ascii_only)


@given(st.lists(runs, max_size=5), widths, heights, st.booleans())
def test_every_picture_of_a_batch_fits_the_screen(
    views: list[RunView], width: int, height: int, ascii_only: bool
) -> None:
    frame = render_many(
        views, now=5e9, width=width, height=height, ascii_only=ascii_only
    )
    assert_fits(frame, width, height, ascii_only=ascii_only)
