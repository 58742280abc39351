"""The form of a history: what happens to a workflow, from start to end.

Left of `=>` is what happens, right of it the instructions and the events that the core
derives; `tests.support.engine_driver` explains the words.
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
    """A workflow, how it is submitted, and what then happens."""

    workflow: Workflow
    script: str
    slots: int = 10
    capacity: Mapping[str, int] = field(default_factory=dict)
    submit: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lines(self) -> List[Tuple[str, str]]:
        """What happens, and the expected instructions."""
        halves = [line.partition("=>") for line in self.script.strip().splitlines()]
        return [(news.strip(), answer.strip()) for news, _, answer in halves]

    def begin(self) -> Dialogue:
        """A new owner without any run."""
        return Dialogue(slots=self.slots, capacity=self.capacity)

    def tell(self, dialogue: Dialogue, news: str) -> List[str]:
        """Process one line; return the instructions."""
        if news == "submit":
            return dialogue.submit(self.workflow, **self.submit)
        return dialogue.hear(news)
