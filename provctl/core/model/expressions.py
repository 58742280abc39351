"""Values that wait for outputs: what refers to what, and what it becomes.

A value is JSON. These records, with exactly one key, are filled in later:

    {"$output": {"task": "server-1", "path": "net.0.ip"}}   another task's output
    {"$output": {"task": "a", "path": "", "default": 0}}    or this, if it has none
    {"$outcome": "server-1"}                                how another task finished
    {"$format": ["http://{}:{}", [value, ...]]}             text with values in it
    {"$literal": value}                                     the value, untouched
    {"$run": "outcome"}                                     how the run went so far

and these are conditions, for `when`, beside plain true and false:

    {"$equals": [a, b]}  {"$less": [a, b]}  {"$contains": [list or text, item]}
    {"$not": c}  {"$all": [c, ...]}  {"$any": [c, ...]}

Keys that begin with `$` are reserved: data that has such keys goes into
`$literal`. What an output contains is data too, whatever its keys are.

`provctl.ncl` writes them (`p.output`, `p.format`, `p.equals`, ...). Everything
here walks with a list of its own, never with the stack.
"""

from __future__ import annotations

import json
from typing import (
    AbstractSet,
    Any,
    Callable,
    List,
    Optional,
    Sequence,
    Tuple,
)

from provctl.base.light_dataclass import light_dataclass

FILLED = frozenset({"$output", "$outcome", "$format", "$literal", "$run"})
RUN_VALUES = ("outcome", "failed")  # what `$run` stands for
COMPARISONS = frozenset({"$equals", "$less", "$contains"})
CONDITIONS = frozenset({"$output", "$not", "$all", "$any"}) | COMPARISONS
SPECIAL = FILLED | CONDITIONS

Outputs = Callable[[str], Any]
Outcomes = Callable[[str], str]
RunValues = Callable[[str], Any]

# What `rename` and `resolve` do not look into.
_ATOMS = frozenset({"$output", "$outcome", "$literal", "$run"})


class ValueMissing(Exception):
    """A value is missing: no such output, no such field, or a wrong type.

    The message is for users and names the task.
    """


@light_dataclass
class Reference:
    """A use of another task's output; an empty `path` means all of it.

    `is_optional`: the value is known however that task finishes, because it has a
    default or is the outcome (`is_outcome`).
    """

    task: str
    path: str = ""
    is_optional: bool = False
    is_outcome: bool = False


# --- references and values -----------------------------------------------------


def references(value: Any) -> Tuple[Reference, ...]:
    """Every `$output` and `$outcome` in a well-formed value, in written order."""
    found: List[Reference] = []
    work = [value]
    while work:
        node = work.pop()
        key = expression_key(node)
        if key in ("$output", "$outcome"):
            found.append(_reference(key, node[key]))
        elif key != "$literal":
            work.extend(child for _, child in reversed(children(node)))
    return tuple(found)


def has_run_values(value: Any) -> bool:
    """Whether a well-formed value has a `$run` in it."""
    work = [value]
    while work:
        node = work.pop()
        key = expression_key(node)
        if key == "$run":
            return True
        if key not in ("$output", "$literal"):
            work.extend(child for _, child in children(node))
    return False


def no_run_values(name: str) -> Any:
    """Refuse a `$run`: only finalizers have a value for it. Raises ValueMissing."""
    message = f"only a finalizer can use the {name} of the run"
    raise ValueMissing(message)


def rename(value: Any, names: Callable[[str], str]) -> Any:
    """The same value, with the task of every reference replaced by `names(task)`."""

    def atom(key: str, body: Any) -> Any:
        if key == "$output":
            body = {**body, "task": names(body["task"])}
        elif key == "$outcome":
            body = names(body)
        return {key: body}

    return _rebuild(value, _ATOMS, atom, lambda node: node)


def resolve(
    value: Any,
    outputs: Outputs,
    outcomes: Outcomes,
    run_values: RunValues = no_run_values,
) -> Any:
    """The value with all special records replaced that are not conditions.

    `outputs(task)` gives a task's output, `outcomes(task)` how it finished, and
    `run_values(name)` what a `$run` stands for. Raises ValueMissing if one of them does,
    or if a path leads nowhere.
    """

    def atom(key: str, body: Any) -> Any:
        if key == "$run":
            return run_values(body)
        if key == "$literal":
            return body
        return outcomes(body) if key == "$outcome" else _fetch(body, outputs)

    return _rebuild(value, _ATOMS, atom, _format)


def evaluate_condition(
    condition: Any,
    outputs: Outputs,
    outcomes: Outcomes,
    run_values: RunValues = no_run_values,
) -> bool:
    """Whether a condition is true.

    One operand is enough to decide `$all` (false) and `$any` (true), even when
    another cannot be had. Raises ValueMissing if it cannot be decided.
    """

    def atom(key: str, body: Any) -> Any:
        try:
            return _compare(key, resolve({key: body}, outputs, outcomes, run_values))
        except ValueMissing as missing:
            return missing

    verdict = _rebuild(condition, COMPARISONS | {"$output"}, atom, _junction)
    if isinstance(verdict, ValueMissing):
        raise verdict
    return bool(verdict)


def follow_path(value: Any, parts: Sequence[str]) -> Optional[Tuple[Any, int]]:
    """The value that the first of `parts` lead to, and their number.

    A key with dots needs several parts. None if they lead nowhere.
    """
    if isinstance(value, list):
        index = parts[0]
        fits = index.isdigit() and index.isascii() and len(index) < 10
        return (value[int(index)], 1) if fits and int(index) < len(value) else None
    if isinstance(value, dict):
        for count in range(1, len(parts) + 1):
            key = ".".join(parts[:count])
            if key in value:
                return value[key], count
    return None


def type_name(value: Any) -> str:
    """The name of the type for users: text, a list, ..."""
    names = {str: "text", bool: "true or false", list: "a list", dict: "a record"}
    if value is None:
        return "null"
    if type(value) in (int, float):
        return "a number"
    return names.get(type(value), f"a {type(value).__name__}")


def expression_key(node: Any) -> Optional[str]:
    """The key of an expression record, None for anything else."""
    if isinstance(node, dict) and len(node) == 1:
        key: str = next(iter(node))
        return key if key in SPECIAL else None
    return None


def children(node: Any) -> List[Tuple[Any, Any]]:
    """Key or index and value of each part of a record or list."""
    if isinstance(node, dict):
        return list(node.items())
    return list(enumerate(node)) if isinstance(node, list) else []


def _reference(key: Optional[str], body: Any) -> Reference:
    if key == "$outcome":
        return Reference(body, is_optional=True, is_outcome=True)
    return Reference(body["task"], body.get("path", ""), is_optional="default" in body)


def _rebuild(
    value: Any,
    atoms: AbstractSet[str],
    atom: Callable[[str, Any], Any],
    compose: Callable[[Any], Any],
) -> Any:
    """A copy of `value` in which expression records are replaced.

    Those with a key in `atoms` become `atom(key, body)` and are not searched; the
    others become `compose(record)` after their contents.
    """
    root = [value]
    work: List[Tuple[Any, Any]] = [(root, 0)]
    composed: List[Tuple[Any, Any]] = []
    while work:
        holder, place = work.pop()
        node = holder[place]
        key = expression_key(node)
        if key in atoms and key is not None:
            holder[place] = atom(key, node[key])
            continue
        if isinstance(node, (dict, list)):
            copied = holder[place] = node.copy()
            work.extend((copied, name) for name, _ in reversed(children(copied)))
        if key is not None:
            composed.append((holder, place))
    # Outer records were found first, so inner ones come first here.
    for holder, place in reversed(composed):
        holder[place] = compose(holder[place])
    return root[0]


def _fetch(body: Any, outputs: Outputs) -> Any:
    """An output, or the default where there is none.

    A field that an output does not have is a mistake in either case.
    """
    task, path = body["task"], body.get("path", "")
    try:
        value = outputs(task)
    except ValueMissing:
        if "default" not in body:
            raise
        value = None
    if value is None and "default" in body:
        return body["default"]
    parts = path.split(".") if path else []
    done = 0
    while done < len(parts):
        found = follow_path(value, parts[done:])
        if found is None:
            where = f" in `{'.'.join(parts[:done])}`" if done else ""
            message = (
                f"output of {task} has no field `{parts[done]}`{where};"
                f" {_contents(value)}"
            )
            raise ValueMissing(message)
        value, used = found
        done += used
    return value


def _contents(value: Any, most: int = 10) -> str:
    """The existing keys or indexes, for the message."""
    if isinstance(value, dict) and value:
        names = [f"`{name}`" for name in list(value)[:most]]
        return f"it has {', '.join(names)}{', ...' if len(value) > most else ''}"
    if isinstance(value, list):
        return f"it is a list of length {len(value)}"
    return "it is empty" if value == {} else f"it is {type_name(value)}"


def _format(record: Any) -> Any:
    """The text of a `$format`; other records stay unchanged."""
    if "$format" not in record:
        return record
    text, values = record["$format"]
    pieces = text.split("{}")
    shown = [v if isinstance(v, str) else _json(v) for v in values]
    return pieces[0] + "".join(a + b for a, b in zip(shown, pieces[1:]))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- conditions ----------------------------------------------------------------


def _compare(key: str, resolved: Any) -> bool:
    """Decide a comparison, or an output that is used as a condition."""
    if key == "$output":
        if not isinstance(resolved, bool):
            message = f"a condition must be true or false, not {type_name(resolved)}"
            raise ValueMissing(message)
        return resolved
    left, right = resolved[key]
    if key == "$equals":
        return _same(left, right)
    if key == "$less":
        if {type_name(left), type_name(right)} not in ({"a number"}, {"text"}):
            message = f"cannot order {type_name(left)} and {type_name(right)}"
            raise ValueMissing(message)
        return bool(left < right)
    if isinstance(left, list):
        return any(_same(item, right) for item in left)
    if isinstance(left, str) and isinstance(right, str):
        return right in left
    message = f"{type_name(left)} cannot contain {type_name(right)}"
    raise ValueMissing(message)


def _junction(record: Any) -> Any:
    """Decide `$not`, `$all` or `$any` from decided operands; may be undecided."""
    ((key, operands),) = record.items()
    if key == "$not":
        return operands if isinstance(operands, ValueMissing) else not operands
    settling = key == "$any"
    if any(operand is settling for operand in operands):
        return settling
    missing = (o for o in operands if isinstance(o, ValueMissing))
    return next(missing, not settling)


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON: 1 is 1.0, but true is not 1."""
    work = [(left, right)]
    while work:
        a, b = work.pop()
        if type_name(a) != type_name(b):
            return False
        if isinstance(a, dict):
            if a.keys() != b.keys():
                return False
            work.extend((a[key], b[key]) for key in a)
        elif isinstance(a, list):
            if len(a) != len(b):
                return False
            work.extend(zip(a, b))
        elif a != b:
            return False
    return True
