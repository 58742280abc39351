"""Watches runs, whoever owns them, until they finish."""

from __future__ import annotations

import time
from typing import (
    TYPE_CHECKING,
    Dict,
    List,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
)

from provctl.cli.exit_codes import INTERRUPTED, TIMEOUT, exit_code_of
from provctl.cli.session import print_message

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.cli.watching.open_view import RunObserver
    from provctl.runs.follow import Follower
    from provctl.runs.queue_watch import QueueWatcher


# Readers read files: they need no scheduler, and it never waits for them.
LOOK_S = 0.05


def report_if_asked(
    session: Session,
    ids: Sequence[str],
    code: int,
    *,
    junit: Optional[str],
    summary: Optional[str],
) -> None:
    """Write the requested reports, unless watching was interrupted."""
    if code != INTERRUPTED and (junit or summary):
        from provctl.cli.write_reports import write_reports

        write_reports(session, ids, junit=junit, summary=summary)


def watch_if_asked(session: Session, ids: Tuple[str, ...]) -> int:
    """Wait until runs finish, and show them if a view was chosen; return the exit code."""
    if not session.shown:
        return watch_runs(session, ids, None, None)
    from provctl.cli.watching.open_view import open_screen

    with open_screen(session) as screen:
        return watch_runs(session, ids, None, screen)


def watch_runs(
    session: Session,
    names: Tuple[str, ...],
    timeout_s: Optional[float],
    screen: Optional[RunObserver],
) -> int:
    """Follow runs until each is finished or held; return the exit code.

    A finished run can be reopened while it has an owner, so watching ends when it has
    none. Without a screen, running tasks are listed after a long silence.

    A run without an owner makes no progress: if only such runs are left, watching ends
    with a message about their tasks.
    """
    from provctl.cli.watching.heartbeat import HeartbeatTicker
    from provctl.runs.find import find_runs
    from provctl.runs.follow import Follower
    from provctl.runs.queue_watch import QueueWatcher

    say = _say if screen is None else screen.print_note
    queue_watcher = QueueWatcher(
        session.folder, session.owner_client, lambda why: say(f"note: {why}")
    )
    # Each once; @last may mean another run later.
    found = [run.id for name in names for run in find_runs(session.folder, name)]
    ids = tuple(dict.fromkeys(found))
    followers = [Follower(session.folder.run(run_id)) for run_id in ids]
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    ticks = HeartbeatTicker(session).on_tick if screen is None else screen.on_tick
    try:
        while True:
            still = _look(queue_watcher, followers, screen)
            ticks([follower.run for follower in followers])
            if not any(still.values()):
                break
            if deadline is not None and time.monotonic() >= deadline:
                say("stopped waiting (timeout); the run continues")
                return TIMEOUT
            time.sleep(LOOK_S)
    except KeyboardInterrupt:
        say("stopped watching; the run continues")
        return INTERRUPTED
    if screen is not None:
        from provctl.cli.ci.job_results import write_ci_summary

        screen.close([follower.run for follower in followers])
        write_ci_summary(session, ids)
    orphans = [follower for follower in followers if follower in still]
    if orphans:
        report_orphans(orphans)
    return exit_code_of([follower.run.outcome for follower in followers])


def _look(
    queue_watcher: QueueWatcher,
    followers: List[Follower],
    screen: Optional[RunObserver],
) -> Dict[Follower, bool]:
    """Read what is new; return the unfinished runs, and whether they can progress."""
    still = {}
    for follower in followers:
        # The owner first: an owner that releases the run has written everything before.
        owned = follower.owned
        moves = owned or queue_watcher.is_being_acquired(follower.folder.id)
        events = follower.read()
        if events and screen is not None:
            screen.on_update(follower.run, events)
        run = follower.run
        if owned if run.outcome is not None else not run.is_on_hold:
            still[follower] = moves
    return still


def interrupted_hint(words: str) -> None:
    """Print a note about a problem that may be temporary."""
    _say(f"note: {words}")


def _say(words: str) -> None:
    print_message(words)


def report_orphans(orphans: Sequence[Follower]) -> NoReturn:
    """Raise SchedulerUnreachable for orphaned runs, with the state of their tasks."""
    from provctl.errors import SchedulerUnreachable

    lines = []
    for follower in orphans:
        lines.append(f"run {follower.folder.id} is stalled, because no process owns it")
        lines += [f"{task}: {word}" for task, word in follower.unattended().items()]
    raise SchedulerUnreachable(
        "\n".join(lines),
        hint=(
            "start a scheduler: provctl scheduler start; or continue it: provctl"
            " resume RUN; provctl help recovery"
        ),
    )
