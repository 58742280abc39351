"""Selects runs by label and by time: the options, and the matching runs."""

from __future__ import annotations

from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import click

from provctl.cli.options.confirm import DECLINED, confirm
from provctl.cli.options.value_types import CONDITIONS, LABEL, MOMENT, PAST
from provctl.cli.session import by_key, print_message
from provctl.errors import NotFound, UsageError

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.model.labels import Condition
    from provctl.storage.run_summary import RunSummary


class RunFilter(NamedTuple):
    """A selection of runs: all label `conditions` match, and the submission time.

    Times are seconds since the epoch, None for no limit.
    """

    conditions: Tuple[Condition, ...] = ()
    since: Optional[float] = None
    until: Optional[float] = None

    def fits(self, run: RunSummary) -> bool:
        """Whether a run matches."""
        if self.since is not None and run.created_at < self.since:
            return False
        if self.until is not None and run.created_at > self.until:
            return False
        return all(each.fits(run.labels) for each in self.conditions)

    def of(self, runs: Iterable[RunSummary]) -> List[RunSummary]:
        """Return the matching runs; print a note for a label that no run has.

        A key that no run has is probably a typo.
        """
        every = list(runs)
        found = [run for run in every if self.fits(run)]
        if not found:
            for words in _slips(every, self.conditions):
                print_message(words)
        return found


def _slips(
    runs: Iterable[RunSummary], conditions: Iterable[Condition]
) -> Iterable[str]:
    from provctl.base.suggest import closest_match

    keys = {key for run in runs for key in run.labels}
    for each in conditions:
        if each.key not in keys and each.how in ("=", "has"):
            near = closest_match(each.key, keys)
            guess = f" (did you mean {near}?)" if near else ""
            yield f"no run has a label {each.key}{guess}"


def run_filter_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb that lists runs `-l`, `--since` and `--until`, as one `choice`."""

    @label_filter_option
    @click.option(
        "--since",
        type=PAST,
        metavar="TIME",
        help="Only runs submitted at or after this time: 2h, 3d, 14:03, 2026-11-01, yesterday.",
    )
    @click.option(
        "--until",
        type=MOMENT,
        metavar="TIME",
        help="Only runs submitted at or before this time.",
    )
    @wraps(verb)
    def with_choice(
        *args: Any,
        conditions: Tuple[Condition, ...],
        since: Optional[float],
        until: Optional[float],
        **options: Any,
    ) -> Any:
        if since is not None and until is not None and since > until:
            message = "--since is later than --until"
            raise UsageError(message)
        return verb(*args, choice=RunFilter(conditions, since, until), **options)

    return with_choice


def label_filter_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb `-l`, as `conditions`."""
    return click.option(
        "-l",
        "--label",
        "conditions",
        type=CONDITIONS,
        metavar="LABEL",
        multiple=True,
        callback=lambda _ctx, _param, given: tuple(c for each in given for c in each),
        help="Only runs with this label: KEY=VALUE, KEY!=VALUE, KEY, or !KEY. Repeat for more.",
    )(verb)


def label_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb that submits `-l`, as `labels`: pairs of key and value."""
    return click.option(
        "-l",
        "--label",
        "labels",
        type=LABEL,
        metavar="KEY=VALUE",
        multiple=True,
        callback=lambda _ctx, _param, given: tuple(by_key("-l", given).items()),
        help="Add a label to the run. Repeat for more.",
    )(verb)


def chosen_runs(
    session: Session, names: Iterable[str], conditions: Tuple[Condition, ...]
) -> List[RunSummary]:
    """Return the named runs or those with the labels, each once, oldest first.

    Raises UsageError if nothing is requested, NotFound if nothing is found.
    """
    from provctl.runs.find import find_runs

    names = tuple(names)
    if not names and not conditions:
        message = "no run is given"
        raise UsageError(message, hint="give runs, @last, or a label: -l KEY=VALUE")
    if names and conditions:
        message = "runs are given both by name and by label"
        raise UsageError(message, hint="use either RUN or -l")
    if names:
        every = (run for name in names for run in find_runs(session.folder, name))
        return list({run.id: run for run in every}.values())
    found = RunFilter(conditions).of(session.accounts())
    if not found:
        message = "no run has these labels"
        raise NotFound(message, hint="see: provctl list -l KEY")
    return found


def confirm_runs(
    ctx: click.Context,
    runs: Sequence[RunSummary],
    verb: str,
    *,
    yes: bool,
    destroys: bool = True,
) -> List[str]:
    """Show runs and return their ids, after a confirmation; see `confirm`."""
    from provctl.cli.session import plural

    for run in runs:
        print_message(f"{run.id}  {run.name}  {run.status_word}")
    question = f"{verb} {plural(len(runs), 'run')}?"
    if not confirm(question, yes=yes, destroys=destroys):
        ctx.exit(DECLINED)
    return [run.id for run in runs]
