"""Owns `provctl scheduler`: start, stop and look at the background process."""

from __future__ import annotations

import sys
import time
from typing import Any, Dict, Optional, Sequence, Tuple

import click

from provctl import __version__
from provctl.cli.context import Session, emit, tell_version
from provctl.cli.kinds import MOMENT
from provctl.cli.options import Verbs
from provctl.cli.service import install, restart_service, uninstall

__all__ = ["scheduler"]


@click.group(cls=Verbs)
def scheduler() -> None:
    """The background scheduler. Its end never ends a task."""


scheduler.add_command(install)
scheduler.add_command(uninstall)


@scheduler.command()
@click.pass_obj
def start(session: Session) -> None:
    """Start the scheduler, unless one runs."""
    already = session.reach.scheduler()
    holder = already or session.reach.ensure_scheduler(asked=True)
    word = "already running" if already else "started"
    click.echo(f"scheduler {word}: process {holder.pid}", err=True)
    tell_version(session, holder)


@scheduler.command()
@click.pass_obj
def stop(session: Session) -> None:
    """Stop the scheduler. Tasks go on; the next scheduler adopts them."""
    answer = session.reach.stop_scheduler()
    if answer is None:
        click.echo("no scheduler is running", err=True)
        return
    running = answer["running"]
    rest = f"; {running} tasks go on and are adopted at the next start"
    click.echo("scheduler stopped" + (rest if running else ""), err=True)


@scheduler.command()
@click.pass_obj
def restart(session: Session) -> None:
    """Stop the scheduler and start it again. Tasks never notice.

    One that a service manager runs is restarted by that.
    """
    if session.reach.scheduler() is not None:
        scope = session.reach.ask_scheduler("status").get("service")
        if scope is not None:
            restart_service(scope)
            return
    session.reach.stop_scheduler()
    holder = session.reach.ensure_scheduler(asked=True)
    click.echo(f"scheduler started: process {holder.pid}", err=True)


@scheduler.command()
@click.pass_obj
def status(session: Session) -> None:
    """Show whether the scheduler runs. Exits 0 either way."""
    holder = session.reach.scheduler()
    record: Dict[str, Any] = {
        "running": holder is not None,
        "pid": holder.pid if holder else None,
        "socket": holder.socket if holder else None,
        "state_dir": str(session.folder.path),
        "version": holder.version if holder else __version__,
        "queued": len(session.folder.queued()),
    }
    if holder is not None:
        record.update(session.reach.ask_scheduler("status"))
    if session.output == "json":
        import json

        click.echo(json.dumps(record, indent=2))
    else:
        columns = ("running", "pid", "version", "queued", "state_dir")
        emit(session, [record], columns, name="pid")
    if holder is not None:
        tell_version(session, holder)


@scheduler.command()
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "-n", "--last", type=click.IntRange(1), default=100, help="Lines to show."
)
@click.option(
    "--since", type=MOMENT, metavar="TIME", help="Said at or after: 2h, 14:03."
)
@click.pass_obj
def logs(session: Session, follow: bool, last: int, since: Optional[float]) -> None:
    """Show what the scheduler says of itself."""
    try:
        file = session.reach.log.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        click.echo("the scheduler has never run here", err=True)
        return
    with file:
        lines = file.readlines()
        for line in lines[max(_first(lines, since), len(lines) - last) :]:
            sys.stdout.write(line)
        while follow:
            sys.stdout.write(file.read())
            sys.stdout.flush()
            try:
                time.sleep(0.2)
            except KeyboardInterrupt:
                return


def _first(lines: Sequence[str], since: Optional[float]) -> int:
    """The place of the first line of a time; every line begins with when it was."""
    if since is None:
        return 0
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))
    return next((n for n, line in enumerate(lines) if line[:20] >= stamp), len(lines))


@scheduler.command("run-hooks", hidden=True)
@click.argument("runs", nargs=-1)
@click.pass_obj
def run_hooks(session: Session, runs: Tuple[str, ...]) -> None:
    """Run the hooks of runs that have ended; whoever owned them starts this."""
    from provctl.app.hooks import HookRunner
    from provctl.cli.exits import exit_code_of

    HookRunner(
        session.loaded.settings,
        session.folder,
        session.environ,
        exit_code=lambda outcome: exit_code_of([outcome]),
        note=session.reach.note,
    ).run(runs)


@scheduler.command()
@click.option("--ready-fd", type=int, hidden=True)
@click.pass_obj
def serve(session: Session, ready_fd: Optional[int]) -> None:
    """Be the scheduler, in the foreground: for service managers and containers.

    Where another one runs it takes over; tasks never notice. It ends on SIGTERM
    and on Ctrl-C, and tasks go on.
    """
    from provctl.app.background import say
    from provctl.app.background import serve as be_scheduler
    from provctl.app.readiness import Pipe, ServiceManager

    settings, folder = session.loaded.settings, session.folder
    if ready_fd is not None:
        be_scheduler(settings, folder, Pipe(ready_fd), log=say)
        return

    def log(line: str) -> None:
        say(line)
        session.reach.write_log(line)

    be_scheduler(
        settings,
        folder,
        ServiceManager(session.environ),
        log=log,
        take_over=session.reach.stop_scheduler,
    )
