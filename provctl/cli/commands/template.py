"""`provctl template`: Jinja2 templates, rendered with values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import click

from provctl.base.stdio import data_stream
from provctl.base.text import NotText, decode
from provctl.cli.options.global_options import SuggestingGroup
from provctl.cli.session import by_key
from provctl.errors import InvalidWorkflow, UsageError

_MAX_VALUES = 64 << 20  # bytes


@click.group(cls=SuggestingGroup)
def template() -> None:
    """Render Jinja2 templates."""


@template.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, resolve_path=True))
@click.option(
    "--values",
    metavar="JSON",
    help="Values as a JSON record; @FILE reads a file, - reads stdin.",
)
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one value; repeat for more.",
)
@click.option(
    "-O",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of stdout; it is replaced only on success.",
)
def render(
    file: str, values: Optional[str], pairs: Tuple[str, ...], out: Optional[Path]
) -> None:
    """Render a template; undefined variables are an error."""
    given = _values(values)
    given.update(by_key("--set", map(_pair, pairs)))

    from provctl.templating import render as rendered

    text = rendered(Path(file), given)
    if out is None:
        data_stream(sys.stdout).write(text)
    else:
        from provctl.base.atomic_write import write_whole

        # Values may be secret: a new file is for its owner alone.
        write_whole(out, text.encode("utf-8"))


def _values(given: Optional[str]) -> Dict[str, Any]:
    if given is None:
        return {}
    where, content = "--values", given.encode("utf-8", "surrogateescape")
    if given == "-":
        content = sys.stdin.buffer.read(_MAX_VALUES + 1)
    elif given.startswith("@"):
        where = given[1:]
        try:
            with Path(where).open("rb") as file:
                content = file.read(_MAX_VALUES + 1)
        except OSError as problem:
            message = f"--values: {where}: {problem.strerror}"
            raise UsageError(message) from problem
    if len(content) > _MAX_VALUES:
        message = f"{where}: more than {_MAX_VALUES >> 20} MiB"
        raise UsageError(message)
    values = _read(where, content)
    if not isinstance(values, dict):
        message = f"{where}: the values must be a record"
        raise UsageError(message, hint='for example --values \'{"name": "web-1"}\'')
    return values


def _read(where: str, content: bytes) -> Any:
    """Return what JSON holds, as strictly as a workflow file is read."""
    from provctl.workflow_files.formats.json_source import read_json
    from provctl.workflow_files.source_text import SourceText

    try:
        return read_json(SourceText(where, decode(content))).value
    except NotText as problem:
        message = f"{where}: {problem}"
        raise UsageError(message) from problem
    except InvalidWorkflow as problem:
        first = problem.mistakes[0]
        message = f"{where}:{first.line}:{first.column}: {first.message}"
        raise UsageError(message, hint=first.hint) from problem


def _pair(text: str) -> Tuple[str, Any]:
    from provctl.workflow_files.params import infer_type

    key, equals, value = text.partition("=")
    if not (key and equals):
        message = f"--set {text}: not of the form key=value"
        raise UsageError(message)
    return key, infer_type(value)
