"""Saved plans: a checked workflow in a file, and what it relies on.

`provctl plan FILE --save PLAN` writes one, `provctl apply PLAN` runs it. The workflow in
it is the one that was checked, so later changes of its file do not matter. Tasks read
the modules of the Nushell library when they run, and are run by Nushell: the plan has
the digests of the modules, and the version. The variables of the environment are not in
it, because they can be secret.
"""

from __future__ import annotations

import json
import os
from dataclasses import field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping

from provctl import __version__
from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.workflow import NushellCall, Script
from provctl.errors import JournalDamaged, JournalTooNew
from provctl.storage.workflow_json import dump_workflow, load_workflow
from provctl.workflow_files.source_text import invalid

if TYPE_CHECKING:
    from provctl.config.settings import Settings
    from provctl.core.model.workflow import Workflow

FORMAT = 1
_SIZE_MAX = 1 << 28  # bytes


@light_dataclass
class SavedPlan:
    """A workflow as it was checked. `saved_at` is in seconds since the epoch.

    `version` is that of provctl. `nushell` is the version of Nushell and `modules` maps
    the modules of the library to their SHA-256; both are empty if no task needs them.
    """

    workflow: Workflow
    saved_at: float
    version: str = __version__
    nushell: str = ""
    modules: Mapping[str, str] = field(default_factory=dict)


def make_plan(workflow: Workflow, settings: Settings, now: float) -> SavedPlan:
    """Return the plan of a workflow on this machine. Raises MissingTool, OSError."""
    bare = replace(workflow, environment={})
    return SavedPlan(
        bare,
        now,
        nushell=_nushell_version(workflow, settings),
        modules=_modules(workflow, settings),
    )


def dump_plan(plan: SavedPlan) -> bytes:
    """Return the bytes of a plan: a JSON object with the SHA-256 of the rest."""
    record: Dict[str, Any] = {
        "provctl_plan": FORMAT,
        "saved_at": plan.saved_at,
        "version": plan.version,
        "nushell": plan.nushell,
        "modules": dict(plan.modules),
        "labels": dict(plan.workflow.labels),
        "workflow": json.loads(dump_workflow(plan.workflow)),
    }
    record["sha256"] = _seal(record)
    return json.dumps(record, indent=1).encode("ascii") + b"\n"


def load_plan(content: bytes, where: str) -> SavedPlan:
    """Return the plan in a file. Raises InvalidWorkflow if it is not a whole plan."""
    try:
        record = json.loads(content)
        version = record["provctl_plan"]
        if version > FORMAT:
            message = (
                f"the plan has format {version}, this version knows up to {FORMAT}"
            )
            raise invalid(where, message, "upgrade provctl")
        seal = record.pop("sha256")
        if seal != _seal(record):
            message = "the plan was changed after it was saved"
            raise invalid(where, message, _AGAIN)
        frozen = json.dumps(record["workflow"]).encode("ascii")
        workflow = replace(load_workflow(frozen, where), labels=record["labels"])
        return SavedPlan(
            workflow,
            float(record["saved_at"]),
            record["version"],
            record["nushell"],
            record["modules"],
        )
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise invalid(where, "this is not a saved plan", _AGAIN) from problem
    except (JournalDamaged, JournalTooNew) as problem:
        raise invalid(where, problem.message, _AGAIN) from problem


def read_plan(path: Path) -> SavedPlan:
    """Return the plan of a file. Raises what `load_plan` does, and OSError."""
    # Opening a FIFO would wait for its writer.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        content = file.read(_SIZE_MAX + 1)
    if len(content) > _SIZE_MAX:
        raise invalid(path, f"a plan has at most {_SIZE_MAX >> 20} MiB")
    return load_plan(content, str(path))


def changes(plan: SavedPlan, settings: Settings) -> List[str]:
    """Return what is different now, in words; empty if the plan can be applied.

    Raises MissingTool, OSError.
    """
    found: List[str] = []
    if plan.version != __version__:
        found.append(f"provctl {plan.version} saved it, and this is {__version__}")
    if not Path(plan.workflow.cwd).is_dir():
        found.append(f"its directory {plan.workflow.cwd} does not exist")
    nushell = _nushell_version(plan.workflow, settings)
    if nushell != plan.nushell:
        found.append(f"Nushell was {plan.nushell}, and is {nushell}")
    found += _module_changes(plan.modules, _modules(plan.workflow, settings))
    return found


_AGAIN = "save it again: provctl plan FILE --save PLAN"


def _module_changes(before: Mapping[str, str], now: Mapping[str, str]) -> List[str]:
    words = []
    for name in sorted({*before, *now}):
        if name not in now:
            words.append(f"the library has no module {name} any more")
        elif name not in before:
            words.append(f"the library has a new module {name}")
        elif before[name] != now[name]:
            words.append(f"the module {name} of the library has changed")
    return words


def _seal(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode("ascii")).hexdigest()


def _nushell_version(workflow: Workflow, settings: Settings) -> str:
    from provctl.config.paths import programs_dir
    from provctl.nushell.binary import find_nu, nu_version

    if not _uses_nushell(workflow):
        return ""
    search_path = os.environ.get("PATH", "")
    return nu_version(
        find_nu(settings.nushell.binary, search_path, str(programs_dir()))
    )


def _modules(workflow: Workflow, settings: Settings) -> Dict[str, str]:
    """Return the digest of each module of the library, by its path in the library."""
    library = workflow.library or settings.nushell.provisioning_lib
    if library is None or not _uses_nushell(workflow):
        return {}
    folder = Path(library)
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.nu"))
        if path.is_file()
    }


def _uses_nushell(workflow: Workflow) -> bool:
    return any(isinstance(work, (NushellCall, Script)) for work in _works(workflow))


def _works(workflow: Workflow) -> Iterator[object]:
    for task in workflow.tasks:
        yield from (task.action, task.probe, task.undo and task.undo.action)
