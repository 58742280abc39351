"""Workflow files in KCL: options, the value, and the locations of its parts.

KCL returns JSON without locations, so they are searched in the text: the record with
the `id` or `name` of the wrong task, and the field in it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, Optional, Sequence

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.expressions import children
from provctl.errors import Diagnostic, InvalidWorkflow
from provctl.workflow_files.formats.json_source import read_json
from provctl.workflow_files.params import infer_type
from provctl.workflow_files.source_text import SourceText, invalid, read_source

if TYPE_CHECKING:
    from provctl.workflow_files.formats.evaluator import Evaluator
    from provctl.workflow_files.problems import (
        DocPath,
        SourceLocation,
        ValidationIssue,
        ValidationIssues,
    )


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# What is found in the text begins with error[...], what is found running with its kind.
_ERROR = re.compile(r"^(?:error\[\w+\]: (.*)|(EvaluationError))$", re.MULTILINE)
_WHERE = re.compile(r"^ *--> (.+):(\d+):(\d+)$", re.MULTILINE)
_LABEL = re.compile(r"^ *\|(?: *\^+)? +([^\s^].*)$", re.MULTILINE)


@light_dataclass
class KclFile:
    """A document of a KCL file."""

    source: SourceText
    value: Any

    def places(
        self, problems: Sequence[ValidationIssue]
    ) -> List[Optional[SourceLocation]]:
        """The location of each problem if the text contains it; else None."""
        return [self._place(problem.path) for problem in problems]

    def _place(self, path: DocPath) -> Optional[SourceLocation]:
        text, at, value = self.source.text, 0, self.value
        found: Optional[re.Match[str]] = None
        for part in path:
            value = dict(children(value)).get(part)
            name = (
                value.get("id", value.get("name")) if isinstance(value, dict) else None
            )
            if isinstance(part, str):
                found = _field(part, text, at) or found
            if isinstance(name, str):
                says = rf"\b(?:id|name)\s*[:=]\s*{re.escape(json.dumps(name))}"
                match = re.compile(says).search(text, at)
                if match is not None:
                    found = match
                    # Other fields of the record may come before its name.
                    at = max(text.rfind("{", 0, match.start()), 0)
                    continue
            at = found.start() if found is not None else at
        return None if found is None else self.source.place(*found.span())


def _field(name: str, text: str, at: int) -> Optional[re.Match[str]]:
    """Where a field gets its value: by = rather than :, which schemas declare with."""
    for sign in ("=(?!=)", "[:=]"):
        pattern = rf"(?<![\w.]){re.escape(name)}(?=[\"']?\s*{sign})"
        found = re.compile(pattern).search(text, at)
        if found is not None:
            return found
    return None


def read_kcl(
    source: SourceText,
    params: Mapping[str, str],
    problems: ValidationIssues,
    evaluator: Evaluator,
) -> KclFile:
    """Evaluate a KCL file; `params` are its options, as with `kcl -D`.

    Raises InvalidWorkflow for errors of KCL or if a limit is exceeded, and MissingTool
    without KCL.
    """
    arguments = {name: json.dumps(infer_type(text)) for name, text in params.items()}
    path = FilePath(source.name).absolute()
    outcome = evaluator.evaluate_kcl(path, arguments)
    if outcome.stopped:
        raise invalid(source.name, f"evaluating this file {outcome.stopped}")
    (answer,) = outcome.answers
    if answer.error:
        raise InvalidWorkflow(list(_mistakes(answer.error, source)))
    document = read_json(SourceText(source.name, answer.json)).value
    for name in params:
        if name not in document["options"]:
            hint = f'read it in the file: option("{name}")'
            message = f"-p {name}: the file has no option `{name}`"
            problems.add((), message, hint)
    return KclFile(source, document["value"])


def _mistakes(error: str, source: SourceText) -> Iterator[Diagnostic]:
    """The errors that KCL found, without duplicates."""
    text = _COLOUR.sub("", error)
    starts = [match.start() for match in _ERROR.finditer(text)]
    if not starts:
        yield Diagnostic(
            text.strip() or "KCL failed without an error message", source.name
        )
        return
    parts = [text[a:b].strip() for a, b in zip(starts, [*starts[1:], len(text)])]
    for part in dict.fromkeys(parts):
        ((found, ran),) = _ERROR.findall(part)[:1]
        labels = _LABEL.findall(part)
        # Of a failed check the schema's word comes last, and the place that failed
        # first.
        message = ": ".join([found or ran, *(labels[-1:] if ran else labels[:1])])
        where = _WHERE.search(part)
        if where is None:
            yield Diagnostic(message, source.name)
            continue
        line, column = int(where[2]), int(where[3])
        yield Diagnostic(message, *_location(where[1], line, column, source))


def _location(file: str, line: int, column: int, main: SourceText) -> Any:
    """File, line, column and the text of the line."""
    if FilePath(file) != FilePath(main.name).absolute():
        try:
            main = read_source(FilePath(file))
        except InvalidWorkflow:
            return file, line, column
    text = main.lines[line - 1] if line <= len(main.lines) else ""
    return main.name, line, column, text
