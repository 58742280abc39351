"""The context in which a workflow is loaded: settings and library."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, Mapping, Optional

from provctl.errors import InvalidConfig
from provctl.runs.nodes import place_problem
from provctl.runs.task_environment import task_environment

if TYPE_CHECKING:
    from provctl.config.settings import Settings
    from provctl.core.model.workflow import NushellCall, Workflow
    from provctl.workflow_files.load import LoadContext
    from provctl.workflow_files.problems import CallError


def make_context(
    settings: Settings, environ: Mapping[str, str], cwd: Path
) -> LoadContext:
    """Return the context for checking workflows; their tasks will run in `cwd`."""
    from provctl.base.limited_process import ProcessLimits
    from provctl.nushell.library.scan import check_call
    from provctl.workflow_files.load import LoadContext
    from provctl.workflow_files.problems import CallError

    def look(library: Optional[str], call: NushellCall) -> Optional[CallError]:
        folder = library or settings.nushell.provisioning_lib
        if folder is None and settings.executor.kind != "local":
            return None  # each node has its own
        if folder is None:
            hint = "set `library` in the workflow, or nushell.provisioning_lib"
            return CallError("module", "no Nushell library is configured", hint)
        wrong = check_call(Path(folder), call.module, call.command)
        if wrong is None:
            return None
        return CallError(wrong.field, wrong.message, wrong.hint)

    return LoadContext(
        cwd=str(cwd),
        environment=task_environment(environ, settings.executor.env_passthrough),
        known_pools=settings.pools,
        check_place=partial(place_problem, settings),
        check_call=look,
        nickel_binary=settings.nickel.binary,
        limits=ProcessLimits(
            wall_s=settings.nickel.timeout_seconds,
            memory_bytes=settings.nickel.memory_mb << 20,
        ),
    )


def check_tools(settings: Settings, workflow: Workflow) -> None:
    """Check that `nu` exists if a workflow needs it, and that its library fits.

    Raises MissingTool, LibraryIncompatible.
    """
    from provctl.config.paths import programs_dir
    from provctl.core.model.workflow import NushellCall, Script
    from provctl.nushell.binary import find_nu
    from provctl.nushell.library.compatibility import check_library

    if settings.executor.kind != "local":
        _check_for_nodes(workflow)
        return
    if any(isinstance(work, (NushellCall, Script)) for work in _works(workflow)):
        library = workflow.library or settings.nushell.provisioning_lib
        if library is not None:
            check_library(Path(library))
        path = workflow.environment.get("PATH", "")
        find_nu(settings.nushell.binary, path, str(programs_dir()))


def _check_for_nodes(workflow: Workflow) -> None:
    """Refuse features that tasks on nodes do not have. Raises InvalidConfig."""
    if workflow.library is not None:
        message = (
            "`library` of a workflow is a folder of this machine, not of the nodes"
        )
        hint = "set nushell.provisioning_lib in the configuration of each node instead"
        raise InvalidConfig(message, hint=hint)


def _works(workflow: Workflow) -> Iterator[object]:
    """Return everything that the tasks may run."""
    for task in workflow.tasks:
        yield from (task.action, task.probe, task.undo and task.undo.action)
