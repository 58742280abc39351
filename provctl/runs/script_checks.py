"""Checks a workflow's scripts and programs before anything runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterator, List, NamedTuple, Tuple

from provctl.core.model.workflow import Command, Script
from provctl.errors import Diagnostic, InvalidWorkflow, MissingTool
from provctl.workflow_files.source_text import SourceText, read_source

if TYPE_CHECKING:
    from provctl.config.settings import Settings
    from provctl.core.model.workflow import Executable, Task, Workflow
    from provctl.nushell.script_check import Checked, Finding


class Seen(NamedTuple):
    """Certain mistakes, and problems that may be solved before the task runs."""

    mistakes: Tuple[Diagnostic, ...] = ()
    warnings: Tuple[Diagnostic, ...] = ()


class _Piece(NamedTuple):
    """Something that a task runs."""

    task: Task
    field: str  # "", "undo" or "probe"
    work: Executable

    @property
    def name(self) -> str:
        return (
            f"{self.field} of `{self.task.id}`" if self.field else f"`{self.task.id}`"
        )


def inspect_scripts(
    settings: Settings, workflow: Workflow, file: str, cache: Path
) -> Seen:
    """Check the scripts of a workflow with Nushell, and find programs that are missing.

    If Nushell does not answer, a warning gives the reason, and only programs are
    checked. `file` is the name of the workflow for users. The answers of Nushell are
    cached in the folder `cache`.
    """
    pieces = list(_pieces(workflow))
    mistakes: List[Diagnostic] = []
    warnings: List[Diagnostic] = []
    checked: Dict[str, Checked] = {}
    try:
        checked = _ask(settings, workflow, [each.work for each in pieces], cache)
    except MissingTool as problem:
        warnings.append(Diagnostic(f"its scripts were not checked: {problem}", file))
    missing = _Missing(settings, workflow)
    source = _source(file)
    for piece in pieces:
        if isinstance(piece.work, Command):
            program = piece.work.argv[0]
            if missing(program, piece.task):
                warnings.append(
                    Diagnostic(
                        f"{piece.name}: program `{program}` not found on PATH", file
                    )
                )
            continue
        assert isinstance(piece.work, Script)
        found = checked.get(piece.work.text)
        if found is None:
            continue
        for finding in found.findings:
            target = mistakes if finding.sure else warnings
            target.append(
                _locate(
                    piece, finding.line, _finding_message(finding), finding.hint, source
                )
            )
        for name, line in dict(found.programs[::-1]).items():
            if missing(name, piece.task):
                words = f"`{name}` is neither a Nushell command nor a program on PATH"
                warnings.append(_locate(piece, line, words, "", source))
    return Seen(tuple(mistakes), tuple(warnings))


def _source(file: str) -> SourceText:
    try:
        return read_source(Path(file))
    except InvalidWorkflow:
        return SourceText(file, "")


def _finding_message(finding: Finding) -> str:
    return (
        finding.message if finding.sure else f"Nushell may refuse it: {finding.message}"
    )


def _locate(
    piece: _Piece, line: int, words: str, hint: str, source: SourceText
) -> Diagnostic:
    """Return a mistake in a line of a script, located in the workflow file if known."""
    file, lines = source.name, source.lines
    assert isinstance(piece.work, Script)
    begin = piece.work.line
    if begin and line:
        at = begin + line - 1
        text = lines[at - 1] if at <= len(lines) else ""
        column = len(text) - len(text.lstrip()) + 1
        span = max(len(text.strip()), 1)
        return Diagnostic(f"{piece.name}: {words}", file, at, column, text, span, hint)
    where = f"line {line} of the script" if line else "the script"
    return Diagnostic(f"{piece.name}: {where}: {words}", file, hint=hint)


def _pieces(workflow: Workflow) -> Iterator[_Piece]:
    for task in workflow.tasks:
        works = {
            "": task.action,
            "undo": task.undo and task.undo.action,
            "probe": task.probe,
        }
        for field, work in works.items():
            if isinstance(work, (Script, Command)):
                yield _Piece(task, field, work)


class _Missing:
    """Whether a program is in no folder of PATH; each program is looked up once."""

    def __init__(self, settings: Settings, workflow: Workflow) -> None:
        self._env = {**workflow.environment, **settings.nushell.env_vars}
        self._known: Dict[Tuple[str, str], bool] = {}
        self._is_remote = settings.executor.kind != "local"

    def __call__(self, program: object, task: Task) -> bool:
        if self._is_remote and task.place.node != "local":
            return False  # the node of the task may have it
        path = task.env.get("PATH", self._env.get("PATH", ""))
        if not isinstance(program, str) or "/" in program or not isinstance(path, str):
            return False
        if "PATH" in task.secrets:
            return False
        key = (program, path)
        if key not in self._known:
            self._known[key] = shutil.which(program, path=path) is None
        return self._known[key]


def _ask(
    settings: Settings, workflow: Workflow, works: List[Executable], cache: Path
) -> Dict[str, Checked]:
    from provctl.config.paths import programs_dir
    from provctl.nushell.binary import find_nu
    from provctl.nushell.invocation import NushellConfig
    from provctl.nushell.script_check import check_scripts_cached

    """Return what Nushell says of the scripts among `works`. Raises MissingTool."""
    texts = [work.text for work in works if isinstance(work, Script)]
    if not texts:
        return {}
    env = {**workflow.environment, **settings.nushell.env_vars}
    library = workflow.library or settings.nushell.provisioning_lib or workflow.cwd
    setting = NushellConfig(
        nu=find_nu(settings.nushell.binary, env.get("PATH", ""), str(programs_dir())),
        library=str(library),
        plugins=settings.nushell.plugins,
    )
    return check_scripts_cached(
        setting, texts, cwd=workflow.cwd, env=env, cache=cache / "scripts"
    )
