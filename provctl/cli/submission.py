"""Submits loaded workflows, and hands runs to the scheduler."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    List,
    Sequence,
)

import click

from provctl.cli.session import (
    Session,
    emit,
    plural,
    print_hint,
    print_message,
    warn_version,
)
from provctl.errors import ProvctlError

if TYPE_CHECKING:
    from provctl.core.model.workflow import Workflow
    from provctl.runs.submit import SubmitOptions
    from provctl.storage.run_summary import RunSummary


def print_submitted(session: Session, account: RunSummary) -> None:
    """Print the id of a run that was just submitted."""
    if session.output == "table":
        click.echo(f"Workflow submitted: {account.id}")
    else:
        rows = [{"id": account.id, "status": account.status}]
        emit(session, rows, ("id",), name="id")


def submit_runs(
    session: Session, workflows: Sequence[Workflow], wishes: SubmitOptions
) -> List[RunSummary]:
    """Write runs to disk, hand them to the scheduler, and return their summaries.

    If no scheduler can be reached, they stay queued and a note says so. Existing runs
    with the same key are queued again, in case the first submit was killed before it
    did so. Raises what `runs.submit.submit` does; runs that are on disk by then are
    handed to the scheduler and named.
    """
    with session.folder.submitting():
        return _submit_loaded(session, workflows, wishes)


def _submit_loaded(
    session: Session, workflows: Sequence[Workflow], wishes: SubmitOptions
) -> List[RunSummary]:
    from provctl.runs.submit import submit as put
    from provctl.storage.run_summary import summarise

    folder = session.folder
    ids: List[str] = []
    try:
        for number, workflow in enumerate(workflows):
            ids.append(put(folder, workflow, wishes, part=number))
    except ProvctlError:
        if ids:
            some = f"{len(ids)} of {plural(len(workflows), 'run')}"
            print_message(f"only {some} submitted: {', '.join(ids)}")
            enqueue_runs(session, ids)
        raise
    accounts = [summarise(folder.run(run_id)) for run_id in ids]
    for run in accounts:
        if run.status != "queued":
            message = f"submitted before with this key: {run.id} {run.status_word}"
            print_message(message)
    going = [run.id for run in accounts if run.outcome is None]
    if going:
        enqueue_runs(session, going)
    return accounts


def enqueue_runs(session: Session, ids: Sequence[str]) -> None:
    """Queue orphaned runs; print a note if no scheduler can be reached."""
    from provctl.errors import SchedulerUnreachable, StateDirError

    try:
        holder = session.owner_client.enqueue(ids)
    except (SchedulerUnreachable, StateDirError) as problem:
        print_message(f"queued, but no scheduler could be reached: {problem.message}")
        print_hint(session, problem.hint or "")
    else:
        warn_version(session, holder)
