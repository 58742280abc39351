"""`provctl env`: what commands of the library find in their environment."""

from __future__ import annotations

import json
import re
import shlex
import sys
from typing import Dict, Optional

import click

from provctl.base.stdio import data_stream
from provctl.cli.session import Session, emit
from provctl.errors import MissingTool
from provctl.nushell.library.scan import SHIPPED
from provctl.runs.task_environment import is_text


@click.command()
@click.option(
    "--for",
    "shell",
    type=click.Choice(["sh", "nu"]),
    help='Print it so that you can load it: eval "$(... --for sh)", or ... --for nu | from json | load-env.',
)
@click.pass_obj
def env(session: Session, shell: Optional[str]) -> None:
    """Show the environment of library commands.

    It includes the programs and folders that they use; null means that there is none.
    In this environment, Nushell finds provctl.nu and provctl/http.nu, and these find
    the scheduler and its token.
    """
    settings = session.loaded.settings
    endpoint = session.endpoint
    folders = [str(folder) for folder in (session.library_folder, SHIPPED) if folder]
    variables: Dict[str, Optional[str]] = {
        **{
            name: value
            for name, value in session.environ.items()
            if name.startswith("PROVISIONING_")
        },
        **settings.nushell.env_vars,
        "NU_LIB_DIRS": ":".join(folders),
        "PROVCTL_ENDPOINT": endpoint,
        "PROVCTL_NUSHELL_BINARY": _nu(session),
        "PROVCTL_ORCHESTRATOR_ENDPOINT": settings.orchestrator.endpoint or endpoint,
        "PROVCTL_STATE_DIR": str(session.folder.path),
    }
    there = {
        name: value
        for name, value in sorted(variables.items())
        if value and is_text(value) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    }
    if shell == "sh":
        out = data_stream(sys.stdout)
        for name, value in there.items():
            out.write(f"export {name}={shlex.quote(value)}\n")
    elif shell == "nu":
        # Nushell takes the folders apart when it starts, and never again.
        click.echo(json.dumps({**there, "NU_LIB_DIRS": folders}))
    else:
        rows = [{"name": name, "value": variables[name]} for name in sorted(variables)]
        emit(session, rows, ("name", "value"), name="name", fits=False)


def _nu(session: Session) -> Optional[str]:
    try:
        return session.nu
    except MissingTool:
        return None
