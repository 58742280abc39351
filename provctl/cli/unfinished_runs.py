"""The unfinished runs that a request is for, and its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, List, Sequence, Tuple

import click

from provctl.cli.completion.param_types import RUNS
from provctl.cli.options.confirm import yes_option
from provctl.cli.options.run_filters import (
    chosen_runs,
    confirm_runs,
    label_filter_option,
)

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.model.labels import Condition
    from provctl.storage.run_summary import RunSummary


def request_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that select its runs, and the confirmation."""
    for option in (
        click.option("--reason", default="", help="Reason, recorded in the journal."),
        yes_option,
        label_filter_option,
        click.argument("runs", metavar="RUN...", nargs=-1, type=RUNS),
    ):
        verb = option(verb)
    return verb


def unfinished_runs(
    ctx: click.Context,
    names: Tuple[str, ...],
    conditions: Tuple[Condition, ...],
    *,
    verb: str,
    yes: bool,
    destroys: bool,
) -> List[str]:
    """The selected runs that have not finished. Raises RequestRejected for none.

    Every name must exist. Runs selected by label are listed first and need a
    confirmation, see `confirm`.
    """
    session: Session = ctx.obj
    if names and not conditions:
        every = (chosen_runs(session, [name], ()) for name in names)
        return [run.id for found in every for run in _unfinished(found, verb)]
    going = _unfinished(chosen_runs(session, names, conditions), verb)
    return confirm_runs(ctx, going, verb, yes=yes, destroys=destroys)


_SHOWN = 5


def _unfinished(found: Sequence[RunSummary], verb: str) -> List[RunSummary]:
    from provctl.errors import RequestRejected

    going = [run for run in found if run.outcome is None]
    if not going:
        ended = ", ".join(f"{run.id} {run.outcome}" for run in found[:_SHOWN])
        message = f"nothing to {verb}: {ended}{', ...' if found[_SHOWN:] else ''}"
        hint = "a finished run can only be retried or rolled back"
        raise RequestRejected(message, hint=hint)
    return going
