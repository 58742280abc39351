"""Loads and checks workflow files with the settings."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Sequence

from provctl.cli.session import by_key, plural, print_message
from provctl.errors import InvalidWorkflow, MissingTool, UsageError

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.model.workflow import Workflow
    from provctl.errors import Diagnostic


def load(session: Session, file: str, params: Sequence[str]) -> Workflow:
    """Load and check a workflow file, and that `nu` exists if it is needed.

    `params` are texts "key=value". Raises InvalidWorkflow, MissingTool,
    UsageError.
    """
    # Pydantic would search every installed package for plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from provctl.config.paths import cache_dir
    from provctl.runs.load_context import check_tools, make_context
    from provctl.runs.param_cache import remember_params
    from provctl.workflow_files.load import load_workflow

    settings, given = session.loaded.settings, pairs(params)
    context = replace(
        make_context(settings, session.environ, Path.cwd()),
        tell=lambda note: print_message(f"note: {note}"),
    )
    began = time.perf_counter()
    workflow = load_workflow(Path(file), given, context=context)
    took_s = time.perf_counter() - began
    tasks = plural(len(workflow.tasks), "task")
    session.log_verbose(f"{file}: {tasks}, validated in {took_s:.3f}s")
    remember_params(cache_dir(), Path(file), workflow.params, given)
    check_tools(settings, workflow)
    return workflow


def load_and_check_scripts(
    session: Session, file: str, params: Sequence[str]
) -> Workflow:
    """Load and check a workflow file, its scripts and the programs that it needs.

    Prints warnings about problems that may be gone when it runs. Raises like `load`.
    """
    from provctl.config.paths import cache_dir
    from provctl.runs.script_checks import inspect_scripts
    from provctl.workflow_files.diagnostics import group_similar, remaining_count

    workflow = load(session, file, params)
    seen = inspect_scripts(session.loaded.settings, workflow, file, cache_dir())
    for group in group_similar(seen.warnings):
        first, others = group[0], remaining_count(group)
        place = f"{first.file}:{first.line}" if first.line else first.file
        more = f" ({others})" if others else ""
        print_message(f"warning: {place}: {first.message}{more}")
    if seen.mistakes:
        raise InvalidWorkflow(list(seen.mistakes))
    return workflow


def load_all(
    session: Session,
    files: Sequence[str],
    params: Sequence[str],
    tell: Callable[[str, Workflow], None] = lambda _file, _workflow: None,
    *,
    load_one: Callable[[Session, str, Sequence[str]], Workflow] = load,
) -> List[Workflow]:
    """Load and check workflow files; `tell` is called for each valid one.

    Raises InvalidWorkflow with the mistakes of all of them; only if there are none
    MissingTool. Raises UsageError.
    """
    workflows: List[Workflow] = []
    mistakes: List[Diagnostic] = []
    others = 0
    missing: Optional[MissingTool] = None
    for file in files:
        try:
            workflow = load_one(session, file, params)
        except InvalidWorkflow as problem:
            mistakes += problem.mistakes
            others += problem.others
        except MissingTool as problem:
            missing = missing or problem
        else:
            workflows.append(workflow)
            tell(file, workflow)
    if mistakes:
        raise InvalidWorkflow(mistakes, others=others)
    if missing is not None:
        raise missing
    return workflows


def is_file(what: str) -> bool:
    """Return whether a word that may name a run names a workflow file."""
    from provctl.workflow_files.source_text import SUFFIXES

    return Path(what).suffix in SUFFIXES and Path(what).exists()


def pairs(params: Sequence[str]) -> Dict[str, str]:
    """Return texts "key=value" as a record. Raises UsageError."""
    found = []
    for param in params:
        key, equals, value = param.partition("=")
        if not equals or not key:
            message = f"-p {param}: not of the form key=value"
            raise UsageError(message, hint="for example: -p zone=fi-hel1")
        found.append((key, value))
    return by_key("-p", found)
