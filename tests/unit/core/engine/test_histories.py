"""What the core does with reports: each history is played from start to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.engine_driver import picture, replayed
from tests.support.histories import HISTORIES
from tests.support.invariants import audit

if TYPE_CHECKING:
    from tests.support.history import History


@pytest.mark.parametrize("history", HISTORIES.values(), ids=list(HISTORIES))
def test_history_has_the_expected_effects(history: History) -> None:
    dialogue = history.begin()
    told = []
    for news, _ in history.lines:
        told.append((news, ", ".join(history.tell(dialogue, news))))
        audit(dialogue.state)
    assert told == history.lines
    assert dialogue.r.outcome is not None
    again = replayed(dialogue.history, like=dialogue.state)
    assert picture(again) == picture(dialogue.state)
