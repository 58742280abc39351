"""`provisioning-orchestrator`: the platform's command that starts the scheduler."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, List, Optional
from urllib.parse import urlsplit

import click

from provctl.cli.commands.scheduler import serve, start
from provctl.errors import RequestRejected, StateDirError

if TYPE_CHECKING:
    from provctl.cli.session import Session


_PORT = 9090  # where the platform's modules expect it


@click.command()
@click.option("--daemon", is_flag=True, help="Start it in the background and exit.")
@click.option(
    "--port", type=click.IntRange(1, 65_535), help="Port that the API listens on."
)
@click.option(
    "--data-dir", metavar="DIR", help="State directory, where runs are stored."
)
@click.pass_context
def orchestrator(
    ctx: click.Context, daemon: bool, port: Optional[int], data_dir: Optional[str]
) -> None:
    """Start the scheduler with its API on a port: `provctl scheduler start` or `serve`.

    Without --port, the port of the settings is used, or else 9090. If a scheduler is
    running without a port, it is restarted with it; running tasks are not affected.
    """
    session: Session = ctx.obj
    if data_dir is not None:
        session = replace(session, flags={"storage.data_dir": data_dir})
    asked = port
    if port is None and not session.loaded.settings.addresses:
        port = _PORT
    if port is not None:
        # By the environment: background processes get no flags.
        variables = {"PROVCTL_SERVER_PORT": str(port)}
        session = replace(session, environ={**session.environ, **variables})
    ctx.obj = session
    if not daemon:
        ctx.invoke(serve)
        return
    wanted = asked or session.loaded.settings.addresses[0][1]
    _make_way(session, wanted)
    ctx.invoke(start)
    _check(session, wanted, by_name=asked is not None)


def _make_way(session: Session, port: int) -> None:
    """Stop a scheduler that listens on no port, so that the next one can.

    Raises RequestRejected if a service manager would start it again without a port.
    """
    if session.owner_client.scheduler() is None or _ports(session):
        return
    scope = session.owner_client.ask_scheduler("status").get("service")
    if scope is not None:
        message = "the scheduler is a service and does not listen on a port"
        hint = f"set server.port = {port} in its configuration, then scheduler restart"
        raise RequestRejected(message, hint=hint)
    session.owner_client.stop_scheduler()


def _check(session: Session, port: int, *, by_name: bool) -> None:
    """Raise RequestRejected or StateDirError unless the scheduler listens there.

    Another port is accepted if the port was not given explicitly.
    """
    ports = _ports(session)
    if port in ports or (ports and not by_name):
        return
    if not ports:
        message = f"the scheduler is running, but does not listen on port {port}"
        raise StateDirError(message, hint="see: provctl scheduler logs")
    others = ", ".join(map(str, ports))
    message = f"the scheduler already listens on port {others}, not on {port}"
    raise RequestRejected(
        message, hint="provctl scheduler stop, then start it with this port"
    )


def _ports(session: Session) -> List[int]:
    """The ports of the running scheduler."""
    found = (urlsplit(address) for address in session.owner_client.api_status())
    return [each.port for each in found if each.scheme == "http" and each.port]
