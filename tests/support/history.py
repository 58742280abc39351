"""Owns the form of a history: what happens to a workflow, told from start to end.

Left of `=>` is what happens, right of it what the core wants done and the facts
it derives; `tests.support.engine_driver` explains the words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, List, Mapping, Tuple

from tests.support.engine_driver import Dialogue

if TYPE_CHECKING:
    from provctl.core.model.workflow import Workflow

__all__ = ["History"]


@dataclass(frozen=True)
class History:
    """A workflow, how it is submitted and to whom, and what then happens."""

    workflow: Workflow
    script: str
    slots: int = 10
    capacity: Mapping[str, int] = field(default_factory=dict)
    submit: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lines(self) -> List[Tuple[str, str]]:
        """What happens, and what is said to it."""
        halves = [line.partition("=>") for line in self.script.strip().splitlines()]
        return [(news.strip(), answer.strip()) for news, _, answer in halves]

    def begin(self) -> Dialogue:
        """An owner who has heard nothing yet."""
        return Dialogue(slots=self.slots, capacity=self.capacity)

    def tell(self, dialogue: Dialogue, news: str) -> List[str]:
        """Let one line of it happen; return what is said to it."""
        if news == "submit":
            return dialogue.submit(self.workflow, **self.submit)
        return dialogue.hear(news)
