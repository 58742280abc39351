"""Owns `provctl env`: what commands of the library find in their environment."""

from __future__ import annotations

from typing import Dict, Optional

import click

from provctl.cli.context import Session, emit
from provctl.errors import ToolMissing
from provctl.nushell.library import SHIPPED

__all__ = ["env"]


@click.command()
@click.pass_obj
def env(session: Session) -> None:
    """Show what commands of the library have in their environment.

    And the programs and places that are used for them; null where there is none.
    """
    settings = session.loaded.settings
    library = session.library_folder
    variables: Dict[str, Optional[str]] = {
        **{
            name: value
            for name, value in session.environ.items()
            if name.startswith("PROVISIONING_")
        },
        **settings.nushell.env_vars,
        "NU_LIB_DIRS": ":".join(map(str, filter(None, (library, SHIPPED)))),
        "PROVCTL_NUSHELL_BINARY": _nu(session),
        "PROVCTL_ORCHESTRATOR_ENDPOINT": settings.endpoint,
        "PROVCTL_STATE_DIR": str(session.state_dir),
    }
    rows = [{"name": name, "value": variables[name]} for name in sorted(variables)]
    emit(session, rows, ("name", "value"), name="name")


def _nu(session: Session) -> Optional[str]:
    try:
        return session.nu
    except ToolMissing:
        return None
