"""`-p name=text`: the type of the text, and how it is inserted in JSON and TOML.

In those files a value `{"$param": "zone"}` is replaced by the parameter `zone`, which
the record `params` declares with its default.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Set, Tuple

from provctl.core.model.expressions import children, type_name

if TYPE_CHECKING:
    from provctl.workflow_files.problems import DocPath, ValidationIssues


# A file of a few kilobytes could become gigabytes when it is stored.
MAX_FILLED = 64 << 20

# A name and its parent: a whole path for each part would take the depth squared.
_Link = Tuple[Any, Any]


def infer_type(text: str) -> Any:
    """The number, true, false, null or list that a text is in JSON, or the text.

    Records stay text: no flag can insert an expression record into a workflow.
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


def add_unknown_param(name: str, declared: Any, problems: ValidationIssues) -> None:
    """Report that `-p` names a parameter that the file does not declare."""
    problems.add_unknown(
        ("params",),
        f"-p {name}: the file declares no parameter `{name}`",
        name,
        declared,
        hint="declare it in `params`, with its default",
    )


def with_params(
    document: Any, params: Mapping[str, str], problems: ValidationIssues
) -> Set[str]:
    """Merge `-p` into the declared parameters, then replace every `$param`; in place.

    Returns the names of the parameters that the file uses.
    """
    if not isinstance(document, dict):
        return set()
    declared = document.get("params", {})
    if not isinstance(declared, dict):
        return set()
    for name, text in params.items():
        if name not in declared:
            add_unknown_param(name, declared, problems)
            continue
        default = declared[name]
        value = text if isinstance(default, str) else infer_type(text)
        if default is not None and type_name(value) != type_name(default):
            problems.add(
                ("params", name),
                f"-p {name}={text}: the parameter must be {type_name(default)}",
            )
        declared[name] = value
    return _fill(document, declared, problems)


def _fill(
    document: Dict[str, Any], declared: Mapping[str, Any], problems: ValidationIssues
) -> Set[str]:
    used: Set[str] = set()
    left = MAX_FILLED
    sizes = {name: _size(value) for name, value in declared.items()}
    work: List[Tuple[Optional[_Link], Any]] = [(None, document)]
    while work:
        link, holder = work.pop()
        # What is put in takes the place of something, so this can continue meanwhile.
        parts = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for name, node in parts:
            at = (link, name)
            if name == "$literal" or (link is None and name == "params"):
                continue
            wanted = node.get("$param") if isinstance(node, dict) else None
            if not isinstance(wanted, str) or len(node) != 1:
                if node and isinstance(node, (dict, list)):
                    work.append((at, node))
                continue
            used.add(wanted)
            holder[name] = {"$literal": ""}
            if wanted not in declared:
                problems.add_unknown(
                    _path(at),
                    f"no parameter `{wanted}` is declared",
                    wanted,
                    declared,
                )
                continue
            left -= sizes[wanted]
            if left >= 0:
                holder[name] = declared[wanted]
            elif left + sizes[wanted] >= 0:  # reported once
                problems.add(
                    _path(at),
                    f"parameters insert more than {MAX_FILLED >> 20} MiB",
                    "let the tasks read large data from a file",
                )
    return used


def _path(link: Optional[_Link]) -> DocPath:
    names = []
    while link is not None:
        link, name = link
        names.append(name)
    return tuple(reversed(names))


def _size(value: Any) -> int:
    """Approximately the number of characters of the value in JSON."""
    total = 0
    work = [value]
    while work:
        node = work.pop()
        total += len(node) + 3 if isinstance(node, str) else 8
        for name, part in children(node):
            work += (name, part)
    return total
