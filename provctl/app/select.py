"""Owns finding runs by what people type: an id, the start of one, a batch, @last."""

from __future__ import annotations

from typing import TYPE_CHECKING, List

from provctl.errors import NotFound
from provctl.journal.summary import RunSummary, summaries

if TYPE_CHECKING:
    from provctl.journal.folder import StateFolder

__all__ = ["find_run", "find_runs"]


def find_run(folder: StateFolder, text: str) -> str:
    """Return the id of the one run that `text` names. Raises NotFound."""
    ids = folder.run_ids()
    if text in ids:
        return text
    if text == "@last":
        return _last(folder).id
    fitting = [run_id for run_id in ids if text and run_id.startswith(text)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        message = f"no run is called {text}"
        raise NotFound(message, hint="see: provctl workflow list")
    message = f"{text} is the start of {len(fitting)} runs: {_some(fitting)}"
    raise NotFound(message, hint="give more of the id")


def find_runs(folder: StateFolder, text: str) -> List[RunSummary]:
    """Return the runs of a batch, oldest first, or the one run. Raises NotFound."""
    every = summaries(folder)
    batches = sorted({run.batch for run in every if run.batch})
    if text == "@last" and every and every[-1].batch:
        text = every[-1].batch
    fitting = [text] if text in batches else [b for b in batches if b.startswith(text)]
    if len(fitting) == 1 and text:
        return [run for run in every if run.batch == fitting[0]]
    if len(fitting) > 1 and text:
        message = f"{text} is the start of {len(fitting)} batches: {_some(fitting)}"
        raise NotFound(message, hint="give more of the id")
    run_id = find_run(folder, text)
    return [run for run in every if run.id == run_id]


def _last(folder: StateFolder) -> RunSummary:
    every = summaries(folder)
    if not every:
        message = "there is no run yet"
        raise NotFound(message, hint="provctl run FILE starts one")
    return every[-1]


def _some(names: List[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
