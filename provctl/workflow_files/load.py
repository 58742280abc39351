"""Loads a workflow file: read, evaluate, validate, flatten.

Nickel, KCL, JSON and TOML files of the same format are accepted, and those of the
platform that provctl replaces. All mistakes found by our checks are located in the
file, and raised at once.
"""

from __future__ import annotations

import os
import sys
from dataclasses import field, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

from provctl.base.light_dataclass import light_dataclass
from provctl.base.limited_process import ProcessLimits
from provctl.base.text import plain
from provctl.core.model.expressions import type_name
from provctl.core.model.secret_reference import FILE_KINDS, parse_reference
from provctl.core.model.workflow import Workflow
from provctl.errors import Diagnostic, InvalidWorkflow
from provctl.workflow_files.platform.detect import is_platform_file
from provctl.workflow_files.problems import (
    CallCheck,
    CallError,
    DocPath,
    PlaceCheck,
    SourceLocation,
    ValidationIssue,
    ValidationIssues,
)
from provctl.workflow_files.source_text import (
    SUFFIXES,
    SourceText,
    invalid,
    read_source,
)

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from typing_extensions import Protocol

    from provctl.core.model.workflow import NushellCall, Task
    from provctl.workflow_files.platform.translate import Translation

    class Document(Protocol):
        """A parsed file that knows the locations of its parts."""

        @property
        def value(self) -> Any:
            """The content of the file, as plain values."""

        def places(
            self, problems: Sequence[ValidationIssue]
        ) -> List[Optional[SourceLocation]]:
            """Return where each problem is in the file."""


@light_dataclass
class LoadContext:
    """The context of a file: where its tasks run, and what they may use.

    `environment` are the variables to store; `known_pools` maps pools to capacities,
    None to accept any; `check_call` searches the Nushell library; `nickel_binary` is
    used if `python` has no package py-nickel; `tell` gets notes about unused parts of a
    file.
    """

    cwd: str
    environment: Mapping[str, str] = field(default_factory=dict)
    known_pools: Optional[Mapping[str, int]] = None
    check_place: Optional[PlaceCheck] = None
    check_call: Optional[CallCheck] = None
    nickel_binary: str = "nickel"
    limits: ProcessLimits = field(default_factory=ProcessLimits)
    python: str = sys.executable
    tell: Callable[[str], None] = field(default=lambda _note: None)


@light_dataclass
class DocumentOrigin:
    """The origin of a document: its name for users, and its properties.

    `name` is the workflow's default name; relative paths start at `folder`, None if
    there can be none; `source` is stored with the run. `sorts`: records in it have no
    order.
    """

    file: str
    name: str
    folder: Optional[FilePath]
    source: str
    sorts: bool = False


def load_workflow(
    path: FilePath, params: Mapping[str, str], *, context: LoadContext
) -> Workflow:
    """The workflow of a .ncl, .k, .json or .toml file, validated and flat.

    `params` are the texts of `-p name=text`. Raises InvalidWorkflow with every mistake,
    also for an unreadable file, and MissingTool if it is Nickel and there is no
    evaluator.
    """
    problems = ValidationIssues()
    document = read_document(path, params, problems, context)
    place = path.absolute()
    sorts = path.suffix == ".ncl"
    origin = DocumentOrigin(
        str(path), plain(path.stem), place.parent, str(place), sorts=sorts
    )
    return check_document(document, problems, origin, context)


def check_document(
    document: Document,
    problems: ValidationIssues,
    origin: DocumentOrigin,
    context: LoadContext,
) -> Workflow:
    """The workflow of a parsed file, validated and flat.

    Raises InvalidWorkflow with every mistake, including those in `problems`.
    """
    from provctl.core.model.graph import topological_order
    from provctl.workflow_files.flatten import flatten
    from provctl.workflow_files.script_locations import line_finder

    value, source_of = document.value, _itself
    if not isinstance(value, dict):
        wrong = f"a workflow must be a record, not {type_name(value)}"
        raise invalid(origin.file, wrong)
    if is_platform_file(value):
        translation = _translate(value, document, problems, origin)
        value, source_of = translation.value, translation.origin
        for note in translation.notes:
            context.tell(f"{origin.file}: {note}")

    def absolute(library: Optional[str]) -> Optional[str]:
        return None if library is None else _absolute(library, origin)

    def check_call(library: Optional[str], call: NushellCall) -> Optional[CallError]:
        look = context.check_call
        return None if look is None else look(absolute(library), call)

    fields, tasks = flatten(
        value,
        problems,
        known_pools=context.known_pools,
        check_place=context.check_place,
        check_call=check_call,
        line_of=line_finder(getattr(document, "source", None)),
    )
    if problems.found:
        found = [replace(each, path=source_of(each.path)) for each in problems.found]
        located = _locate(origin, document, found)
        raise InvalidWorkflow(located, others=problems.others)
    if origin.sorts and isinstance(value["tasks"], dict):
        tasks = topological_order(tasks)
    return Workflow(
        name=fields.name or origin.name,
        tasks=tuple(_with_absolute_secrets(task, origin) for task in tasks),
        params=fields.params,
        timeout_s=fields.timeout,
        description=fields.description,
        library=absolute(fields.library),
        cwd=context.cwd,
        environment=dict(context.environment),
        source=origin.source,
        max_parallel=fields.max_parallel,
        labels=fields.labels,
        on_cancel=fields.on_cancel or "stop",
        on_timeout=fields.on_timeout or "stop",
    )


def _translate(
    value: Mapping[str, Any],
    document: Document,
    problems: ValidationIssues,
    origin: DocumentOrigin,
) -> Translation:
    from provctl.workflow_files.platform.translate import convert_platform_file

    translation = convert_platform_file(value, problems)
    if problems.found:
        located = _locate(origin, document, problems.found)
        raise InvalidWorkflow(located, others=problems.others)
    return translation


def _itself(path: DocPath) -> DocPath:
    return path


def _with_absolute_secrets(task: Task, origin: DocumentOrigin) -> Task:
    """Files of secrets are relative to the workflow file, or to the home directory."""
    if not task.secrets:
        return task
    secrets = {}
    for name, text in task.secrets.items():
        reference = parse_reference(text)
        if reference.kind in FILE_KINDS:
            # A ~ of an unknown user is a file that does not exist.
            place = os.path.expanduser(reference.place)  # noqa: PTH111
            reference = reference.at(_absolute(place, origin))
        secrets[name] = reference.text
    return replace(task, secrets=secrets)


def _absolute(place: str, origin: DocumentOrigin) -> str:
    if origin.folder is not None:
        return str(origin.folder / place)
    if not os.path.isabs(place):  # noqa: PTH117
        message = (
            f"{place}: the path is relative, but the workflow does not come from a file"
        )
        raise invalid(origin.file, message, "give an absolute path")
    return place


def read_document(
    path: FilePath,
    params: Mapping[str, str],
    problems: ValidationIssues,
    context: LoadContext,
) -> Document:
    """Read and parse a file without checking its content. Raises as `load_workflow`."""
    suffix = path.suffix
    if suffix not in SUFFIXES:
        hint = "use the extension .ncl, .json, .toml or .k"
        raise invalid(path, "is not a workflow file", hint)
    source = read_source(path)
    if suffix in (".ncl", ".k"):
        from provctl.workflow_files.formats.evaluator import Evaluator

        evaluator = Evaluator(context.nickel_binary, context.limits, context.python)
        if suffix == ".k":
            from provctl.workflow_files.formats.kcl_source import read_kcl

            return read_kcl(source, params, problems, evaluator)
        from provctl.workflow_files.formats.nickel_source import read_nickel

        return read_nickel(source, params, problems, evaluator)
    document = _parse(suffix, source)
    if isinstance(document.value, dict):
        from provctl.workflow_files.params import with_params

        used = with_params(document.value, params, problems)
        for name in sorted(params.keys() - used):
            context.tell(f"{path}: -p {name}: the file does not use `{name}`")
    return document


def _parse(suffix: str, source: SourceText) -> Document:
    if suffix == ".json":
        from provctl.workflow_files.formats.json_source import read_json

        return read_json(source)
    from provctl.workflow_files.formats.toml_source import read_toml

    return read_toml(source)


def _locate(
    origin: DocumentOrigin, document: Document, problems: Sequence[ValidationIssue]
) -> List[Diagnostic]:
    """The problems as diagnostics, in file order; those without a location last.

    If the file may contain a secret, no line of it is shown.
    """
    shown = not any("secrets" in problem.path for problem in problems)
    mistakes = [
        Diagnostic(
            problem.message,
            place.file if place else origin.file,
            place.line if place else 0,
            place.column if place else 0,
            place.text if place and shown else "",
            place.span if place else 1,
            problem.hint,
        )
        for problem, place in zip(problems, document.places(problems))
    ]
    return sorted(mistakes, key=_order)


def _order(mistake: Diagnostic) -> Tuple[bool, str, int, int]:
    return (not mistake.line, mistake.file, mistake.line, mistake.column)
