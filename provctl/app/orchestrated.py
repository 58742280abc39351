"""Owns a command of the library as a run: one task, made of a signature and values.

What the command line and the API have in common: which values a command takes, and
the workflow that calls it with them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Iterable, Mapping, Tuple

from provctl.core.model import Call, Task, Workflow
from provctl.errors import UsageProblem
from provctl.nushell.types import accept, conversion, expected, item_type

if TYPE_CHECKING:
    from provctl.nushell.index import Verb
    from provctl.nushell.signatures import Parameter, Signature

__all__ = [
    "Given",
    "call_of",
    "given_in_body",
    "infra_parameter",
    "one_task",
    "refused",
    "spelled",
]

_SHOWN_LENGTH = 60


@dataclass(frozen=True)
class Given:
    """The values that a command is given: positional ones in order, flags by name."""

    args: Tuple[Any, ...] = ()
    flags: Mapping[str, Any] = field(default_factory=dict)


def one_task(
    verb: Verb,
    given: Given,
    *,
    library: str,
    cwd: str,
    environment: Mapping[str, str],
) -> Workflow:
    """Return the workflow that runs a verb of the library as its only task.

    It is called like "server_create", its task "create-server". Raises UsageProblem
    if the verb cannot be read.
    """
    task = Task(
        f"{verb.name}-{verb.noun}",
        0,
        call_of(verb, Given(_literal(given.args), _literal(given.flags))),
    )
    return Workflow(
        f"{verb.noun}_{verb.name}",
        (task,),
        library=library,
        cwd=cwd,
        environment=environment,
    )


def call_of(verb: Verb, given: Given) -> Call:
    """Return the call of a verb with values that fit its signature."""
    signature = verb.signature
    if signature is None:
        raise UsageProblem(verb.problem)
    kinds = [each.type for each in signature.positionals]
    if signature.rest is not None:
        kinds += [signature.rest.type] * (len(given.args) - len(kinds))
    typed = [(str(index), kind) for index, kind in enumerate(kinds[: len(given.args)])]
    typed += [(f.name, f.type) for f in signature.flags if f.name in given.flags]
    into = {key: kind for key, kind in typed if conversion(kind)}
    return Call(signature.module, signature.command, given.args, given.flags, into)


def given_in_body(signature: Signature, body: Mapping[str, Any]) -> Given:
    """Return the values in a JSON body `{"infra": ..., "params": {...}}`.

    `infra` is the first positional parameter, unless the command has a flag of that
    name; `params` has any by their names, spelled with `-` or `_`. Null is not
    given. Raises UsageProblem that names what is wrong, missing or unknown.
    """
    values = _params(body)
    infra = body.get("infra")
    if infra is not None:
        target = infra_parameter(signature)
        if target.name in values:
            message = f"{target.name!r} is given twice, as infra and in params"
            raise UsageProblem(message)
        values[target.name] = infra
    parameters = {_kebab(each.name): each for each in signature.parameters}
    unknown = [name for name in values if _kebab(name) not in parameters]
    if unknown:
        raise _unknown(signature, unknown[0])
    fitting = {
        parameters[_kebab(name)].name: _fitting(parameters[_kebab(name)], value)
        for name, value in values.items()
        if value is not None
    }
    return _ordered(signature, fitting)


def infra_parameter(signature: Signature) -> Parameter:
    """Return the parameter that the name of an infrastructure fills.

    A flag `--infra`, else the first positional. Raises UsageProblem if it has none.
    """
    flags = [flag for flag in signature.flags if flag.name == "infra"]
    for each in (*flags, *signature.positionals):
        return each
    message = f"{signature.command} takes no name of an infrastructure"
    raise UsageProblem(message, hint=_takes(signature))


def refused(parameter: Parameter, value: Any) -> UsageProblem:
    """Return the problem of a value that does not fit a parameter."""
    shown = value if isinstance(value, str) else json.dumps(value, default=str)
    if len(shown) > _SHOWN_LENGTH:
        shown = f"{shown[:_SHOWN_LENGTH]}..."
    item = item_type(parameter.type)
    what = f"a list, of which each is {expected(item)}" if item else None
    message = f"{spelled(parameter)}: expected {what or expected(parameter.type)}"
    return UsageProblem(f"{message}, got {shown!r}")


def spelled(parameter: Parameter) -> str:
    """Return a parameter as people know it: "--zone", "NAME"."""
    if parameter.kind in ("flag", "switch"):
        return f"--{parameter.name}"
    return parameter.name.upper()


def _params(body: Mapping[str, Any]) -> Dict[str, Any]:
    params = body.get("params")
    if params is None:
        return {}
    if not isinstance(params, dict):
        message = "params: expected a record of parameters by their names"
        raise UsageProblem(message)
    return dict(params)


def _fitting(parameter: Parameter, value: Any) -> Any:
    kind = parameter.type
    try:
        if parameter.kind == "rest":
            if not isinstance(value, list):
                raise refused(parameter, value)
            return [accept(kind, item) for item in value]
        return accept(kind, value)
    except ValueError:
        raise refused(parameter, value) from None


def _ordered(signature: Signature, values: Mapping[str, Any]) -> Given:
    missing = [
        each.name
        for each in signature.positionals
        if each.required and each.name not in values
    ]
    if missing:
        message = f"{signature.command} needs {', '.join(missing)}"
        raise UsageProblem(message, hint=_takes(signature))
    flags = {f.name: values[f.name] for f in signature.flags if f.name in values}
    return Given((*_positional(signature, values),), flags)


def _positional(signature: Signature, values: Mapping[str, Any]) -> Iterable[Any]:
    """Return the positional values in order; a gap cannot be left."""
    rest = signature.rest
    further = values.get(rest.name, []) if rest is not None else []
    names = [each.name for each in signature.positionals]
    given = [name in values for name in names]
    length = (
        len(names)
        if further
        else len(given) - given[::-1].index(True)
        if any(given)
        else 0
    )
    for name in names[:length]:
        if name not in values:
            message = f"{name} has to be given too: what follows it is"
            raise UsageProblem(message)
    return [*(values[name] for name in names[:length]), *further]


def _unknown(signature: Signature, name: str) -> UsageProblem:
    message = f"{signature.command} has no parameter {name!r}"
    return UsageProblem(message, hint=_takes(signature))


def _takes(signature: Signature) -> str:
    names = [f"{spelled(each)} ({each.type})" for each in signature.parameters]
    return f"it takes {', '.join(names)}" if names else "it takes no parameters"


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _literal(values: Any) -> Any:
    """Return values so that nothing in them is taken for a reference to outputs."""
    if isinstance(values, tuple):
        return tuple(map(_literal_one, values))
    return {name: _literal_one(value) for name, value in values.items()}


def _literal_one(value: Any) -> Any:
    return {"$literal": value} if isinstance(value, (dict, list)) else value
