"""Workflow files in Nickel: parameters, the value, and the locations of its parts.

Nickel returns JSON without locations. To find one, the file is evaluated again with a
contract at that path that always fails: Nickel blames the line.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.expressions import children
from provctl.errors import Diagnostic, InvalidWorkflow
from provctl.workflow_files.formats.evaluator import (
    CONTRACTS,
    EvaluationResult,
    EvaluationStatus,
    Evaluator,
    text_literal,
)
from provctl.workflow_files.formats.json_source import read_json
from provctl.workflow_files.formats.nickel_errors import (
    NickelDiagnostic,
    Snippet,
    parse_errors,
)
from provctl.workflow_files.formats.nickel_imports import unmarked
from provctl.workflow_files.formats.syntax_hints import nickel_hint, quoted_tag
from provctl.workflow_files.params import add_unknown_param, infer_type
from provctl.workflow_files.source_text import SourceText, invalid, read_source

if TYPE_CHECKING:
    from provctl.workflow_files.problems import (
        DocPath,
        SourceLocation,
        ValidationIssue,
        ValidationIssues,
    )


MAX_LOCATED = 20
MAX_TURNS = 4


@light_dataclass
class NickelFile:
    """A document of a Nickel file; `expression` is what it was evaluated from."""

    source: SourceText
    value: Any
    expression: str
    evaluator: Evaluator

    def places(
        self, problems: Sequence[ValidationIssue]
    ) -> List[Optional[SourceLocation]]:
        """The location of each problem, None if unknown.

        Only the first 20 are searched. If Nickel cannot blame a computed value, its
        location is that of its surroundings.
        """
        found: Dict[int, SourceLocation] = {}
        paths = [_candidates(p.path, self.value) for p in problems[:MAX_LOCATED]]
        for turn in range(MAX_TURNS):
            pending = [
                (index, candidates[turn])
                for index, candidates in enumerate(paths)
                if index not in found and turn < len(candidates)
            ]
            if not pending:
                break
            blamed = [_blame(self.expression, path) for _, path in pending]
            outcome = _evaluate(self.evaluator, blamed, self.source)
            for (index, path), answer in zip(pending, outcome.answers):
                place = self._place(answer.error, path, problems[index])
                if place is not None:
                    found[index] = place
        return [found.get(index) for index in range(len(problems))]

    def _place(
        self, error: str, path: DocPath, problem: ValidationIssue
    ) -> Optional[SourceLocation]:
        snippets = [s for d in parse_errors(error) for s in d.snippets]
        snippet = _best(snippets)
        if snippet is None or not snippet.primary:
            return None
        source = _source_of(snippet, self.source)
        if source is None:
            return None
        place = _snippet_place(snippet, source)
        if problem.on_key and path == problem.path:
            return _key_before(place, str(path[-1]), source)
        return place


def read_nickel(
    source: SourceText,
    params: Mapping[str, str],
    problems: ValidationIssues,
    evaluator: Evaluator,
) -> NickelFile:
    """Evaluate a Nickel file, after merging `params` into its `params`.

    Raises InvalidWorkflow for errors of Nickel or if a limit is exceeded, and
    MissingTool without Nickel.
    """
    imported = f"(import {text_literal(str(FilePath(source.name).absolute()))})"
    expression = imported
    if params:
        # If the file is broken nothing is chosen; the evaluation says why.
        chosen = _choose(imported, source, params, problems, evaluator)
        expression = _merge(imported, chosen)
    (answer,) = _ask(evaluator, [expression], source)
    if answer.error:
        raise InvalidWorkflow(_mistakes(answer.error, source, params))
    tag = quoted_tag(source)
    if tag is not None:
        message = "a single quote begins an enum tag, not a string"
        raise source.invalid(message, 'write strings in double quotes: "..."', at=tag)
    value = read_json(SourceText(source.name, answer.json)).value
    return NickelFile(source, value, expression, evaluator)


# std.record.from_array takes memory quadratic in its size.
_MANY_TASKS = "make thousands of tasks with `p.for_each`, or as an array of tasks with an `id` each"


def _ask(
    evaluator: Evaluator, sources: Sequence[str], source: SourceText
) -> Tuple[EvaluationResult, ...]:
    outcome = _evaluate(evaluator, sources, source)
    if outcome.stopped:
        hint = _MANY_TASKS if "memory" in outcome.stopped else ""
        raise invalid(source.name, f"evaluating this file {outcome.stopped}", hint)
    return outcome.answers


def _evaluate(
    evaluator: Evaluator, sources: Sequence[str], source: SourceText
) -> EvaluationStatus:
    """Evaluate; again without byte-order marks if Nickel may have found one."""
    outcome = evaluator.evaluate(sources)
    if not any(answer.error for answer in outcome.answers):
        return outcome
    main = FilePath(source.name).absolute()
    with unmarked(main) as root:
        if root is None:
            return outcome
        there, here = text_literal(f"{root}{main}"), text_literal(str(main))
        again = evaluator.evaluate([each.replace(here, there) for each in sources])
        answers = [
            EvaluationResult(answer.json, answer.error.replace(root, ""))
            for answer in again.answers
        ]
        return EvaluationStatus(tuple(answers), again.stopped)


# --- parameters ------------------------------------------------------------------


def _merge(imported: str, chosen: Mapping[str, str]) -> str:
    """The file with Nickel expressions merged over its parameters."""
    if not chosen:
        return imported
    forced = ", ".join(
        f"params.{text_literal(name)} | force = {expression}"
        for name, expression in chosen.items()
    )
    return f"({imported} & {{ {forced} }})"


def _choose(
    imported: str,
    source: SourceText,
    params: Mapping[str, str],
    problems: ValidationIssues,
    evaluator: Evaluator,
) -> Dict[str, str]:
    """The Nickel expression for each parameter.

    A text like 5 can be a number or a text. It is a text if the default is one, or if
    only a text fulfils the contract of the parameter.
    """
    typed = {name: _as_nickel(text) for name, text in params.items()}
    doubtful = [name for name, expression in typed.items() if expression]
    questions = [f"std.record.fields {imported}.params"]
    for name in doubtful:
        field = f"params.{text_literal(name)}"
        as_text = _merge(imported, {name: text_literal(params[name])})
        questions += [
            f"std.typeof {imported}.{field}",
            f"{_merge(imported, {name: typed[name]})}.{field}",
            f"{as_text}.{field}",
        ]
    answers = _ask(evaluator, questions, source)
    declared = json.loads(answers[0].json or "[]")
    for name in params:
        if name not in declared:
            add_unknown_param(name, declared, problems)
    chosen = {
        name: text_literal(text) for name, text in params.items() if name in declared
    }
    for index, name in enumerate(doubtful):
        default, number, text = answers[1 + 3 * index : 4 + 3 * index]
        only_text = number.error and not text.error
        if name in chosen and default.json != '"String"' and not only_text:
            chosen[name] = typed[name]
    return chosen


def _as_nickel(text: str) -> str:
    """A Nickel expression for the JSON value of a text; empty if it is just text."""
    value = infer_type(text)
    if isinstance(value, str):
        return ""
    return f"(std.deserialize 'Json {text_literal(json.dumps(value))})"


# --- locations and mistakes --------------------------------------------------------


def _candidates(path: DocPath, value: Any) -> List[DocPath]:
    """The path, and if Nickel cannot blame it, the parts in or around it."""
    found = [path]
    if path and isinstance(path[-1], int):
        # A task in an array, often computed: its id mostly is in the file.
        found.append((*path, "id"))
    found.extend(path[:count] for count in range(len(path) - 1, 0, -1))
    return [p for p in found if p and _exists(p, value)]


def _exists(path: DocPath, value: Any) -> bool:
    for part in path:
        parts = dict(children(value))
        if part not in parts:
            return False
        value = parts[part]
    return True


def _blame(expression: str, path: DocPath) -> str:
    """The value at a path, under a contract that it always breaks."""
    contract = "Here"
    for part in reversed(path):
        if isinstance(part, str):
            contract = f"{{ {text_literal(part)} | {contract}, .. }}"
        else:
            contract = f"Array ({contract})"
    value = f"({expression} | {contract})"
    for part in path:
        if isinstance(part, str):
            value = f"{value}.{text_literal(part)}"
        else:
            value = f"(std.array.at {part} {value})"
    return (
        f"let Here = std.contract.custom (fun _label _value => 'Error {{}}) in {value}"
    )


def _mistakes(
    error: str, source: SourceText, params: Mapping[str, str]
) -> List[Diagnostic]:
    """Nickel's errors, at locations in the user's own files."""
    diagnostics = parse_errors(error)
    if not diagnostics:
        return [
            Diagnostic(
                error.strip() or "Nickel failed without an error message", source.name
            )
        ]
    mistakes = [_mistake(diagnostic, source, params) for diagnostic in diagnostics]
    hints = [mistake.hint for mistake in mistakes]
    # What follows from the first mistake has its hint.
    return [
        replace(mistake, hint="" if mistake.hint in hints[:index] else mistake.hint)
        for index, mistake in enumerate(mistakes)
    ]


def _mistake(
    diagnostic: NickelDiagnostic, source: SourceText, params: Mapping[str, str]
) -> Diagnostic:
    snippet = _best(diagnostic.snippets)
    message = diagnostic.message
    hint = diagnostic.notes[0] if diagnostic.notes else ""
    if message.startswith("infinite recursion"):
        hint = (
            hint
            or "in `x = x` the field refers to itself, not to the argument: rename one"
        )
    for name, text in params.items():
        if f"`{name}`" in message:
            hint = f"its value was set with -p {name}={text}"
    if snippet is None:
        return Diagnostic(message, source.name, hint=hint)
    if snippet.label:
        message = f"{message}: {snippet.label}"
    origin = _source_of(snippet, source)
    if origin is None:
        return Diagnostic(
            message, snippet.file, snippet.line, snippet.column, hint=hint
        )
    at = origin.offset(snippet.line, snippet.column)
    hint = nickel_hint(origin, at, diagnostic.message) or hint
    place = _snippet_place(snippet, origin)
    return Diagnostic(
        message, place.file, place.line, place.column, place.text, place.span, hint
    )


def _best(snippets: Sequence[Snippet]) -> Optional[Snippet]:
    """The snippet in a file of the user, a marked one if there is one."""
    own = [s for s in snippets if _is_own(s.file)]
    return next((s for s in own if s.primary), own[0] if own else None)


def _is_own(file: str) -> bool:
    path = FilePath(file)
    return path.is_absolute() and CONTRACTS not in path.parents


def _source_of(snippet: Snippet, main: SourceText) -> Optional[SourceText]:
    if FilePath(main.name).absolute() == FilePath(snippet.file):
        return main
    try:
        return read_source(FilePath(snippet.file))
    except InvalidWorkflow:
        return None


def _snippet_place(snippet: Snippet, source: SourceText) -> SourceLocation:
    start = source.offset(snippet.line, snippet.column)
    return source.place(start, start + (snippet.span or len(source.text)))


def _key_before(place: SourceLocation, key: str, source: SourceText) -> SourceLocation:
    """The location of the field's name, which comes before its value."""
    at = place.text.rfind(key, 0, place.column - 1)
    if at < 0:
        return place
    start = source.offset(place.line, at + 1)
    return source.place(start, start + len(key))
