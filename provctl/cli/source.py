"""Owns getting a workflow from a file: settings in, a checked workflow out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterator, Optional, Sequence

from provctl.errors import UsageProblem

if TYPE_CHECKING:
    from provctl.cli.context import Session
    from provctl.core.model import Workflow

__all__ = ["load"]


def load(session: Session, file: str, params: Sequence[str]) -> Workflow:
    """Load and check a workflow file, and that `nu` is there if it is needed.

    `params` are texts "key=value". Raises WorkflowInvalid, ToolMissing,
    UsageProblem.
    """
    # Pydantic would look through every installed package for plugins of its own.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from provctl.app.environment import task_environment
    from provctl.core.model import Call, Script
    from provctl.nushell.library import check_call
    from provctl.spec.load import Limits, LoadContext, WrongCall, load_workflow

    settings = session.loaded.settings
    environment = task_environment(session.environ, settings.executor.env_passthrough)

    def look(library: Optional[str], call: Call) -> Optional[WrongCall]:
        folder = library or settings.nushell.provisioning_lib
        if folder is None:
            hint = "set `library` in the workflow, or nushell.provisioning_lib"
            return WrongCall("module", "there is no library to call from", hint)
        wrong = check_call(Path(folder), call.module, call.command)
        if wrong is None:
            return None
        return WrongCall(wrong.field, wrong.message, wrong.hint)

    context = LoadContext(
        cwd=str(Path.cwd()),
        environment=environment,
        known_pools=settings.pools,
        check_call=look,
        nickel_binary=settings.nickel.binary,
        limits=Limits(
            wall_s=settings.nickel.timeout_seconds,
            memory_bytes=settings.nickel.memory_mb << 20,
        ),
    )
    workflow = load_workflow(Path(file), _pairs(params), context=context)
    if any(isinstance(work, (Call, Script)) for work in _works(workflow)):
        from provctl.nushell.binary import find_nu
        from provctl.nushell.compatibility import check_library

        library = workflow.library or settings.nushell.provisioning_lib
        if library is not None:
            check_library(Path(library))

        find_nu(settings.nushell.binary, environment.get("PATH", ""))
    return workflow


def _works(workflow: Workflow) -> Iterator[object]:
    """All that its tasks may run."""
    for task in workflow.tasks:
        yield from (task.action, task.probe, task.undo and task.undo.action)


def _pairs(params: Sequence[str]) -> Dict[str, str]:
    pairs = {}
    for param in params:
        key, equals, value = param.partition("=")
        if not equals or not key:
            message = f"-p {param}: not of the form key=value"
            raise UsageProblem(message, hint="for example: -p zone=fi-hel1")
        pairs[key] = value
    return pairs
