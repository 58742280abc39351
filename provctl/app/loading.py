"""Owns what surrounds a workflow that is loaded: the settings' say, and the library's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Iterator, Mapping, Optional

from provctl.app.environment import task_environment

if TYPE_CHECKING:
    from provctl.config.settings import Settings
    from provctl.core.model import Call, Workflow
    from provctl.spec.load import LoadContext
    from provctl.spec.problems import WrongCall

__all__ = ["check_tools", "make_context"]


def make_context(
    settings: Settings, environ: Mapping[str, str], cwd: Path
) -> LoadContext:
    """Return what workflows are checked against; their tasks will run in `cwd`."""
    from provctl.nushell.library import check_call
    from provctl.spec.load import Limits, LoadContext, WrongCall

    def look(library: Optional[str], call: Call) -> Optional[WrongCall]:
        folder = library or settings.nushell.provisioning_lib
        if folder is None:
            hint = "set `library` in the workflow, or nushell.provisioning_lib"
            return WrongCall("module", "there is no library to call from", hint)
        wrong = check_call(Path(folder), call.module, call.command)
        if wrong is None:
            return None
        return WrongCall(wrong.field, wrong.message, wrong.hint)

    return LoadContext(
        cwd=str(cwd),
        environment=task_environment(environ, settings.executor.env_passthrough),
        known_pools=settings.pools,
        check_call=look,
        nickel_binary=settings.nickel.binary,
        limits=Limits(
            wall_s=settings.nickel.timeout_seconds,
            memory_bytes=settings.nickel.memory_mb << 20,
        ),
    )


def check_tools(settings: Settings, workflow: Workflow) -> None:
    """Check that `nu` is there if a workflow needs it, and that its library fits.

    Raises ToolMissing, LibraryIncompatible.
    """
    from provctl.config.paths import programs_dir
    from provctl.core.model import Call, Script
    from provctl.nushell.binary import find_nu
    from provctl.nushell.compatibility import check_library

    if any(isinstance(work, (Call, Script)) for work in _works(workflow)):
        library = workflow.library or settings.nushell.provisioning_lib
        if library is not None:
            check_library(Path(library))
        path = workflow.environment.get("PATH", "")
        find_nu(settings.nushell.binary, path, str(programs_dir()))


def _works(workflow: Workflow) -> Iterator[object]:
    """All that its tasks may run."""
    for task in workflow.tasks:
        yield from (task.action, task.probe, task.undo and task.undo.action)
