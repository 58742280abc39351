"""Owns `provisioning-orchestrator`: the platform's own way to start its orchestrator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Optional

import click

from provctl.cli.scheduler import serve, start

if TYPE_CHECKING:
    from provctl.cli.context import Session

__all__ = ["orchestrator"]

_PORT = 9090  # where the platform's modules look for it


@click.command()
@click.option("--daemon", is_flag=True, help="Start it in the background, and return.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Where its API listens.")
@click.option("--data-dir", metavar="DIR", help="Where runs are kept.")
@click.pass_context
def orchestrator(
    ctx: click.Context, daemon: bool, port: Optional[int], data_dir: Optional[str]
) -> None:
    """Start the scheduler, listening on a port: `provctl scheduler start` or `serve`.

    Without --port it is the one of the settings, or else 9090.
    """
    session: Session = ctx.obj
    if data_dir is not None:
        session = replace(session, flags={"storage.data_dir": data_dir})
    if port is None and session.loaded.settings.server.address is None:
        port = _PORT
    if port is not None:
        # By the environment: what is started in the background sees no flags.
        variables = {"PROVCTL_SERVER_PORT": str(port)}
        session = replace(session, environ={**session.environ, **variables})
    ctx.obj = session
    if daemon:
        ctx.invoke(start)
    else:
        ctx.invoke(serve)
