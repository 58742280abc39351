"""Owns a run in this process while it is watched."""

from __future__ import annotations

from contextlib import suppress
from typing import (
    TYPE_CHECKING,
    Optional,
    Sequence,
)

from provctl.cli.exit_codes import READER_GONE, exit_code_of
from provctl.cli.session import (
    Session,
    print_hint,
    print_message,
)

if TYPE_CHECKING:
    from provctl.core.engine.requests import Request
    from provctl.executors.protocol import Executor


def run_foreground(
    session: Session,
    run_id: str,
    executor: Executor,
    *,
    jobs: Optional[int],
    requests: Sequence[Request] = (),
) -> int:
    """Own a run in the foreground and show it; return its exit code."""
    from provctl.cli.ci.job_results import write_ci_summary
    from provctl.cli.run_details import show_runs
    from provctl.cli.watching.open_view import open_screen
    from provctl.runs.foreground import Observer, run_in_foreground

    with open_screen(session) as screen:
        audience = Observer(
            on_update=lambda facts: screen.on_update(facts.run, facts.events),
            say=screen.print_note,
            on_tick=lambda state: screen.on_tick([state]),
            tick_s=screen.tick_s,
        )
        ending = run_in_foreground(
            session.loaded.settings,
            session.folder,
            run_id,
            audience,
            executor=executor,
            owner_client=session.owner_client,
            slots=jobs,
            requests=requests,
        )
        if not ending.left:
            screen.close([ending.run])
    if ending.left:
        _tell_where(session, run_id)
    else:
        with suppress(OSError):
            write_ci_summary(session, [run_id])
    if ending.left:
        return _LEFT[ending.left]
    code = exit_code_of([ending.run.outcome])
    if session.output != "table":
        try:
            show_runs(session, [run_id], many=False)
        except OSError:
            if code == 0:
                raise
    return code


# Exit code of a command whose run continues in the background, as shells have it:
# of a SIGHUP, of a closed pipe, of a SIGTERM, of a watcher that was told to stop.
_LEFT = {"hangup": 129, "output": READER_GONE, "terminated": 143, "detached": 130}


def _tell_where(session: Session, run_id: str) -> None:
    """Print that a run continues in the background, if the terminal is still open."""
    print_message(f"run {run_id} continues in the background")
    print_hint(session, f"provctl attach {run_id}")
