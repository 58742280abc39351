"""Workflows that come as a text from elsewhere: JSON, by itself or in a wrapper.

    {"workflow": {"tasks": ...}, "params": {"zone": "x"}, "key": "k1", "priority": 5,
     "labels": {"env": "prod"}}

They come without a file, so nothing in them is relative to one.
"""

from __future__ import annotations

import json
from dataclasses import field, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
)

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.expressions import type_name
from provctl.core.model.labels import check_labels
from provctl.workflow_files.formats.json_source import read_json
from provctl.workflow_files.load import DocumentOrigin, check_document
from provctl.workflow_files.params import with_params
from provctl.workflow_files.problems import ValidationIssues
from provctl.workflow_files.source_text import SourceText, invalid

if TYPE_CHECKING:
    from provctl.core.model.workflow import Workflow
    from provctl.workflow_files.formats.json_source import JsonFile
    from provctl.workflow_files.load import LoadContext
    from provctl.workflow_files.problems import SourceLocation, ValidationIssue


_NAME = "body"
_PRIORITY_MAX = 1000
_AROUND = {"workflow", "params", "key", "priority", "labels"}


@light_dataclass
class SubmissionBody:
    """A workflow, and the options of its run."""

    workflow: Workflow
    key: Optional[str] = None
    priority: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


@light_dataclass
class _Wrapped:
    """The document in a wrapper, which knows the locations of its parts in the whole."""

    whole: JsonFile

    @property
    def value(self) -> Any:
        return self.whole.value["workflow"]

    def places(
        self, problems: Sequence[ValidationIssue]
    ) -> List[Optional[SourceLocation]]:
        inside = [
            replace(problem, path=("workflow", *problem.path)) for problem in problems
        ]
        return self.whole.places(inside)


def load_body(
    text: str, *, context: LoadContext, beside: Iterable[str] = ()
) -> SubmissionBody:
    """Return the workflow in a text, validated and flat.

    It may have other fields beside it, named `beside`; they are ignored. Raises
    InvalidWorkflow with every mistake.
    """
    document = read_json(SourceText(_NAME, text))
    record = document.value
    problems = ValidationIssues()
    origin = DocumentOrigin(_NAME, "workflow", None, "")
    if not isinstance(record, dict) or "workflow" not in record or "tasks" in record:
        with_params(record, {}, problems)
        return SubmissionBody(check_document(document, problems, origin, context))
    _check_wrapper(record, {*_AROUND, *beside})
    wrapped = _Wrapped(document)
    with_params(wrapped.value, _texts(record.get("params", {})), problems)
    return SubmissionBody(
        check_document(wrapped, problems, origin, context),
        record.get("key"),
        record.get("priority", 0),
        record.get("labels", {}),
    )


def _check_wrapper(record: Mapping[str, Any], known: Set[str]) -> None:
    unknown = sorted(record.keys() - known)
    if unknown:
        hint = "fields allowed beside `workflow`: params, key, priority, labels"
        raise invalid(_NAME, f"unknown field {unknown[0]!r}", hint)
    if not isinstance(record.get("key"), (str, type(None))):
        raise invalid(_NAME, "`key` must be text")
    priority = record.get("priority", 0)
    if type(priority) is not int or abs(priority) > _PRIORITY_MAX:
        message = (
            f"`priority` must be a whole number from -{_PRIORITY_MAX} to"
            f" {_PRIORITY_MAX}"
        )
        raise invalid(_NAME, message)
    _check_labels(record.get("labels", {}))


def _check_labels(labels: Any) -> None:
    texts = isinstance(labels, dict) and all(
        isinstance(v, str) for v in labels.values()
    )
    if not texts:
        raise invalid(_NAME, "`labels` must be a record of texts")
    try:
        check_labels(labels)
    except ValueError as problem:
        raise invalid(_NAME, f"`labels`: {problem}") from None


def _texts(params: Any) -> Dict[str, str]:
    """Parameters as the flag -p gives them: no record can be inserted."""
    if not isinstance(params, dict):
        raise invalid(_NAME, f"`params` must be a record, not {type_name(params)}")
    for name, value in params.items():
        if isinstance(value, dict):
            raise invalid(_NAME, f"params.{name}: a parameter cannot be a record")
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in params.items()
    }
