"""Views over time: what is printed or drawn as runs change, and what remains."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Callable, List, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import ConsoleDimensions

from provctl.core.engine.view import TaskView
from provctl.render.live.layout import render
from provctl.render.live.painter import Painter
from provctl.render.live.terminal_input import Position
from provctl.render.live.view import LiveView
from provctl.render.plain_view import PlainView, choose_view
from tests.support.run_views import done, failed, run_of, running, waiting
from tests.support.screens import Screen, console, plain_text

if TYPE_CHECKING:
    from provctl.core.engine.view import RunView
    from provctl.render.live.frame import Line

Golden = Callable[[str, str], None]


class Clock:
    """Seconds since the epoch, set by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Vanished(io.StringIO):
    """A terminal whose connection is lost."""

    attempts = 0

    def write(self, text: str) -> int:
        self.attempts += 1
        raise OSError(5, "Input/output error")


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


# --- which one ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "chosen"),
    [
        ({"TERM": "xterm-256color"}, "live"),
        ({}, "live"),
        ({"CI": "false"}, "live"),
        ({"CI": "true"}, "plain"),
        ({"CI": "1"}, "plain"),
        ({"TERM": "dumb"}, "plain"),
        ({"CI": "true", "GITHUB_ACTIONS": "true"}, "group"),
        ({"CI": "true", "GITLAB_CI": "true"}, "group"),
        ({"GITLAB_CI": "false"}, "live"),
    ],
)
def test_view_is_chosen_by_the_environment_of_a_terminal(
    environ: dict[str, str], chosen: str
) -> None:
    assert choose_view(Tty(), environ) == chosen


def test_view_without_a_terminal_is_plain_or_group() -> None:
    assert choose_view(io.StringIO(), {"TERM": "xterm"}) == "plain"
    assert choose_view(io.StringIO(), {"GITHUB_ACTIONS": "true"}) == "group"


# --- plain ----------------------------------------------------------------------


def test_plain_prints_a_run_from_start_to_end(clock: Clock, golden: Golden) -> None:
    out = io.StringIO()
    a, b, c = waiting("server-1"), waiting("server-2"), waiting("kubernetes")
    with PlainView(out, now=clock) as view:
        view.update([run_of(a, b, c)])
        a = running("server-1", 0, "")
        view.update([run_of(a, b, c)])
        a, b = running("server-1", 50, "half way"), running("server-2", 1, "")
        view.update([run_of(a, b, c)])
        b = TaskView("server-2", "retrying", attempt=1, attempts=2, retry_at=1030.0)
        view.update([run_of(a, b, c)])
        a, b = done("server-1"), running("server-2", 0, "", attempt=2, attempts=2)
        view.update([run_of(a, b, c, status="cancelling")])
        b = failed("server-2", "Error: quota exceeded", attempt=2)
        c = TaskView("kubernetes", "finished", outcome="cancelled")
        end = {"status": "finished", "outcome": "cancelled", "finished_at": 1065.0}
        view.close([run_of(a, b, c, **end)])
    golden("ui/plain-account.txt", out.getvalue())


def test_plain_prints_the_failure_before_the_rollback(clock: Clock) -> None:
    out = io.StringIO()
    view = PlainView(out, now=clock)
    a, b = done("a"), running("b", 0, "")
    view.update([run_of(a, b)])
    a = replace(a, status="running", outcome=None, purpose="undo", finished_at=None)
    view.update([run_of(a, failed("b"), status="rolling_back")])
    title = "run 01J8ZQ4T6K (multi-cloud-deployment)"
    assert out.getvalue().splitlines()[3:] == [
        "b  failed after 12s: exit code 1",
        f"{title} is rolling back: 1 running, 1 failed",
        "a  undo started",
    ]


def test_plain_prints_nothing_twice_and_no_progress(clock: Clock) -> None:
    out = io.StringIO()
    view = PlainView(out, now=clock)
    view.update([run_of(running("a", 1, ""))])
    said = out.getvalue()
    view.update([run_of(running("a", 2, "further"))])
    view.changed(run_of(), [running("a", 3, "further still")])
    assert out.getvalue() == said


def test_plain_accepts_changed_tasks_only(clock: Clock) -> None:
    out = io.StringIO()
    view = PlainView(out, now=clock)
    run = replace(run_of(total=1000, counts={"waiting": 1000}), id="01J", name="fan")
    view.changed(run, [])
    view.changed(run, [running("t1", 0, ""), waiting("t2")])
    view.changed(run, [done("t1", 0.5), running("t2", 0, "")])
    assert out.getvalue().splitlines() == [
        "run 01J (fan) started: 1000 tasks",
        "t1  started",
        "t1  succeeded in 0.5s",
        "t2  started",
    ]


def test_plain_writes_once_per_update(clock: Clock) -> None:
    class Counting(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            return super().write(text)

    out = Counting()
    view = PlainView(out, now=clock)
    view.update([run_of(*(done(f"t{i}") for i in range(100)))])
    assert out.writes == 1
    assert len(out.getvalue().splitlines()) == 101


def test_plain_prints_the_run_and_the_time_in_a_batch(clock: Clock) -> None:
    out = io.StringIO()
    view = PlainView(out, now=clock, stamp=lambda now: f"{now:.0f}")
    first = run_of(running("a", 0, ""), id="r1", name="x")
    second = run_of(running("a", 0, ""), id="r2", name="x")
    view.update([first, second])
    view.update([run_of(done("a"), id="r1", name="x"), second])
    assert out.getvalue().splitlines() == [
        "run r1 (x) started: 1 task",
        "1000 r1  a  started",
        "run r2 (x) started: 1 task",
        "1000 r2  a  started",
        "1000 r1  a  succeeded in 4s",
    ]


def test_plain_replaces_characters_that_the_stream_cannot_encode(clock: Clock) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    PlainView(out, now=clock).update([run_of(failed("a", reason="zażółć"))])
    assert b"exit code 1, za????" in raw.getvalue()


def test_plain_reports_a_closed_stream_once(clock: Clock) -> None:
    out = Vanished()
    view = PlainView(out, now=clock)
    with pytest.raises(OSError, match="Input/output error"):
        view.update([run_of(running("a", 0, ""))])
    view.close([run_of(done("a"))])
    assert out.attempts == 1


# --- live -----------------------------------------------------------------------


def live(screen: io.StringIO, clock: Clock, *, height: int = 24) -> LiveView:
    return LiveView(console(screen, height=height), now=clock)


def test_live_redraws_in_place(clock: Clock) -> None:
    screen = Screen()
    with live(screen, clock) as view:
        for percent in (0, 50, 100):
            run = run_of(running("a", percent, "copying"), waiting("b"))
            view.update([run])
            clock.now += 1
        assert not screen.cursor_shown
        drawn = render(run, now=1002.0, width=80, height=24)
        assert screen.text + "\n" == plain_text(drawn)
    assert screen.cursor_shown


def test_live_redraws_only_changes_and_not_too_often(clock: Clock) -> None:
    screen = Screen()
    with live(screen, clock) as view:
        view.update([run_of(waiting("a"))])
        assert not view.due
        before = screen.writes
        view.update([run_of(done("a"))])
        assert screen.writes == before, "too early"
        clock.now += 0.5
        assert view.due
        view.update([run_of(waiting("a"))])
        assert screen.writes == before, "nothing changed"
        clock.now += 0.5
        view.update([run_of(done("a"))])
        assert screen.writes > before


def test_live_continues_after_the_clock_was_set_back(clock: Clock) -> None:
    screen = Screen()
    with live(screen, clock) as view:
        view.update([run_of(waiting("a"))])
        clock.now -= 3600
        assert view.due


def test_live_leaves_the_final_picture_and_the_result(
    clock: Clock, golden: Golden
) -> None:
    screen = Screen()
    names = [f"server-{i}" for i in range(12)]
    with live(screen, clock, height=6) as view:
        view.update([run_of(*(running(name, 10, "") for name in names))])
        clock.now += 12
        tasks: List[TaskView] = [done(name) for name in names[:-1]]
        tasks.append(failed(names[-1], "Error: quota exceeded"))
        end = {"status": "finished", "outcome": "failed", "finished_at": 1012.0}
        view.close([run_of(*tasks, **end)])
    assert screen.cursor_shown
    golden("ui/live-final.txt", screen.text)


def test_live_does_not_use_the_standard_streams(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen()
    with live(screen, clock) as view:
        view.update([run_of(waiting("a"))])
        sys.stdout.write("data\n")
    assert capsys.readouterr().out == "data\n"
    assert "data" not in screen.text


def test_live_shows_the_cursor_after_an_error(clock: Clock) -> None:
    screen = Screen()

    def interrupted() -> None:
        with live(screen, clock) as view:
            view.update([run_of(running("a", 1, "copying"))])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert screen.cursor_shown
    assert "copying" in screen.text


def test_live_uses_only_characters_the_terminal_supports(clock: Clock) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    with LiveView(console(out), now=clock) as view:
        view.update([run_of(running("a", 50, "zażółć"))])
        view.close([run_of(failed("a", "zażółć"))])
    assert b"####----  50% za????" in raw.getvalue()


def test_live_reports_a_closed_terminal_once(clock: Clock) -> None:
    out = Vanished()
    with live(out, clock) as view:
        with pytest.raises(OSError, match="Input/output error"):
            view.update([run_of(running("a", 1, ""))])
        view.close([run_of(done("a"))])
    assert out.attempts == 1


# --- on the terminal ----------------------------------------------------------------


def painted(*lines: str) -> Tuple[Line, ...]:
    return tuple(((line, ""),) if line else () for line in lines)


def test_changed_frame_is_one_write_and_the_same_frame_none() -> None:
    screen = Screen()
    painter = Painter(console(screen))
    painter.begin()
    painter.paint(painted("head", "a 10%", "b 10%", "foot"), 80, 24)
    writes = screen.writes
    painter.paint(painted("head", "a 11%", "b 10%", "foot"), 80, 24)
    assert screen.writes - writes == 1
    painter.paint(painted("head", "a 11%", "b 10%", "foot"), 80, 24)
    assert screen.writes - writes == 1
    assert screen.lines == ["head", "a 11%", "b 10%", "foot"]


pictures = st.lists(st.sampled_from(["", "a", "bb", "a bb ccc", "x" * 12]), max_size=6)


@given(st.lists(pictures, max_size=6), st.lists(st.integers(1, 20), min_size=6))
def test_any_picture_can_follow_any_other(
    every: List[List[str]], widths: List[int]
) -> None:
    """Also if the terminal was resized meanwhile; lines above the picture stay."""
    screen = Screen()
    screen.write("$ provctl\n")
    painter = Painter(console(screen))
    painter.begin()
    for picture, width in zip(every, widths):
        screen.width = width
        cut = [line[:width] for line in picture]
        # High enough that nothing of a picture is ever out of sight.
        painter.paint(painted(*cut), width, 100)
        left = "\n".join(line.rstrip() for line in ["$ provctl", *cut])
        assert screen.text.rstrip("\n") == left.rstrip("\n")
    painter.end()
    assert screen.cursor_shown


# Width, height, and whether it says where its cursor is.
terminals = st.tuples(st.integers(1, 20), st.integers(2, 9), st.booleans())


@settings(max_examples=30)
@given(st.lists(pictures.filter(bool), max_size=6), st.lists(terminals, min_size=6))
def test_what_a_small_terminal_hid_is_gone_when_it_has_room(
    every: List[List[str]], each_terminal: List[Tuple[int, int, bool]]
) -> None:
    screen = Screen()
    screen.write("$ provctl\n")
    painter = Painter(console(screen))
    painter.begin()
    for picture, (width, height, tells) in zip(every, each_terminal):
        screen.width, screen.height = width, height
        cut = [line[:width] for line in picture[:height]]
        position = Position(screen.rows_above, width) if tells else None
        painter.paint(painted(*cut), width, height, position=position)
        text = screen.text.rstrip("\n")
        assert text.startswith("$ provctl")
        assert text.endswith("\n".join(line.rstrip() for line in cut).rstrip("\n"))
    screen.width, screen.height = 80, 1000
    painter.paint(painted("all", "of it"), 80, 1000)
    assert screen.text == "$ provctl\nall\nof it"


def test_lines_hidden_although_there_is_room_are_not_searched() -> None:
    """The picture may still use all the room: it is at the bottom."""
    screen = Screen()
    screen.write("$ provctl\n")
    painter = Painter(console(screen))
    painter.begin()
    painter.paint(painted("x" * 40, "y" * 40, "foot"), 40, 24)
    # As tmux does, it broke both lines, and hid all but the last three rows.
    screen.lines = ["y" * 10, "foot", ""]
    screen.line, screen.column, screen.width, screen.height = 1, 0, 10, 6
    painter.paint(painted("x", "y", "foot"), 10, 6, position=Position(1, 10))
    assert screen.lines == ["", "", "", "x", "y", "foot"]
    painter.paint(painted("x", "foot"), 10, 6)
    assert screen.lines == ["", "", "", "", "x", "foot"]
    painter.end()
    painter.begin()
    painter.paint(painted("z"), 10, 6)
    assert screen.lines[-2:] == ["foot", "z"]


def test_lines_are_wrapped_at_the_width_the_terminal_reports() -> None:
    screen = Screen()
    screen.write("$ provctl\n")
    painter = Painter(console(screen))
    painter.begin()
    painter.paint(painted("x" * 40, "foot"), 40, 24)
    screen.width, screen.height = 10, 24
    painter.paint(painted("x" * 9, "foot"), 20, 24, position=Position(5, 10))
    assert screen.text.split("\n") == ["$ provctl", "x" * 9, "foot"]


def test_hidden_lines_are_not_searched_below_a_prompt() -> None:
    """Lines before the picture stay, although parts of old pictures are hidden."""
    screen = Screen()
    painter = Painter(console(screen))
    painter.begin()
    painter.paint(painted("x" * 40, "y" * 40, "foot"), 40, 24)
    screen.width, screen.height = 10, 4
    painter.paint(painted("a", "b", "foot"), 10, 4)
    painter.end()
    screen.write("$ fg\n")
    painter.begin()
    painter.paint(painted("c"), 10, 4)
    screen.width, screen.height = 40, 24
    painter.paint(painted("d"), 40, 24)
    assert screen.text.rstrip("\n").split("\n")[-2:] == ["$ fg", "d"]


def test_typed_text_is_erased() -> None:
    screen = Screen()
    painter = Painter(console(screen))
    painter.begin()
    painter.paint(painted("head", "foot"), 80, 24)
    screen.write("^C")
    painter.paint(painted("HEAD", "foot"), 80, 24)
    assert screen.lines == ["HEAD", "foot"]
    screen.write("^Z")
    painter.end()
    assert screen.lines == ["HEAD", "foot", ""]


def test_smaller_terminal_is_redrawn_at_once(clock: Clock) -> None:
    screen = Screen()
    out = console(screen)
    screen.write("$ provctl\n")
    with LiveView(out, now=clock) as view:
        run = run_of(
            *(running(f"server-{n}", 50, "copying an image") for n in range(9))
        )
        view.update([run])
        assert not view.due
        out.size = ConsoleDimensions(30, 24)
        screen.width = 30
        assert view.due
        view.update([run])
        drawn = render(run, now=1000.0, width=30, height=24)
        assert screen.text + "\n" == "$ provctl\n" + plain_text(drawn, width=30)


def test_picture_is_not_drawn_if_the_size_changed_meanwhile(
    clock: Clock,
) -> None:
    screen = Screen()
    out = console(screen)

    def fill(_run: RunView, row: TaskView) -> TaskView:
        out.size = ConsoleDimensions(30, 24)
        return row

    with LiveView(out, now=clock, fill=fill) as view:
        view.update([run_of(running("a", 1, "copying"))])
        assert screen.text == ""
        assert view.due
        view.update([run_of(running("a", 1, "copying"))])
        assert "copying" in screen.text


def test_suspended_view_starts_again_below(clock: Clock) -> None:
    screen = Screen()
    with live(screen, clock) as view:
        view.update([run_of(running("a", 1, "before"))])
        view.suspend()
        assert screen.cursor_shown
        screen.write("$ fg\n")
        view.resume()
        assert not screen.cursor_shown
        view.update([run_of(running("a", 2, "after"))])
    before, after = screen.text.split("$ fg\n")
    assert "before" in before
    assert "before" not in after
    assert "after" in after
    assert screen.cursor_shown
