"""Runs a command of the library as a workflow with one task.

The command line and the API share this code: which values a command takes, and the
workflow that calls it with them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, Iterable, Mapping, Sequence

from provctl.errors import UsageError
from provctl.nushell.invocation import CallArguments
from provctl.nushell.types import conversion_code, expected, item_type, validate

if TYPE_CHECKING:
    from provctl.core.model.workflow import Workflow
    from provctl.nushell.library.index import LibraryCommand
    from provctl.nushell.library.signatures import Parameter, Signature


_SHOWN_LENGTH = 60


def single_task_workflow(
    verb: LibraryCommand,
    given: CallArguments,
    *,
    library: str,
    cwd: str,
    environment: Mapping[str, str],
) -> Workflow:
    """Return the workflow that runs a verb of the library as its only task.

    `given` fits its signature; `values_from_body` and `typed_values` ensure that. The
    workflow has a name like "server_create", its task one like "create-server".
    """
    from provctl.core.model.workflow import NushellCall, Task, Workflow

    assert verb.signature is not None, verb
    call = NushellCall(
        verb.signature.module,
        verb.signature.command,
        tuple(map(_literal, given.args)),
        {name: _literal(value) for name, value in given.flags.items()},
        given.into,
    )
    return Workflow(
        f"{verb.noun}_{verb.name}",
        (Task(f"{verb.name}-{verb.noun}", 0, call),),
        library=library,
        cwd=cwd,
        environment=environment,
    )


def typed_values(
    signature: Signature, args: Sequence[Any], flags: Mapping[str, Any]
) -> CallArguments:
    """Return the values of a call, converted to the types of its parameters."""
    kinds = [each.type for each in signature.positionals]
    if signature.rest is not None:
        kinds += [signature.rest.type] * (len(args) - len(kinds))
    pairs = [(str(index), kind) for index, kind in enumerate(kinds[: len(args)])]
    pairs += [(f.name, f.type) for f in signature.flags if f.name in flags]
    return CallArguments(
        tuple(args), flags, {key: kind for key, kind in pairs if conversion_code(kind)}
    )


def values_from_body(signature: Signature, body: Mapping[str, Any]) -> CallArguments:
    """Return the values in a JSON body `{"infra": ..., "params": {...}}`.

    `infra` is the first positional parameter, unless the command has a flag of that
    name. `params` has values by parameter name, spelled with `-` or `_`. Null counts as
    not given. Raises UsageError that names what is wrong, missing or unknown.
    """
    values = [*_params(body).items()]
    if body.get("infra") is not None:
        values.append((infra_parameter(signature).name, body["infra"]))
    parameters = {_kebab(each.name): each for each in signature.parameters}
    fitting: Dict[str, Any] = {}
    for name, value in values:
        parameter = parameters.get(_kebab(name))
        if parameter is None:
            raise _unknown(signature, name)
        if parameter.name in fitting:
            message = f"{parameter.name} is given twice"
            raise UsageError(message, hint=_takes(signature))
        if value is not None:
            fitting[parameter.name] = _fitting(parameter, value)
    return _order_arguments(signature, fitting)


def infra_parameter(signature: Signature) -> Parameter:
    """Return the parameter that takes the name of an infrastructure.

    This is a flag `--infra`, else the first positional parameter. Raises UsageError if
    there is none.
    """
    flags = [flag for flag in signature.flags if flag.name == "infra"]
    for each in (*flags, *signature.positionals):
        return each
    message = f"{signature.command} does not take the name of an infrastructure"
    raise UsageError(message, hint=_takes(signature))


def value_error(parameter: Parameter, value: Any) -> UsageError:
    """Return the error for a value that does not fit a parameter."""
    shown = value if isinstance(value, str) else json.dumps(value, default=str)
    if len(shown) > _SHOWN_LENGTH:
        shown = f"{shown[:_SHOWN_LENGTH]}..."
    item = item_type(parameter.type)
    what = f"a list where each item is {expected(item)}" if item else None
    message = f"{metavar(parameter)}: expected {what or expected(parameter.type)}"
    return UsageError(f"{message}, got {shown!r}")


def metavar(parameter: Parameter) -> str:
    """Return a parameter as users write it: "--zone", "NAME"."""
    if parameter.kind in ("flag", "switch"):
        return f"--{parameter.name}"
    return parameter.name.upper()


def _params(body: Mapping[str, Any]) -> Dict[str, Any]:
    params = body.get("params")
    if params is None:
        return {}
    if not isinstance(params, dict):
        message = "params: expected a record of parameter names and values"
        raise UsageError(message)
    return dict(params)


def _fitting(parameter: Parameter, value: Any) -> Any:
    kind = parameter.type
    try:
        if parameter.kind == "rest":
            if not isinstance(value, list):
                raise value_error(parameter, value)
            return [validate(kind, item) for item in value]
        return validate(kind, value)
    except ValueError:
        raise value_error(parameter, value) from None


def _order_arguments(signature: Signature, values: Mapping[str, Any]) -> CallArguments:
    missing = [
        each.name
        for each in signature.positionals
        if each.required and each.name not in values
    ]
    if missing:
        message = f"{signature.command} needs {', '.join(missing)}"
        raise UsageError(message, hint=_takes(signature))
    flags = {f.name: values[f.name] for f in signature.flags if f.name in values}
    return typed_values(signature, list(_positional(signature, values)), flags)


def _positional(signature: Signature, values: Mapping[str, Any]) -> Iterable[Any]:
    """Return the positional values in order; none may be omitted before another."""
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
            message = f"missing {name}: a later argument is given"
            raise UsageError(message)
    return [*(values[name] for name in names[:length]), *further]


def _unknown(signature: Signature, name: str) -> UsageError:
    message = f"{signature.command} has no parameter {name!r}"
    return UsageError(message, hint=_takes(signature))


def _takes(signature: Signature) -> str:
    names = [f"{metavar(each)} ({each.type})" for each in signature.parameters]
    return f"it takes {', '.join(names)}" if names else "it takes no parameters"


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _literal(value: Any) -> Any:
    """Return a value in which nothing is interpreted as a reference to an output."""
    return {"$literal": value} if isinstance(value, (dict, list)) else value
