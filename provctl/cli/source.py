"""Owns getting a workflow from a file: settings in, a checked workflow out."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Sequence

import click

from provctl.cli.context import many
from provctl.errors import UsageProblem

if TYPE_CHECKING:
    from provctl.cli.context import Session
    from provctl.core.model import Workflow

__all__ = ["is_file", "load", "pairs"]


def load(session: Session, file: str, params: Sequence[str]) -> Workflow:
    """Load and check a workflow file, and that `nu` is there if it is needed.

    `params` are texts "key=value". Raises WorkflowInvalid, ToolMissing,
    UsageProblem.
    """
    # Pydantic would look through every installed package for plugins of its own.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from provctl.app.hints import remember_params
    from provctl.app.loading import check_tools, make_context
    from provctl.config.paths import cache_dir
    from provctl.spec.load import load_workflow

    settings, given = session.loaded.settings, pairs(params)
    context = replace(
        make_context(settings, session.environ, Path.cwd()),
        tell=lambda note: click.echo(f"note: {note}", err=True),
    )
    began = time.perf_counter()
    workflow = load_workflow(Path(file), given, context=context)
    took_s = time.perf_counter() - began
    tasks = many(len(workflow.tasks), "task")
    session.say(f"{file}: {tasks}, checked in {took_s:.3f}s")
    remember_params(cache_dir(), Path(file), workflow.params, given)
    check_tools(settings, workflow)
    return workflow


def is_file(what: str) -> bool:
    """Return whether a word that may name a run names a workflow file."""
    from provctl.spec.sources import SUFFIXES

    return Path(what).suffix in SUFFIXES and Path(what).exists()


def pairs(params: Sequence[str]) -> Dict[str, str]:
    """Return texts "key=value" as a record. Raises UsageProblem."""
    found = {}
    for param in params:
        key, equals, value = param.partition("=")
        if not equals or not key:
            message = f"-p {param}: not of the form key=value"
            raise UsageProblem(message, hint="for example: -p zone=fi-hel1")
        found[key] = value
    return found
