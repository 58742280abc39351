"""Owns `-p name=text`: what type the text has, and where it goes in JSON and TOML.

In those files a value `{"$param": "zone"}` stands for the parameter `zone`,
which the record `params` declares with its default.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Tuple

from provctl.core.values import children, kind

if TYPE_CHECKING:
    from provctl.spec.problems import Path, Problems

__all__ = ["add_unknown_param", "guess", "with_params"]


def guess(text: str) -> Any:
    """The number, true, false, null or list that a text is in JSON, or the text.

    Records stay text: no flag can bring a special record into a workflow.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if _is_plain(value) else text


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return False
    work = [value]
    while work:
        node = work.pop()
        infinite = isinstance(node, float) and not math.isfinite(node)
        if infinite or isinstance(node, dict):
            return False
        work.extend(part for _, part in children(node))
    return True


def add_unknown_param(name: str, declared: Any, problems: Problems) -> None:
    """Note that `-p` names a parameter the file does not declare."""
    problems.add_unknown(
        ("params",),
        f"-p {name}: the file declares no parameter `{name}`",
        name,
        declared,
        hint="declare it in `params`, with its default",
    )


def with_params(document: Any, params: Mapping[str, str], problems: Problems) -> None:
    """Put `-p` over the declared parameters, then fill every `$param`; in place."""
    if not isinstance(document, dict):
        return
    declared = document.get("params", {})
    if not isinstance(declared, dict):
        return
    for name, text in params.items():
        if name not in declared:
            add_unknown_param(name, declared, problems)
            continue
        default = declared[name]
        value = text if isinstance(default, str) else guess(text)
        if default is not None and kind(value) != kind(default):
            problems.add(
                ("params", name),
                f"-p {name}={text}: the parameter is {kind(default)}",
            )
        declared[name] = value
    _fill(document, declared, problems)


def _fill(
    document: Dict[str, Any], declared: Mapping[str, Any], problems: Problems
) -> None:
    work: List[Tuple[Path, Any]] = [((), document)]
    while work:
        path, holder = work.pop()
        for name, node in children(holder):
            at = (*path, name)
            if at == ("params",) or name == "$literal":
                continue
            wanted = node.get("$param") if isinstance(node, dict) else None
            if not isinstance(wanted, str) or len(node) != 1:
                work.append((at, node))
            elif wanted in declared:
                holder[name] = declared[wanted]
            else:
                problems.add_unknown(
                    at, f"no parameter `{wanted}` is declared", wanted, declared
                )
                holder[name] = {"$literal": ""}
