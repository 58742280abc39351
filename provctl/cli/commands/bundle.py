"""`provctl bundle`: one file with what a bug report needs, and what is in it."""

from __future__ import annotations

import io
import json
import os
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional

import click

from provctl.base.stdio import PrintStream
from provctl.base.text import plain
from provctl.cli.completion.param_types import RUN
from provctl.cli.session import Session, emit, print_message
from provctl.errors import InvalidConfig, ProvctlError, UsageError

if TYPE_CHECKING:
    from provctl.runs.support_bundle import Part
    from provctl.storage.layout import RunDir


@click.command()
@click.argument("run", metavar="[RUN]", required=False, type=RUN)
@click.option(
    "-O",
    "--to",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write (default: in this folder, named after the run and the time).",
)
@click.option("--dry-run", is_flag=True, help="List the contents; write nothing.")
@click.option(
    "--with-inputs",
    is_flag=True,
    help="Include parameters, arguments and environment variables.",
)
@click.pass_context
def bundle(
    ctx: click.Context,
    run: Optional[str],
    file: Optional[Path],
    dry_run: bool,
    with_inputs: bool,
) -> None:
    """Create a bug-report archive, readable only by you (tar.gz).

    With RUN, it contains the journal of the run, the structure of the workflow, exit
    records, the last lines of logs, and the output of status, explain and verify. It
    always contains versions, the output of doctor, the settings and the last lines of
    the scheduler's log.

    The contents are listed on stderr: check them before you send the archive. Outputs
    and logs of tasks are included. Parameters, arguments and environment variables are
    left out unless you use --with-inputs. Secrets are always left out.

    Nothing is changed, no scheduler is needed, and the run may be damaged.
    """
    from provctl.runs.support_bundle import redacted, secrets, write_archive

    session: Session = ctx.obj
    usable = _with_default_settings(session)
    folder = None if run is None else usable.run_dir(run)
    known = secrets(folder, usable.folder, session.environ)
    found = _parts(ctx, folder, session, usable, with_inputs=with_inputs)
    parts = [redacted(part, known) for part in found]
    rows: List[Dict[str, Any]] = [
        {"name": part.name, "bytes": len(part.content), "about": part.about}
        for part in parts
    ]
    if dry_run:
        emit(session, rows, ("name", "bytes", "about"), name="name")
        return
    now = time.time()  # noqa: TID251  # for the name and the archive only
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    root = f"provctl-bundle-{folder.id if folder else 'machine'}-{stamp}"
    place = file or Path(f"{root}.tar.gz")
    _write(place, write_archive(parts, root, now))
    for row in rows:
        print_message(f"{row['bytes']:>9}  {row['name']}: {row['about']}")
    if session.output == "table":
        click.echo(plain(str(place)))
    else:
        emit(session, [{"file": str(place), "parts": rows}], (), name="file")


def _with_default_settings(session: Session) -> Session:
    """The session; where its configuration file is broken, one without that."""
    try:
        _ = session.loaded
    except InvalidConfig:
        return replace(session, config_file=os.devnull)
    return session


def _write(place: Path, content: bytes) -> None:
    from provctl.base.atomic_write import write_whole

    if place.is_file():
        message = f"{place}: this file already exists"
        raise UsageError(message, hint="choose another one: -O FILE")
    write_whole(place, content)


def _parts(
    ctx: click.Context,
    folder: Optional[RunDir],
    session: Session,
    usable: Session,
    *,
    with_inputs: bool,
) -> Iterator[Part]:
    from provctl.cli.doctor.command import doctor
    from provctl.runs.support_bundle import Part, collect_run, collect_scheduler

    yield Part("versions.json", _versions(usable), "versions of the tools in use")
    machine = _output_of(ctx, session, doctor) + _output_of(
        ctx, usable, _command(ctx, "scheduler", "status")
    )
    yield Part("doctor.txt", machine, "output of doctor and the scheduler status")
    settings = _settings(session, usable)
    yield Part(
        "config.json", settings, "settings, without the values given to tasks and hooks"
    )
    yield from collect_scheduler(usable.folder)
    if folder is not None:
        output = _of_the_run(ctx, usable, folder.id)
        yield Part("run/said.txt", output, "output of status, explain and verify")
        yield from collect_run(folder, with_inputs=with_inputs)


def _of_the_run(ctx: click.Context, session: Session, run: str) -> bytes:
    output = b""
    for name in ("status", "explain"):
        output += _output_of(ctx, session, _command(ctx, name), run=run)
    verify = _command(ctx, "journal", "verify")
    return output + _output_of(ctx, session, verify, runs=(run,))


def _command(ctx: click.Context, *words: str) -> click.Command:
    """Return a command of the tree: verbs do not import each other."""
    found = ctx.find_root().command
    for word in words:
        assert isinstance(found, click.Group)
        inner = found.get_command(ctx, word)
        assert inner is not None, f"no command {' '.join(words)}"
        found = inner
    return found


def _output_of(
    ctx: click.Context, session: Session, verb: click.Command, **given: Any
) -> bytes:
    """What a verb prints, and its error if it ends with one."""
    raw = io.BytesIO()
    out = PrintStream(raw, encoding="utf-8", errors="backslashreplace")
    out.write(f"== {verb.name} {' '.join(map(str, given.values()))}\n")
    ctx.obj = replace(session, output="table")
    with redirect_stdout(out), redirect_stderr(out):
        try:
            ctx.invoke(verb, **given)
        except click.exceptions.Exit as end:
            out.write(f"exit code {end.exit_code}\n")
        except ProvctlError as problem:
            out.write(f"error: {problem.message}\nexit code {problem.exit_code}\n")
    out.flush()
    return raw.getvalue()


def _versions(session: Session) -> bytes:
    import platform

    from provctl import __version__
    from provctl.cli.doctor.checks import packages

    found: Dict[str, Optional[str]] = {
        "provctl": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "state_dir": str(session.folder.path),
    }
    found.update((package.name, package.version) for package in packages())
    return json.dumps(found, indent=1).encode("ascii")


# Environment variables of tasks and arguments of hooks can contain secrets: the URL of
# a chat webhook allows posting to it. So can the user part of a URL.
_VARIABLES = "nushell.env_vars"
_COMMANDS = "hooks.on_run_finished"


def _settings(session: Session, usable: Session) -> bytes:
    import re

    from provctl.config.registry import KEYS, value_of

    loaded = usable.loaded
    rows: Dict[str, Any] = {}
    try:
        _ = session.loaded
    except InvalidConfig as problem:
        rows["error"] = problem.message
    for key in KEYS:
        value = value_of(loaded.settings, key.name)
        if key.name == _VARIABLES and isinstance(value, dict):
            value = dict.fromkeys(value, "(omitted)")
        elif key.name == _COMMANDS and isinstance(value, tuple):
            value = [[argv[0], f"({len(argv) - 1} omitted)"] for argv in value]
        elif isinstance(value, str):
            value = re.sub(r"(://)[^/@]*@", r"\1***@", value)
        rows[key.name] = {"value": value, "origin": loaded.origins[key.name]}
    return json.dumps(rows, indent=1, default=str).encode("ascii")
