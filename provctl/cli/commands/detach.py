"""`provctl detach`: a foreground run moves to the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provctl.cli.completion.param_types import RUN
from provctl.cli.session import print_hint, print_message

if TYPE_CHECKING:
    from provctl.cli.session import Session


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.pass_obj
def detach(session: Session, run: str) -> None:
    """Move a run in the foreground to the background.

    The command that shows the run exits, and prints how to attach to the run. Running
    tasks are not affected.
    """
    from provctl.errors import RequestRejected
    from provctl.runs.find import find_run
    from provctl.storage.lock import lock_owner
    from provctl.storage.run_summary import summarise

    folder = session.folder.run(find_run(session.folder, run))
    account = summarise(folder)
    if account.outcome is not None:
        message = f"run {folder.id} has already finished ({account.outcome})"
        raise RequestRejected(message, hint=f"provctl status {folder.id}")
    owner = lock_owner(folder.lock)
    if owner is not None and owner.kind == "scheduler":
        said = f"run {folder.id} is already in the background"
    else:
        if owner is None:
            session.owner_client.enqueue([folder.id])
        else:
            session.owner_client.detach(folder.id, owner)
        said = f"run {folder.id} continues in the background"
    print_message(said)
    print_hint(session, f"provctl attach {folder.id}")
