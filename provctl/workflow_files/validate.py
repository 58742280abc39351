"""Reading one level of a workflow: every mistake in it, in our own words.

A field with a mistake is left out and the rest is read again, so that one
mistake does not hide the others.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterator,
    List,
    Mapping,
    Sequence,
    Set,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from pydantic import BaseModel, ValidationError

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.expressions import has_run_values, references, type_name
from provctl.workflow_files.check_values import value_problems
from provctl.workflow_files.schema import (
    KINDS,
    CallFields,
    NeedFields,
    PolicyFields,
    RetryFields,
    TaskFields,
    UndoFields,
    WorkFields,
    WorkflowFields,
)

if TYPE_CHECKING:
    from provctl.workflow_files.problems import DocPath, ValidationIssues


_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")

_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a record",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a record",
    "string_type": "text",
}
_MODELS: Mapping[Any, Type[BaseModel]] = {
    "call": CallFields,
    "defaults": PolicyFields,
    "needs": NeedFields,
    "probe": WorkFields,
    "retry": RetryFields,
    "undo": UndoFields,
}
# Fields that also mean something for a nested workflow; the others do not go with it.
_OF_GROUPS = (*KINDS, "needs", "when", "timeout", "on_failure", "description")

Fields = TypeVar("Fields", bound=BaseModel)


@light_dataclass
class ParsedTask:
    """One task of a level. `kind` is call, script, command or workflow.

    It is empty when the task has none or several. `finalizer`: it stands in `finally`.
    """

    id: str
    path: DocPath
    kind: str
    fields: TaskFields
    finalizer: bool = False


@light_dataclass
class ParsedLevel:
    """One workflow record and its own tasks; nested ones are still raw."""

    path: DocPath
    fields: WorkflowFields
    entries: Tuple[ParsedTask, ...]


def read_level(
    raw: Mapping[str, Any], path: DocPath, problems: ValidationIssues
) -> ParsedLevel:
    """Read one workflow record, but not the workflows nested in it."""
    fields = _read(WorkflowFields, raw, path, "the workflow", problems)
    fields = _without_outputs(fields, (*path, "defaults"), problems)
    literal = {"$literal": fields.params}
    for below, message in value_problems(literal):
        problems.add((*path, "params", *below[1:]), message)
    for name in ("max_parallel", "labels", "on_cancel", "on_timeout"):
        if path and getattr(fields, name):
            at = (*path, name)
            problems.add(at, f"`{name}` cannot be set in a nested workflow")
    if "tasks" not in raw:
        problems.add(
            path,
            "the workflow has no `tasks`",
            "add `tasks`, a record with a task for each id",
        )
    known: Dict[Any, Any] = {}
    entries = [
        _read_entry(name, task, at, problems, known)
        for name, task, at in _tasks(raw.get("tasks", {}), (*path, "tasks"), problems)
    ]
    if raw.get("finally") is not None:
        entries += _read_finalizers(raw["finally"], path, entries, problems, known)
    return ParsedLevel(path, fields, tuple(entries))


def _read_finalizers(
    raw: Any,
    path: DocPath,
    others: Sequence[ParsedTask],
    problems: ValidationIssues,
    known: Dict[Any, Any],
) -> Iterator[ParsedTask]:
    """The tasks in `finally`; those of one level have different ids."""
    taken = {entry.id for entry in others}
    for name, task, at in _tasks(raw, (*path, "finally"), problems):
        if name in taken:
            problems.add(
                at,
                f"`tasks` and `finally` both have a task `{name}`",
                "rename one of them",
                on_key=isinstance(raw, dict),
            )
            continue
        entry = _read_entry(name, task, at, problems, known)
        _check_finalizer(entry, task, problems)
        yield replace(entry, finalizer=True)


def _check_finalizer(
    entry: ParsedTask, raw: Mapping[str, Any], problems: ValidationIssues
) -> None:
    """Fields that mean nothing for a finalizer."""
    what = f"finalizer `{entry.id}`"
    if "workflow" in raw:
        problems.add(
            (*entry.path, "workflow"),
            f"{what} cannot be a nested workflow",
            "a nested workflow can have its own `finally`",
            on_key=True,
        )
    if "undo" in raw:
        problems.add(
            (*entry.path, "undo"),
            f"{what} cannot have an `undo`: it runs after a rollback",
            on_key=True,
        )
    if entry.fields.on_failure == "rollback":
        problems.add(
            (*entry.path, "on_failure"),
            f'{what} cannot have on_failure = "rollback": it runs after a rollback',
            'use "fail" or "continue"',
        )


def _tasks(
    tasks: Any, path: DocPath, problems: ValidationIssues
) -> Iterator[Tuple[str, Dict[str, Any], DocPath]]:
    """Id, record and path of each task whose id and record make sense."""
    field = path[-1]
    if isinstance(tasks, dict):
        named = [(name, task, (*path, name)) for name, task in tasks.items()]
    elif isinstance(tasks, list):
        named = list(_from_array(tasks, path, problems))
    else:
        problems.add(
            path,
            f"`{field}` must be a record or a list of records, not {type_name(tasks)}",
        )
        return
    for name, task, at in named:
        if not _ID.fullmatch(name):
            problems.add(
                at,
                f"{_not_an_id(name)} is not a valid task id",
                "use up to 200 letters (a to z, A to Z), digits, `.`, `_` and `-`, a"
                " letter or digit first",
                on_key=isinstance(tasks, dict),
            )
        elif not isinstance(task, dict):
            problems.add(at, f"task `{name}` must be a record, not {type_name(task)}")
        else:
            yield name, task, at


def _not_an_id(name: str) -> str:
    """Return the name as it is shown, with the letter that only looks like one."""
    shown = f"`{name[:220]}`"
    odd = next((c for c in name if c.isalnum() and not c.isascii()), None)
    return shown if odd is None else f"{shown} (`{odd}` is U+{ord(odd):04X})"


def _from_array(
    tasks: List[Any], path: DocPath, problems: ValidationIssues
) -> Iterator[Tuple[str, Dict[str, Any], DocPath]]:
    seen: Set[str] = set()
    for index, task in enumerate(tasks):
        at = (*path, index)
        name = task.get("id") if isinstance(task, dict) else None
        if not isinstance(name, str):
            problems.add(at, "a task in a list must be a record with its `id`, a text")
        elif name in seen:
            problems.add(
                (*at, "id"), f"two tasks have the id `{name}`", "rename one of them"
            )
        else:
            seen.add(name)
            yield name, {k: v for k, v in task.items() if k != "id"}, at


def _read_entry(
    name: str,
    raw: Dict[str, Any],
    path: DocPath,
    problems: ValidationIssues,
    known: Dict[Any, Any],
) -> ParsedTask:
    """One task; `known` are the needs that other tasks of its level have, see the schema."""
    what = f"task `{name}`"
    fields = _read(TaskFields, raw, path, what, problems, context=known)
    wrong = _check_values(fields, path, what, problems)
    fields = fields.model_copy(update=dict.fromkeys(wrong)) if wrong else fields
    kinds = [field for field in KINDS if field in raw]
    if not kinds:
        problems.add(
            path,
            f"{what} has nothing to run",
            "add one of `call`, `script`, `command` or `workflow`",
        )
    elif len(kinds) > 1:
        listed = ", ".join(f"`{field}`" for field in kinds)
        problems.add(
            (*path, kinds[1]),
            f"{what} has {listed}; a task must have exactly one of them",
            "split it into two tasks",
            on_key=True,
        )
    only = kinds[0] if len(kinds) == 1 else ""
    _check_pairs(only, raw, path, what, problems)
    return ParsedTask(name, path, only, fields)


def _check_pairs(
    only: str,
    raw: Mapping[str, Any],
    path: DocPath,
    what: str,
    problems: ValidationIssues,
) -> None:
    """Fields that do not go with the kind of the task."""
    if only == "workflow":
        for field in raw:
            if field in TaskFields.model_fields and field not in _OF_GROUPS:
                problems.add(
                    (*path, field),
                    f"{what}: `{field}` is not allowed on a nested workflow",
                    "set it on its tasks, or in its `defaults`",
                    on_key=True,
                )
    elif only in ("call", "command") and "args" in raw:
        problems.add(
            (*path, "args"),
            f"{what}: `args` is only allowed with `script`",
            "move it into `call`" if only == "call" else "add it to the list",
            on_key=True,
        )


def _without_outputs(
    fields: WorkflowFields, path: DocPath, problems: ValidationIssues
) -> WorkflowFields:
    """Check the values in `defaults`: every task has them, so none can wait."""
    defaults = fields.defaults
    wrong = _check_values(defaults, path, "`defaults`", problems)
    for name, value in (defaults.env or {}).items():
        what = ""
        if not wrong:
            what = "the output of a task" if references(value) else ""
            what = what or ("a value of the run" if has_run_values(value) else "")
        if what:
            problems.add(
                (*path, "env", name),
                f"`defaults`: `{name}` uses {what}",
                "move it to the `env` of the tasks that need it",
            )
            wrong = {"env"}
    if not wrong:
        return fields
    sound = defaults.model_copy(update=dict.fromkeys(wrong))
    return fields.model_copy(update={"defaults": sound})


def _check_values(
    fields: PolicyFields, path: DocPath, what: str, problems: ValidationIssues
) -> Set[str]:
    """Tell what is wrong with the values; the names of the fields they are in."""
    wrong: Set[str] = set()
    for at, value in field_values(fields):
        for below, message in value_problems(value, condition=at == ("when",)):
            wrong.add(str(at[0]))
            problems.add((*path, *at, *below), f"{what}: {message}")
    return wrong


def field_values(fields: PolicyFields) -> Iterator[Tuple[DocPath, Any]]:
    """Every value that may contain special records, with its path."""
    for name, value in (fields.env or {}).items():
        yield ("env", name), value
    if not isinstance(fields, TaskFields):
        return
    yield from _values_of_work(fields, ())
    for name in ("undo", "probe"):
        if getattr(fields, name) is not None:
            yield from _values_of_work(getattr(fields, name), (name,))
    if fields.when is not None:
        yield ("when",), fields.when


def _values_of_work(
    fields: Union[TaskFields, WorkFields], path: DocPath
) -> Iterator[Tuple[DocPath, Any]]:
    if fields.call is not None:
        for index, value in enumerate(fields.call.args):
            yield (*path, "call", "args", index), value
        for name, value in fields.call.flags.items():
            yield (*path, "call", "flags", name), value
    for name, value in (fields.args or {}).items():
        yield (*path, "args", name), value
    for index, value in enumerate(fields.command or ()):
        yield (*path, "command", index), value


# --- models, and their mistakes in our words -------------------------------------


def _read(
    model: Type[Fields],
    raw: Mapping[str, Any],
    path: DocPath,
    what: str,
    problems: ValidationIssues,
    *,
    context: Any = None,
) -> Fields:
    """The record as `model`, without the fields in which there are mistakes."""
    try:
        return model.model_validate(raw, context=context)
    except ValidationError as error:
        wrong = set()
        for detail in error.errors(include_url=False):
            wrong.add(detail["loc"][0])
            _tell(detail, model, path, what, problems)
        sound = {k: v for k, v in raw.items() if k not in wrong}
        return model.model_validate(sound, context=context)


def _tell(
    detail: Any,
    model: Type[BaseModel],
    path: DocPath,
    what: str,
    problems: ValidationIssues,
) -> None:
    """One of pydantic's mistakes, in our words."""
    at, rule = detail["loc"], detail["type"]
    where = ".".join(str(part) for part in at)
    if rule == "extra_forbidden":
        holder = next((_MODELS[p] for p in reversed(at[:-1]) if p in _MODELS), model)
        problems.add_unknown(
            (*path, *at),
            f"{what}: unknown field `{where}`",
            at[-1],
            _names_of(holder),
            hint=f"allowed fields: {', '.join(_names_of(holder))}",
            on_key=True,
        )
    elif rule == "missing":
        holder_path = ".".join(str(part) for part in at[:-1])
        problems.add((*path, *at[:-1]), f"{what}: `{holder_path}` has no `{at[-1]}`")
    else:
        problems.add((*path, *at), f"{what}: `{where}` {_words(detail)}")


def _names_of(model: Type[BaseModel]) -> List[str]:
    """The fields of a model as files have them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _words(detail: Any) -> str:
    rule, given = detail["type"], detail["input"]
    limits = detail.get("ctx", {})
    if rule == "value_error":
        return str(limits["error"])
    if rule in _EXPECTED:
        return f"must be {_EXPECTED[rule]}, not {type_name(given)}"
    if rule == "literal_error":
        return f"must be {limits['expected']}"
    if rule == "greater_than_equal":
        return f"must be at least {limits['ge']:g}"
    if rule == "less_than_equal":
        return f"must be at most {limits['le']:g}"
    if rule == "string_too_long":
        return f"has more than {limits['max_length']} characters"
    if rule == "string_too_short":
        return "is empty"
    return str(detail["msg"])
