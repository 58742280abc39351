"""Owns watching: `monitor` shows runs until they end, `wait` only waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

import click

from provctl.cli.options import RUNS

if TYPE_CHECKING:
    from provctl.app.follow import Follower
    from provctl.app.untaken import Untaken
    from provctl.cli.context import Session
    from provctl.cli.screen import Screen

__all__ = ["ENDS", "exit_code_of", "monitor", "wait", "watch_runs"]

# Readers look at files: they need no scheduler, and it never waits for them.
_LOOK_S = 0.05

# Exit code of a finished run; of a run that is held, 13.
ENDS: Dict[str, int] = {
    "succeeded": 0,
    "failed": 10,
    "cancelled": 11,
    "timed_out": 12,
    "lost": 13,
    "rolled_back": 14,
    "rollback_failed": 15,
}
_HELD = 13
_TIMEOUT = 124


def exit_code_of(outcomes: List[Optional[str]]) -> int:
    """Return the exit code of runs that ended so (None: held); the worst of them."""
    codes = [_HELD if outcome is None else ENDS[outcome] for outcome in outcomes]
    return next((worst for worst in (15, _HELD, 14, 10, 12, 11) if worst in codes), 0)


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=RUNS)
@click.option("--timeout", metavar="SECONDS", type=float, help="Give up after so long.")
@click.pass_context
def monitor(
    ctx: click.Context, runs: Tuple[str, ...], timeout: Optional[float]
) -> None:
    """Watch runs, or a batch, until they end; their exit code is yours.

    Ctrl-C stops watching; the runs go on.
    """
    session: Session = ctx.obj
    from provctl.cli.screen import open_screen

    talk = session.output != "table"
    with open_screen(session.folder, session.environ, talk=talk) as screen:
        ctx.exit(watch_runs(session, runs, timeout, screen))


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=RUNS)
@click.option("--timeout", metavar="SECONDS", type=float, help="Give up after so long.")
@click.pass_context
def wait(ctx: click.Context, runs: Tuple[str, ...], timeout: Optional[float]) -> None:
    """Wait until runs, or a batch, end; their exit code is yours."""
    ctx.exit(watch_runs(ctx.obj, runs, timeout, None))


def watch_runs(
    session: Session,
    names: Tuple[str, ...],
    timeout_s: Optional[float],
    screen: Optional[Screen],
) -> int:
    """Follow runs until each is finished or held; return the exit code.

    A finished run can be reopened as long as it has an owner, so the watch ends when
    it has none.

    A run without an owner does not move: when only such are left, the watch ends
    too, with words about what became of their tasks.
    """
    from provctl.app.follow import Follower
    from provctl.app.select import find_runs
    from provctl.app.untaken import Untaken

    untaken = Untaken(session.folder, session.reach, _note)
    ids = {run.id: None for name in names for run in find_runs(session.folder, name)}
    followers = [Follower(session.folder.run(run_id)) for run_id in ids]
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        while True:
            still = _look(untaken, followers, screen)
            if not any(still.values()):
                break
            if deadline is not None and time.monotonic() >= deadline:
                click.echo("gave up waiting; the run goes on", err=True)
                return _TIMEOUT
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        click.echo("stopped watching; the run goes on", err=True)
        return 130
    if screen is not None:
        screen.close([follower.run for follower in followers])
    orphans = [follower for follower in followers if follower in still]
    if orphans:
        return _tell_orphans(orphans)
    return exit_code_of([follower.run.outcome for follower in followers])


def _look(
    untaken: Untaken, followers: List[Follower], screen: Optional[Screen]
) -> Dict[Follower, bool]:
    """Read what is new; return the runs that have not ended, and if they can move."""
    still = {}
    for follower in followers:
        # The owner first: one that lets go has written everything before.
        owned = follower.owned
        moves = owned or untaken.is_waited_for(follower.folder.id)
        events = follower.read()
        if events and screen is not None:
            screen.tell(follower.run, events)
        run = follower.run
        if owned if run.outcome is not None else not run.stalled:
            still[follower] = moves
    if screen is not None:
        screen.tick([follower.run for follower in followers])
    return still


def _note(words: str) -> None:
    click.echo(f"note: {words}", err=True)


def _tell_orphans(orphans: List[Follower]) -> int:
    from provctl.errors import SchedulerUnreachable

    lines = []
    for follower in orphans:
        lines.append(f"run {follower.folder.id} has no owner, so it does not go on")
        lines += [f"{task}: {word}" for task, word in follower.unattended().items()]
    raise SchedulerUnreachable(
        "\n".join(lines),
        hint="provctl scheduler start, or: provctl workflow resume RUN",
    )
