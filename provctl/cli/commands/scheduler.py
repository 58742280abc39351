"""`provctl scheduler`: start, stop and look at the background process."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from functools import partial
from typing import Any, Dict, Optional, Sequence, Tuple

import click

from provctl import __version__
from provctl.base.stdio import binary_of
from provctl.cli.options.global_options import SuggestingGroup
from provctl.cli.options.value_types import PAST
from provctl.cli.scheduler_service import install, restart_service, uninstall
from provctl.cli.session import Session, emit, print_message, warn_version


@click.group(cls=SuggestingGroup)
def scheduler() -> None:
    """Manage the background scheduler. Stopping it does not stop tasks."""


scheduler.add_command(install)
scheduler.add_command(uninstall)


@scheduler.command()
@click.pass_obj
def start(session: Session) -> None:
    """Start the scheduler, unless it is running."""
    already = session.owner_client.scheduler()
    holder = already or session.owner_client.ensure_scheduler(asked=True)
    word = "already running" if already else "started"
    print_message(f"scheduler {word}: process {holder.pid}")
    for problem in session.owner_client.api_status("api_problems") if already else ():
        print_message(problem)
    warn_version(session, holder)


@scheduler.command()
@click.pass_obj
def stop(session: Session) -> None:
    """Stop the scheduler. Tasks continue; the next scheduler adopts them."""
    answer = session.owner_client.stop_scheduler()
    if answer is None:
        print_message("no scheduler is running")
        return
    running = answer["running"]
    rest = f"; {running} tasks continue; the next scheduler adopts them"
    print_message("scheduler stopped" + (rest if running else ""))
    following = session.owner_client.scheduler()
    if following is not None and following.pid != answer.get("pid"):
        words = f"another scheduler has replaced it: process {following.pid}"
        print_message(words)


@scheduler.command()
@click.pass_obj
def restart(session: Session) -> None:
    """Stop the scheduler and start it again. Running tasks are not affected.

    If a service manager runs the scheduler, the service manager restarts it.
    """
    if session.owner_client.scheduler() is not None:
        scope = session.owner_client.ask_scheduler("status").get("service")
        if scope is not None:
            restart_service(scope)
            return
    session.owner_client.stop_scheduler()
    holder = session.owner_client.ensure_scheduler(asked=True)
    print_message(f"scheduler started: process {holder.pid}")


@scheduler.command()
@click.pass_obj
def status(session: Session) -> None:
    """Show whether the scheduler is running. Exits with 0 in both cases."""
    holder = session.owner_client.scheduler()
    record: Dict[str, Any] = {
        "running": holder is not None,
        "pid": holder.pid if holder else None,
        "socket": holder.socket if holder else None,
        "state_dir": str(session.folder.path),
        "version": holder.version if holder else __version__,
        "queued": len(session.folder.queued()),
    }
    if holder is not None:
        record.update(session.owner_client.ask_scheduler("status"))
    if session.output == "json":
        import json

        click.echo(json.dumps(record, indent=2))
    else:
        columns = ("running", "pid", "version", "queued", "state_dir")
        emit(session, [record], columns, name="pid")
    if holder is not None:
        warn_version(session, holder)


@scheduler.command()
@click.option("-f", "--follow", is_flag=True, help="Follow the log until Ctrl-C.")
@click.option(
    "-n",
    "--last",
    type=click.IntRange(1),
    default=100,
    help="Number of lines to show (default: 100).",
)
@click.option(
    "--since",
    type=PAST,
    metavar="TIME",
    help="Only lines written at or after this time: 2h, 14:03.",
)
@click.pass_obj
def logs(session: Session, follow: bool, last: int, since: Optional[float]) -> None:
    """Show the log of the scheduler."""
    from provctl.storage.log_rotation import LogReader

    try:
        log = LogReader(session.owner_client.log)
    except FileNotFoundError:
        print_message("the scheduler has never run here")
        return
    with closing(log):
        lines = log.first().splitlines(keepends=True)
        for line in lines[max(_first(lines, since), len(lines) - last) :]:
            sys.stdout.write(line)
        while follow:
            sys.stdout.write(log.more())
            sys.stdout.flush()
            try:
                time.sleep(0.2)
            except KeyboardInterrupt:
                return


def _first(lines: Sequence[str], since: Optional[float]) -> int:
    """The place of the first line of a time; tracebacks apart, each begins with it."""
    if since is None:
        return 0
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))
    late = (
        n for n, line in enumerate(lines) if line[:4].isdigit() and line[:20] >= stamp
    )
    return next(late, len(lines))


@scheduler.command("run-hooks", hidden=True)
@click.argument("runs", nargs=-1)
@click.pass_obj
def run_hooks(session: Session, runs: Tuple[str, ...]) -> None:
    """Run the hooks of finished runs; the process that owned the runs starts this."""
    from provctl.cli.exit_codes import exit_code_of
    from provctl.runs.hooks import HookRunner

    HookRunner(
        session.loaded.settings,
        session.folder,
        session.environ,
        exit_code=lambda outcome: exit_code_of([outcome]),
        note=session.owner_client.log_note,
    ).run(runs)


@scheduler.command("load-workflow", hidden=True)
@click.pass_obj
def load_workflow(session: Session) -> None:
    """Check and queue the workflow on stdin; the scheduler runs this for large ones."""
    # Pydantic would look through every installed package for plugins of its own.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from provctl.daemon.validation_process import answer

    raw = sys.stdin.buffer.read()
    told = answer(lambda: (session.loaded.settings, session.folder), raw)
    binary_of(sys.stdout).write(told)


@scheduler.command()
@click.option("--ready-fd", type=int, hidden=True)
@click.pass_obj
def serve(session: Session, ready_fd: Optional[int]) -> None:
    """Run the scheduler in the foreground (for service managers and containers).

    If another scheduler is running, this one replaces it; tasks are not affected. It
    stops on SIGTERM and Ctrl-C, and tasks continue.
    """
    from provctl.api.control.readiness import Pipe, ServiceManager
    from provctl.daemon.process import serve as be_scheduler
    from provctl.daemon.process import write_line
    from provctl.storage.log_rotation import append

    settings, folder = session.loaded.settings, session.folder
    if ready_fd is not None:
        # What the interpreter may say goes there too.
        log_it = partial(append, session.owner_client.log, streams=(1, 2))
        be_scheduler(settings, folder, Pipe(ready_fd), log=log_it)
        return

    def log(line: str) -> None:
        write_line(line)
        session.owner_client.write_log(line)

    be_scheduler(
        settings,
        folder,
        ServiceManager(session.environ),
        log=log,
        take_over=session.owner_client.stop_scheduler,
    )
