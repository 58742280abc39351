"""`provctl node`: the machines that run tasks, and the agent on one of them."""

from __future__ import annotations

from typing import Any, Dict

import click

from provctl.cli.options.global_options import SuggestingGroup
from provctl.cli.session import Session, emit, print_message


@click.group(cls=SuggestingGroup)
def node() -> None:
    """Show and drain the nodes, the machines that run tasks."""


@node.command("list")
@click.pass_obj
def list_nodes(session: Session) -> None:
    """List the nodes of the configuration, without asking them."""
    from provctl.runs.nodes import node_rows

    rows = node_rows(session.loaded.settings, session.folder)
    if session.output == "table":
        rows = [
            {
                **row,
                "labels": ", ".join(row["labels"]) or None,
                "heard_at": _clock_time(row["heard_at"]),
            }
            for row in rows
        ]
    columns = ("name", "ssh", "slots", "labels", "status", "heard_at", "problem")
    emit(session, rows, columns, name="name")


@node.command()
@click.argument("name")
@click.pass_context
def show(ctx: click.Context, name: str) -> None:
    """Connect to a node and show what it says of itself.

    Exits with 32 if it cannot be used.
    """
    from provctl.errors import StateDirError
    from provctl.runs.nodes import find_node, node_record, probe_node

    session: Session = ctx.obj
    config = find_node(session.loaded.settings, name)
    probe = probe_node(config)
    record: Dict[str, Any] = {
        "name": name,
        "ssh": config.ssh,
        "slots": config.slots,
        "status": "drained" if node_record(session.folder, name).drained else "active",
        **{key: probe.hello.get(key) for key in _SHOWN},
        "problem": probe.problem or None,
    }
    if session.output == "table":
        for key, value in record.items():
            click.echo(f"{key:8}  {'-' if value in (None, '') else value}")
    else:
        emit(session, [record], (), name="name")
    ctx.exit(StateDirError.exit_code if probe.problem else 0)


_SHOWN = ("version", "boot", "root", "cpus", "memory", "nu")


@node.command()
@click.argument("name")
@click.pass_obj
def drain(session: Session, name: str) -> None:
    """Give a node no new tasks; those that run there go on."""
    from provctl.runs.nodes import drain_node

    drain_node(session.loaded.settings, session.folder, name)
    print_message(f"drained: {name}")


@node.command()
@click.argument("name")
@click.pass_obj
def resume(session: Session, name: str) -> None:
    """Give a drained node new tasks again."""
    from provctl.runs.nodes import resume_node

    resume_node(session.loaded.settings, session.folder, name)
    print_message(f"resumed: {name}")


def _clock_time(at: Any) -> str:
    from datetime import datetime

    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M}" if at else "-"


@node.command(hidden=True)
@click.option("--cwd", default="", help="Folder in which tasks start.")
@click.pass_obj
def agent(session: Session, cwd: str) -> None:
    """Run tasks for an owner on another machine, over the standard streams."""
    from provctl.runs.node_agent import serve_owner

    serve_owner(session.loaded.settings, session.folder, cwd)
