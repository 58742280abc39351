"""`provctl outputs`: what tasks returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import click

from provctl.base.text import plain
from provctl.cli.completion.param_types import RUN_OR_TASK, TASK
from provctl.cli.run_details import print_json

if TYPE_CHECKING:
    from provctl.cli.session import Session


@click.command()
@click.argument("run", metavar="RUN[/TASK]", type=RUN_OR_TASK)
@click.argument("task", required=False, type=TASK)
@click.argument("path", required=False)
@click.pass_obj
def outputs(
    session: Session, run: str, task: Optional[str], path: Optional[str]
) -> None:
    """Print the values that tasks returned, as JSON.

    Print those of all tasks, that of TASK, or the part of it at PATH. Tasks that were
    undone have no output.
    """
    from provctl.cli.watching.watch_runs import interrupted_hint
    from provctl.core.engine.reopen import why_stale
    from provctl.core.engine.requests import no_task
    from provctl.core.model.expressions import ValueMissing, resolve
    from provctl.errors import NotFound, UsageError
    from provctl.runs.find import find_run
    from provctl.runs.follow import Follower

    run, *named = run.split("/", 1)
    if named and path is not None:
        message = f"two tasks are given: {named[0]} and {task}"
        raise UsageError(message, hint="use RUN TASK PATH or RUN/TASK PATH")
    if named:
        task, path = named[0], task
    follower = Follower(session.folder.run(find_run(session.folder, run)))
    follower.read_state()
    tasks = follower.run.tasks
    stale = why_stale(follower.run)
    gone = {name for name in stale if tasks[name].outcome != "succeeded"}
    known = {}
    if task is None:
        found: Any = {
            name: state.output
            for name, state in tasks.items()
            if state.output is not None and name not in gone
        }
        known = {name: stale[name] for name in found if name in stale}
    elif task not in tasks:
        raise no_task(follower.run, task)
    elif task in gone:
        message = f"{task} has no output: it {stale[task]}"
        raise NotFound(message)
    else:
        known = {task: stale[task]} if task in stale else {}
        wanted = {"$output": {"task": task, "path": path or ""}}
        # A call that returned `success: false` has failed, and has an output.
        own = tasks[task].output
        try:
            found = resolve(
                wanted,
                follower.run.output_of if own is None else lambda _task: own,
                follower.run.outcome_of,
            )
        except ValueMissing as missing:
            hint = follower.unattended().get(task)
            raise NotFound(str(missing), hint=hint) from None
    for name, why in known.items():
        interrupted_hint(f"{plain(name)} {plain(why)}")
    print_json(session, found)
