"""Finds runs by an id, the start of an id, a batch or @last."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, List

from provctl.base.suggest import did_you_mean
from provctl.errors import NotFound

if TYPE_CHECKING:
    from provctl.storage.layout import StateDir
    from provctl.storage.run_summary import RunSummary


# The latest run; of the workflow NAME; this many before it.
_LAST = re.compile(r"@last(?::(?P<name>.+?))?(?:~(?P<before>\d{1,9}))?", re.DOTALL)


_ALL = 1 << 30


def find_run(folder: StateDir, text: str) -> str:
    """Return the id of the one run that `text` names. Raises NotFound.

    `text` is an id, the start of one, @last, @last~2 (two before that), @last:NAME (the
    latest run of that workflow) or @last:NAME~2.
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
    from provctl.runs.summary_cache import summary_cache

    cache = summary_cache(folder)
    if text == "@last":
        newest = cache.latest(most=1)
        if newest and newest[0].batch is None:
            return newest
        text = (newest[0].batch if newest else None) or text
    members = cache.latest(
        lambda run: run.batch is not None and run.batch.startswith(text), _ALL
    )
    batches = sorted({run.batch for run in members if run.batch})
    fitting = [text] if text in batches else batches
    if len(fitting) == 1 and text:
        return [run for run in reversed(members) if run.batch == fitting[0]]
    if len(fitting) > 1 and text:
        message = (
            f"{text} is ambiguous, it matches {len(fitting)} batches:"
            f" {_first_names(fitting)}"
        )
        raise NotFound(message, hint="give more characters of the id")
    run_id = find_run(folder, text)
    return cache.now([run_id])


def _last(folder: StateDir, text: str) -> RunSummary:
    asked = _LAST.fullmatch(text)
    if asked is None:
        message = f"run {text} not found"
        raise NotFound(
            message, hint="@last, @last~2, @last:NAME; provctl help selectors"
        )
    from provctl.runs.summary_cache import accounts, summary_cache

    name, before = asked["name"], int(asked["before"] or 0)
    fits = None if name is None else lambda run: run.name == name
    found = summary_cache(folder).latest(fits, before + 1)
    if before < len(found):
        return found[before]
    if not found and name is not None and (every := accounts(folder)):
        message = f"no run of workflow {name} found"
        names = dict.fromkeys(f"@last:{run.name}" for run in every)
        hint = did_you_mean(f"@last:{name}", names, "see: provctl list")
        raise NotFound(message, hint=hint)
    if not found:
        message = "there are no runs yet"
        raise NotFound(message, hint="start one: provctl run FILE")
    there = (
        "is only 1 such run" if len(found) == 1 else f"are only {len(found)} such runs"
    )
    message = f"{text}: there {there}"
    raise NotFound(message, hint="see: provctl list")


def _guess(folder: StateDir, text: str) -> str:
    """Return a hint for a name that no run has."""
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
