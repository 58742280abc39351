"""Owns the order of tasks where a file does not give one.

Nickel sorts the fields of a record by name, so what people wrote first is lost.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Dict, List, Sequence, Tuple, Union

from provctl.core.graph import stages

if TYPE_CHECKING:
    from provctl.core.model import Task

__all__ = ["in_order_of_needs"]

# Where a task stands beside its siblings: its stage, then its name as people count.
_Rank = Tuple[int, List[Union[str, int]]]


def in_order_of_needs(tasks: Sequence[Task]) -> Tuple[Task, ...]:
    """Return a checked table anew: what is needed first, `web-2` before `web-10`.

    The tasks of a nested workflow still follow it.
    """
    stage = {task.id: n for n, found in enumerate(stages(tasks)) for task in found}
    places: Dict[str, Tuple[_Rank, ...]] = {}
    for task in tasks:
        around = places[task.parent] if task.parent is not None else ()
        places[task.id] = (*around, (stage[task.id], _counted(task.id)))
    ordered = sorted(tasks, key=lambda task: places[task.id])
    return tuple(replace(task, index=index) for index, task in enumerate(ordered))


def _counted(text: str) -> List[Union[str, int]]:
    """Text and numbers in turn, so that lists of them can be compared."""
    parts = re.split(r"(\d+)", text)
    return [int(part) if at % 2 else part for at, part in enumerate(parts)]
