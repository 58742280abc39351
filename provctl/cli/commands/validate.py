"""`provctl validate`: workflow files are checked, nothing runs."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Tuple,
)

import click

from provctl.base.text import plain
from provctl.cli.completion.param_types import FILE
from provctl.cli.options.run_options import params_option
from provctl.cli.session import (
    Session,
    plural,
)

if TYPE_CHECKING:
    from provctl.core.model.workflow import Workflow


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@params_option()
@click.pass_obj
def validate(session: Session, files: Tuple[str, ...], params: Tuple[str, ...]) -> None:
    """Check workflow files and show all errors; run nothing."""
    from provctl.cli.load_workflow import load_all, load_and_check_scripts

    def tell(file: str, workflow: Workflow) -> None:
        tasks = plural(len(workflow.tasks), "task")
        click.echo(plain(f"{file}: {workflow.name}, {tasks}, valid"))

    load_all(session, files, params, tell, load_one=load_and_check_scripts)
