"""Finding runs by what people type: an id, the start of one, a batch, @last."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, List

from provctl.base.suggest import did_you_mean
from provctl.errors import NotFound

if TYPE_CHECKING:
    from provctl.storage.layout import StateDir
    from provctl.storage.run_summary import RunSummary


# The latest; of the workflow NAME; so many before it.
_LAST = re.compile(r"@last(?::(?P<name>.+?))?(?:~(?P<before>\d{1,9}))?", re.DOTALL)


def find_run(folder: StateDir, text: str) -> str:
    """Return the id of the one run that `text` names. Raises NotFound.

    It is an id, the start of one, @last, @last~2 (two before that), @last:NAME (the
    latest of that workflow) or @last:NAME~2.
    """
    ids = folder.run_ids()
    if text in ids:
        return text
    if text.startswith("@"):
        return _last(folder, text).id
    fitting = [run_id for run_id in ids if text and run_id.startswith(text)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        message = f"run {text} not found" if text else "the run id is empty"
        raise NotFound(message, hint=_guess(folder, text))
    message = (
        f"{text} is ambiguous, it matches {len(fitting)} runs: {_first_names(fitting)}"
    )
    raise NotFound(message, hint="give more characters of the id")


def find_runs(folder: StateDir, text: str) -> List[RunSummary]:
    """Return the runs of a batch, oldest first, or the one run. Raises NotFound."""
    from provctl.runs.summary_cache import accounts

    every = accounts(folder)
    batches = sorted({run.batch for run in every if run.batch})
    if text == "@last" and every and every[-1].batch:
        text = every[-1].batch
    fitting = [text] if text in batches else [b for b in batches if b.startswith(text)]
    if len(fitting) == 1 and text:
        return [run for run in every if run.batch == fitting[0]]
    if len(fitting) > 1 and text:
        message = (
            f"{text} is ambiguous, it matches {len(fitting)} batches:"
            f" {_first_names(fitting)}"
        )
        raise NotFound(message, hint="give more characters of the id")
    run_id = find_run(folder, text)
    return [run for run in every if run.id == run_id]


def _last(folder: StateDir, text: str) -> RunSummary:
    asked = _LAST.fullmatch(text)
    if asked is None:
        message = f"run {text} not found"
        raise NotFound(
            message, hint="@last, @last~2, @last:NAME; provctl help selectors"
        )
    from provctl.runs.summary_cache import accounts

    every, name = accounts(folder), asked["name"]
    if not every:
        message = "there are no runs yet"
        raise NotFound(message, hint="start one: provctl run FILE")
    found = every if name is None else [run for run in every if run.name == name]
    before = int(asked["before"] or 0)
    if before < len(found):
        return found[-1 - before]
    if not found:
        message = f"no run of workflow {name} found"
        names = dict.fromkeys(f"@last:{run.name}" for run in every)
        hint = did_you_mean(f"@last:{name}", names, "see: provctl list")
        raise NotFound(message, hint=hint)
    there = (
        "is only 1 such run" if len(found) == 1 else f"are only {len(found)} such runs"
    )
    message = f"{text}: there {there}"
    raise NotFound(message, hint="see: provctl list")


def _guess(folder: StateDir, text: str) -> str:
    """What to do about a name that no run has."""
    from provctl.runs.summary_cache import accounts

    every = accounts(folder)
    names = {run.name for run in every}
    if text in names:
        return f"{text} is a workflow; its latest run is @last:{text}"
    known = [run.id for run in every] + [run.batch for run in every if run.batch]
    near = did_you_mean(text, known)
    if not near and did_you_mean(text, names):
        near = did_you_mean(f"@last:{text}", [f"@last:{name}" for name in names])
    return near or "see: provctl list"


def _first_names(names: List[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
