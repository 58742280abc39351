"""The rules for written values: expression records, sizes, depth.

The meaning of expression records is in `core.model.expressions`. As there, nothing is
recursive.
"""

from __future__ import annotations

import math
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

from provctl.core.model.expressions import (
    COMPARISONS,
    CONDITIONS,
    FILLED,
    RUN_VALUES,
    SPECIAL,
    children,
    expression_key,
    type_name,
)

MAX_DEPTH = 100
MAX_TEXT = 1 << 20
MAX_PARTS = 100_000
MAX_PATH = 4096

Path = Tuple[Any, ...]


class ValueProblem(NamedTuple):
    """A mistake in a value; `path` leads from the value to it."""

    path: Path
    message: str


def value_problems(value: Any, *, condition: bool = False) -> Iterator[ValueProblem]:
    """Everything wrong with a written value, in order.

    Unknown or malformed expression records, what is not JSON, and what is too large or
    too deep. `condition`: the value is one for `when`.
    """
    work: List[Tuple[Path, Any, str]] = [
        ((), value, "condition" if condition else "value")
    ]
    while work:
        path, node, role = work.pop()
        message = _wrong(node, role)
        if message is None and len(path) > MAX_DEPTH:
            message = f"values can be nested at most {MAX_DEPTH} levels deep"
        if message is not None:
            yield ValueProblem(path, message)
            continue
        inner = _roles(node, role)
        work.extend(((*path, *below), child, r) for below, child, r in reversed(inner))


def _wrong(node: Any, role: str) -> Optional[str]:
    """What is wrong with this node itself, in this role."""
    if role != "data" and isinstance(node, dict):
        dollars = [k for k in node if isinstance(k, str) and k.startswith("$")]
        if dollars:
            return _wrong_record(node, dollars[0], role)
    if role == "condition" and not isinstance(node, bool):
        return (
            'a condition must be true, false or a record such as {"$equals": [a, b]},'
            f" not {type_name(node)}"
        )
    return _wrong_data(node)


def _wrong_record(node: Any, key: str, role: str) -> Optional[str]:
    if key not in SPECIAL:
        return (
            f"unknown special record `{key}`; wrap data that has such a key in"
            ' {"$literal": ...}'
        )
    if len(node) > 1:
        return (
            f"a record with `{key}` cannot have other fields; data with such a key goes"
            ' into {"$literal": ...}'
        )
    if role == "value" and key not in FILLED:
        return f"`{key}` is a condition and can only be used in `when`"
    if role == "condition" and key not in CONDITIONS:
        return f"`{key}` is not a condition"
    return _wrong_shape(key, node[key])


def _wrong_shape(key: str, body: Any) -> Optional[str]:
    if key == "$output":
        return _wrong_output(body)
    if key == "$outcome":
        named = isinstance(body, str) and bool(body)
        return None if named else "`$outcome` takes the name of a task"
    if key == "$run" and body not in RUN_VALUES:
        return '`$run` takes "outcome" or "failed"'
    if key == "$format":
        if not (
            isinstance(body, list)
            and len(body) == 2
            and isinstance(body[0], str)
            and isinstance(body[1], list)
        ):
            return "`$format` takes a text and a list of values"
        gaps = body[0].count("{}")
        if gaps != len(body[1]):
            return f"the text has {gaps} `{{}}` but {len(body[1])} values are given"
    elif key in COMPARISONS:
        if not isinstance(body, list) or len(body) != 2:
            return f"`{key}` takes a list of two values"
    elif key in ("$all", "$any") and not isinstance(body, list):
        return f"`{key}` takes a list of conditions"
    return None


def _wrong_output(body: Any) -> Optional[str]:
    allowed = {"task", "path", "default"}
    if not isinstance(body, dict) or not {"task"} <= body.keys() <= allowed:
        return "`$output` takes a record with `task`, `path` and perhaps `default`"
    task, path = body["task"], body.get("path", "")
    if not isinstance(task, str) or not isinstance(path, str) or not task:
        return "`task` and `path` of `$output` must be text"
    if len(path) > MAX_PATH:
        return f"a path can have at most {MAX_PATH} characters"
    if path and "" in path.split("."):
        return f"the path `{path}` has an empty part"
    return None


def _wrong_data(node: Any) -> Optional[str]:
    if isinstance(node, str):
        return _wrong_text(node)
    if isinstance(node, float) and not math.isfinite(node):
        return "a number must be finite"
    if isinstance(node, (dict, list)) and len(node) > MAX_PARTS:
        return (
            f"{type_name(node)} can have at most {MAX_PARTS} parts; move large data to"
            " a file"
        )
    if isinstance(node, dict):
        wrong = (_wrong_text(key) for key in node)
        return next((message for message in wrong if message), None)
    if isinstance(node, int) and not -(2**63) <= node < 2**63:
        return "an integer must fit into 64 bits; write it as text"
    if node is None or isinstance(node, (bool, int, float, list)):
        return None
    return f"{type_name(node)} is not a JSON value; write it as text"


def _wrong_text(text: str) -> Optional[str]:
    if len(text) > MAX_TEXT:
        return f"text can have at most {MAX_TEXT} characters"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "the text contains a lone surrogate"
    return None


def _roles(node: Any, role: str) -> List[Tuple[Path, Any, str]]:
    """The parts of a valid node: their locations and roles."""
    key = expression_key(node) if role != "data" else None
    if key is None:
        return [((name,), child, role) for name, child in children(node)]
    body = node[key]
    if key in ("$outcome", "$run"):
        return []
    if key == "$output":
        if "default" not in body:
            return []
        return [((key, "default"), body["default"], "data")]
    if key == "$literal":
        return [((key,), body, "data")]
    if key == "$not":
        return [((key,), body, "condition")]
    if key == "$format":
        return [((key, 1, i), part, "value") for i, part in enumerate(body[1])]
    inner = "condition" if key in ("$all", "$any") else "value"
    return [((key, i), part, inner) for i, part in enumerate(body)]
