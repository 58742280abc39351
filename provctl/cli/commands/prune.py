"""The verbs of retention: `prune`, `workflow pin`, `unpin` and `rm`."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

import click

from provctl.base.timefmt import format_iso, format_local
from provctl.cli.completion.param_types import RUNS
from provctl.cli.options.confirm import DECLINED, confirm, yes_option
from provctl.cli.options.run_filters import (
    chosen_runs,
    confirm_runs,
    label_filter_option,
)
from provctl.cli.options.value_types import AGE
from provctl.cli.session import Session, emit, plural, print_message

if TYPE_CHECKING:
    from provctl.core.model.labels import Condition
    from provctl.storage.retention import PruneCandidate
    from provctl.storage.run_summary import RunSummary


_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([KMGT]?)(?:i?B)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class _Size(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # 8.1 has none
    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        match = _SIZE.fullmatch(str(value))
        if match is None:
            return self.fail("must be a size such as 500M, 1G or 10K", param, ctx)
        return int(float(match[1]) * _UNITS[match[2].upper()])


@click.command()
@click.option(
    "--older",
    type=AGE,
    metavar="AGE",
    help="Remove runs that finished longer ago than AGE: 30d, 12h.",
)
@click.option(
    "--keep",
    type=click.IntRange(0),
    metavar="N",
    help="Always keep the N most recent finished runs.",
)
@click.option(
    "--max-size",
    type=_Size(),
    metavar="SIZE",
    help="Remove the oldest runs until all together take up at most SIZE: 1G, 500M.",
)
@label_filter_option
@click.option(
    "--dry-run", is_flag=True, help="Show what would be removed; remove nothing."
)
@yes_option
@click.pass_context
def prune(
    ctx: click.Context,
    older: Optional[float],
    keep: Optional[int],
    max_size: Optional[int],
    conditions: Tuple[Condition, ...],
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove old finished runs, with their journals and logs.

    A run is removed if --older or --max-size selects it and --keep does not protect it.
    Used alone, --keep removes all other finished runs. With labels, all of this applies
    only to runs with these labels: -l env=test --keep 0 removes every finished run that
    has the label.

    Incomplete runs, whose submission was interrupted, are removed after a day, and so
    are leftovers of killed processes. Never removed are runs that are unfinished, owned
    by a process or pinned (provctl pin), and runs whose journal cannot be read.

    The runs to remove are shown first. At a terminal you are asked to confirm;
    otherwise --yes is required.
    """
    from provctl.errors import UsageError
    from provctl.runs.summary_cache import summary_cache
    from provctl.scheduler.clock import Clock
    from provctl.storage import retention

    session: Session = ctx.obj
    if older is None and keep is None and max_size is None:
        message = "no selection given"
        hint = (
            "specify --older AGE, --keep N or --max-size SIZE; add --dry-run to preview"
        )
        raise UsageError(message, hint=hint)
    now = Clock().now()
    limits = retention.RetentionPolicy(older, keep, max_size, conditions)
    cache = summary_cache(session.folder)
    every, size = cache.every(), cache.size
    chosen = retention.select_for_removal(session.folder, every, limits, now, size)
    cache.keep()
    left = retention.list_orphans(session.folder, now)
    if chosen and not (dry_run or yes):
        with redirect_stdout(sys.stderr):
            _show(replace(session, output="table"), chosen)
        if not confirm(f"remove {plural(len(chosen), 'run')}?", yes=yes):
            ctx.exit(DECLINED)
    if not dry_run:
        gone = set(retention.remove(session.folder, [each.run.id for each in chosen]))
        chosen = [each for each in chosen if each.run.id in gone]
        retention.remove_orphans(left)
    if dry_run or yes or session.output != "table":
        _show(session, chosen)
    _print_summary(chosen, len(left), dry_run=dry_run)


def _print_summary(chosen: List[PruneCandidate], left: int, *, dry_run: bool) -> None:
    freed = _format_size(sum(each.size for each in chosen))
    runs = plural(len(chosen), "run")
    done = f"would remove {runs} and free" if dry_run else f"removed {runs}, freed"
    print_message(f"{done} {freed}")
    if left:
        word = "would be cleaned up" if dry_run else "cleaned up"
        print_message(f"leftover files {word}: {left}")


_WHY = {"size": "--max-size", "incomplete": "incomplete"}


def _show(session: Session, chosen: List[PruneCandidate]) -> None:
    rows: List[Dict[str, Any]] = [
        {
            "id": each.run.id,
            "name": each.run.name,
            "outcome": each.run.outcome,
            "finished_at": format_iso(each.run.finished_at),
            "finished": format_local(each.run.finished_at or each.run.created_at),
            "bytes": each.size,
            "size": _format_size(each.size),
            "why": _WHY.get(each.why, f"--{each.why}"),
        }
        for each in chosen
    ]
    if rows or session.output != "table":
        columns = ("id", "name", "outcome", "finished", "size", "why")
        emit(session, rows, columns, name="id")


def _format_size(size: int) -> str:
    value, unit = float(size), "B"
    for larger in ("K", "M", "G", "T"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size}B" if unit == "B" else f"{value:.1f}{unit}"


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, type=RUNS)
@label_filter_option
@click.pass_obj
def pin(
    session: Session, runs: Tuple[str, ...], conditions: Tuple[Condition, ...]
) -> None:
    """Protect runs, or the runs of a batch, from prune and rm."""
    for run in chosen_runs(session, runs, conditions):
        session.folder.pin(run.id)
        print_message(f"pinned: {run.id}")


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, type=RUNS)
@label_filter_option
@click.pass_obj
def unpin(
    session: Session, runs: Tuple[str, ...], conditions: Tuple[Condition, ...]
) -> None:
    """Let prune and rm remove runs, or the runs of a batch, again."""
    for run in chosen_runs(session, runs, conditions):
        session.folder.unpin(run.id)
        print_message(f"unpinned: {run.id}")


@click.command("rm")
@click.argument("runs", metavar="RUN...", nargs=-1, type=RUNS)
@label_filter_option
@yes_option
@click.pass_context
def remove(
    ctx: click.Context,
    runs: Tuple[str, ...],
    conditions: Tuple[Condition, ...],
    yes: bool,
) -> None:
    """Remove finished and incomplete runs, with their journals and logs.

    All runs are checked before any is removed. Unfinished and pinned runs that were
    selected by label are skipped. The runs are listed first. At a terminal you are
    asked to confirm; otherwise --yes is required.
    """
    from provctl.errors import RequestRejected
    from provctl.storage import retention

    session: Session = ctx.obj
    found = chosen_runs(session, runs, conditions)
    if conditions:
        found = _removable(session, found)
    else:
        _check_removable(session, found)
    confirm_runs(ctx, found, "remove", yes=yes)
    gone = retention.remove(session.folder, [run.id for run in found])
    for run_id in gone:
        print_message(f"removed: {run_id}")
    if len(gone) < len(found):
        stayed = ", ".join(run.id for run in found if run.id not in gone)
        message = f"not removed, because another process now owns them: {stayed}"
        raise RequestRejected(message)


def _removable(session: Session, found: Sequence[RunSummary]) -> List[RunSummary]:
    from provctl.errors import RequestRejected

    kept = [
        run
        for run in found
        if _is_over(run) and not session.folder.run(run.id).pin.exists()
    ]
    if not kept:
        message = "nothing to remove: all of these runs are unfinished or pinned"
        raise RequestRejected(
            message, hint="cancel them first: provctl cancel -l LABEL"
        )
    return kept


def _is_over(run: RunSummary) -> bool:
    return run.outcome is not None or run.status == "incomplete"


def _check_removable(session: Session, found: Sequence[RunSummary]) -> None:
    from provctl.errors import JournalDamaged, RequestRejected

    for run in found:
        if run.damage:
            hint = "if you do not need it, delete its folder manually"
            raise JournalDamaged(run.damage, hint=hint)
        if not _is_over(run):
            message = f"run {run.id} has not finished: it is {run.status}"
            raise RequestRejected(
                message, hint=f"cancel it first: provctl cancel {run.id}"
            )
        if session.folder.run(run.id).pin.exists():
            message = f"run {run.id} is pinned"
            raise RequestRejected(message, hint=f"provctl unpin {run.id}")
