"""When a terminal is asked for the cursor position, and how long it may take."""

from __future__ import annotations

from typing import List, Optional, Tuple, cast

import pytest

from provctl.render.live.cursor_position import Location
from provctl.render.live.terminal_input import Keys, Position

WIDE, NARROW, NARROWER = (100, 30), (60, 30), (40, 30)


class FakeKeys:
    """A terminal that answers when the test says so."""

    def __init__(self) -> None:
        self.can_ask = True
        self.awaits = False
        self.questions = 0
        self.answers: List[Position] = []
        self.late: List[Position] = []

    def ask(self) -> None:
        assert not self.awaits
        self.awaits = True
        self.questions += 1

    def wait(self) -> Optional[Position]:
        if self.awaits:
            self.answers, self.late = self.answers + self.late, []
        return self.position()

    def position(self) -> Optional[Position]:
        if not self.answers:
            return None
        self.awaits = False
        return self.answers.pop(0)

    def give_up(self) -> None:
        self.can_ask = self.awaits = False


@pytest.fixture
def keys() -> FakeKeys:
    return FakeKeys()


@pytest.fixture
def location(keys: FakeKeys) -> Location:
    location = Location(cast("Keys", keys), settle_s=0.25)
    assert looks(location, WIDE, 0.0)
    return location


def looks(location: Location, size: Tuple[int, int], now: float) -> bool:
    location.see(size, now)
    return location.is_settled(now)


def test_terminal_is_asked_once_after_its_size_is_stable(
    location: Location, keys: FakeKeys
) -> None:
    assert not looks(location, NARROW, 1.0)
    assert not looks(location, NARROWER, 1.2)
    assert not looks(location, NARROWER, 1.4)
    assert keys.questions == 0
    assert not looks(location, NARROWER, 1.5)
    assert not looks(location, NARROWER, 1.6)
    assert keys.questions == 1
    keys.answers = [Position(7, 40)]
    assert looks(location, NARROWER, 1.7)
    assert location.position == (7, 40)
    assert looks(location, NARROWER, 1.8)
    assert location.position is None, "it is that of one moment"
    assert keys.questions == 1


def test_terminal_that_returns_to_its_old_size_is_asked_too(
    location: Location, keys: FakeKeys
) -> None:
    assert not looks(location, NARROW, 1.0)
    assert not looks(location, WIDE, 1.1)
    assert not looks(location, WIDE, 1.4)
    assert keys.questions == 1


def test_answer_for_another_size_is_ignored(location: Location, keys: FakeKeys) -> None:
    assert not looks(location, NARROW, 1.0)
    assert not looks(location, NARROW, 1.3)
    assert not looks(location, NARROWER, 1.4)
    assert not looks(location, NARROWER, 1.7)
    assert keys.questions == 1, "one at a time"
    keys.answers = [Position(5, 60)]
    assert not looks(location, NARROWER, 1.8)
    assert keys.questions == 2
    keys.answers = [Position(7, 40)]
    assert looks(location, NARROWER, 1.9)
    assert location.position == (7, 40)


def test_view_draws_although_the_terminal_does_not_answer(
    location: Location, keys: FakeKeys
) -> None:
    assert not looks(location, NARROW, 1.0)
    assert not looks(location, NARROW, 1.3)
    keys.give_up()
    assert looks(location, NARROW, 1.9)
    assert location.position is None
    assert looks(location, NARROWER, 2.0), "at once"
    assert keys.questions == 1
    assert location.size == NARROWER


def test_width_is_limited_by_the_answer_of_the_terminal(
    location: Location, keys: FakeKeys
) -> None:
    assert not looks(location, NARROW, 1.0)
    assert not looks(location, NARROW, 1.3)
    keys.answers = [Position(7, 40)]
    assert looks(location, NARROW, 1.4)
    assert location.size == NARROWER
    assert looks(location, NARROW, 1.5)
    assert location.size == NARROWER
    assert not looks(location, WIDE, 1.6)
    assert location.size == WIDE


def test_clock_that_is_set_back_does_not_block(
    location: Location, keys: FakeKeys
) -> None:
    assert not looks(location, NARROW, 1000.0)
    assert not looks(location, NARROW, 10.0)
    assert keys.questions == 1


def test_final_picture_waits_for_the_answer(location: Location, keys: FakeKeys) -> None:
    location.see(NARROW, 1.0)
    keys.late = [Position(7, 60)]
    location.settle()
    assert location.position == (7, 60)
    assert keys.questions == 1


def test_final_picture_ignores_an_answer_for_another_size(
    location: Location, keys: FakeKeys
) -> None:
    assert not looks(location, NARROW, 1.0)
    assert not looks(location, NARROW, 1.3)
    location.see(NARROWER, 1.4)
    keys.late = [Position(5, 60)]
    location.settle()
    assert location.position is None
    assert keys.questions == 2
