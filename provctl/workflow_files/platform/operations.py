"""Translates one operation of the platform's files into commands.

    {id, type = "server_batch", provider, servers = [...], dependencies = [ids]}
    {id, type = "create", target = "server", providers, items, depends_on, parallel,
     timeout, on_failure}
    {id, taskserv = {name, profile}, depends_on = [{node_id, kind}], on_error,
    max_retries}

Each thing, and each provider of it, is one call: `servers/create.nu`, `create-server`,
its name as the argument, the provider and what else is said of it as flags. More than
one make a nested workflow.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Optional,
    Set,
    Tuple,
)

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.expressions import type_name

if TYPE_CHECKING:
    from provctl.workflow_files.problems import DocPath


# The names of the kinds of dependencies, in all three generations.
DEPENDS_ON = {
    "hard": "success",
    "soft": "done",
    "optional": "done",
    "OnSuccess": "success",
    "Always": "done",
    "OnFailure": "failure",
}
_VERBS = ("create", "update", "delete", "check")
_ON_ERROR = {"Stop": "fail", "Continue": "continue", "Retry": "fail"}
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_NOUN = re.compile(r"[a-z][a-z0-9]*")
_UNUSED = frozenset({"name", "target_save_path"})

_FIELDS = frozenset(
    {
        "component",
        "dependencies",
        "depends_on",
        "description",
        "id",
        "items",
        "max_retries",
        "name",
        "on_error",
        "on_failure",
        "parallel",
        "params",
        "provider",
        "providers",
        "target",
        "taskserv",
        "timeout",
        "type",
    }
)

Wrong = Callable[["DocPath", str, str], None]


@light_dataclass
class Common:
    """The settings for all operations of a file."""

    has_rollback: bool = False


@light_dataclass
class _Thing:
    """The subject of one call. `path` leads from the operation to it."""

    name: Optional[str]
    flags: Dict[str, Any]
    path: DocPath


@dataclass
class Operation:
    """One operation; `needs` maps other operations to the required outcome.

    `need_at` is the path of each dependency, from the operation on.
    """

    id: str
    path: DocPath
    noun: str
    verb: str
    things: List[_Thing]
    fields: Dict[str, Any]
    needs: Dict[str, str] = field(default_factory=dict)
    is_chain: bool = False
    undoes: bool = False
    retry: Optional[Dict[str, Any]] = None
    need_at: Dict[str, DocPath] = field(default_factory=dict)

    def names(self) -> Set[str]:
        """Its names: its id, and what it creates, such as server.web-1."""
        return {
            self.id,
            *(f"{self.noun}.{thing.name}" for thing in self.things if thing.name),
        }

    def task(self) -> Dict[str, Any]:
        """The task in our format, without null values."""
        needs = [{"task": name, "on": on} for name, on in self.needs.items()]
        around = {**self.fields, **({"needs": needs} if needs else {})}
        calls = self._calls()
        if len(calls) == 1:
            ((_, call),) = calls
            return {**call, **around}
        inner: Dict[str, Any] = {}
        before = ""
        for name, call in calls:
            inner[name] = {**call, **({"needs": [before]} if before else {})}
            before = name if self.is_chain else ""
        return {**around, "workflow": {"tasks": inner}}

    def origins(self) -> Iterator[Tuple[DocPath, DocPath]]:
        """The paths of its parts in the file, by their paths in the task."""
        yield (), (*self.path, "id")
        for key in ("timeout", "on_failure"):
            yield (key,), (*self.path, key)
        for index, name in enumerate(self.needs):
            yield ("needs", index), (*self.path, *self.need_at.get(name, ()))
        calls = self._calls()
        if len(calls) == 1:
            yield ("retry",), (*self.path, "max_retries")
            for part in ("call", "undo"):
                yield (part,), (*self.path, *self.things[0].path)
            return
        for (name, _), thing in zip(calls, self.things):
            yield ("workflow", "tasks", name), (*self.path, *thing.path)

    def _calls(self) -> List[Tuple[str, Dict[str, Any]]]:
        found: Dict[str, Dict[str, Any]] = {}
        count = Counter(thing.name for thing in self.things)
        for thing in self.things:
            words = [thing.name or self.verb]
            if count[thing.name] > 1:
                words.append(str(thing.flags.get("provider", len(found) + 1)))
            name = _NOT_IN_A_NAME.sub("-", "-".join(words)).lstrip("-._") or "item"
            while name in found:
                name += "-again"
            found[name] = self._call(thing)
        return list(found.items())

    def _call(self, thing: _Thing) -> Dict[str, Any]:
        task: Dict[str, Any] = {"call": _call(self.noun, self.verb, thing, thing.flags)}
        if self.retry is not None:
            task["retry"] = self.retry
        if self.undoes and self.verb == "create":
            kept = {k: v for k, v in thing.flags.items() if k == "provider"}
            task["undo"] = {"call": _call(self.noun, "delete", thing, kept)}
        return task


def _call(noun: str, verb: str, thing: _Thing, flags: Dict[str, Any]) -> Dict[str, Any]:
    return {
        "module": f"{noun}s/{verb}.nu",
        "command": f"{verb}-{noun}",
        "args": [] if thing.name is None else [thing.name],
        "flags": flags,
    }


def read_operation(
    entry: Any, path: DocPath, common: Common, wrong: Wrong
) -> Optional[Operation]:
    """Return an operation, None if it is invalid; problems are reported."""
    if not isinstance(entry, dict):
        wrong(path, f"an operation must be a record, not {type_name(entry)}", "")
        return None
    entry = {key: value for key, value in entry.items() if value is not None}
    if not isinstance(entry.get("id"), str):
        wrong(path, "an operation must have an `id`, a text", "")
        return None
    what = _noun_and_verb(entry, path, wrong)
    if what is None:
        return None
    noun, verb = what
    for key in entry.keys() - _FIELDS - {f"{noun}s"}:
        wrong((*path, key), f"unknown field `{key}` of an operation", "")
    on_failure = _on_failure(entry, path, common, wrong)
    if not isinstance(entry.get("parallel", True), bool):
        wrong((*path, "parallel"), "`parallel` must be true or false", "")
    operation = Operation(
        id=entry["id"],
        path=path,
        noun=noun,
        verb=verb,
        things=_things(entry, noun, path, wrong),
        fields=_fields(entry, on_failure),
        is_chain=entry.get("parallel", True) is False,
        undoes=common.has_rollback or on_failure == "rollback",
        retry=_retry(entry, path, wrong),
    )
    _add_needs(operation, entry, wrong)
    return operation


def _noun_and_verb(
    entry: Dict[str, Any], path: DocPath, wrong: Wrong
) -> Optional[Tuple[str, str]]:
    """Noun and verb."""
    for noun in ("taskserv", "component"):
        if isinstance(entry.get(noun), dict):
            return noun, "create"
    kind, target = entry.get("type"), entry.get("target")
    if isinstance(kind, str) and isinstance(target, str):
        noun, verb = target, kind
    else:
        noun, _, verb = str(kind).partition("_")
        verb = "create" if verb == "batch" else verb
    if verb in _VERBS and _NOUN.fullmatch(noun):
        return noun, verb
    at = (*path, "type") if "type" in entry else path
    hint = (
        'for example type = "server_batch", or type = "create" with target = "server"'
    )
    wrong(at, f"cannot tell what `{entry['id']}` does: type {kind!r}", hint)
    return None


def _on_failure(
    entry: Dict[str, Any], path: DocPath, common: Common, wrong: Wrong
) -> Optional[str]:
    if "on_error" in entry:
        policy = entry["on_error"]
        strategy = policy.get("strategy") if isinstance(policy, dict) else policy
        found = _ON_ERROR.get(str(strategy))
        if found is None:
            wrong(
                (*path, "on_error"),
                f"on_error must be one of {', '.join(_ON_ERROR)}",
                "",
            )
        return found
    found = entry.get("on_failure")
    return "rollback" if found is None and common.has_rollback else found


def _retry(
    entry: Dict[str, Any], path: DocPath, wrong: Wrong
) -> Optional[Dict[str, Any]]:
    retries = entry.get("max_retries", 0)
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        wrong(
            (*path, "max_retries"),
            "`max_retries` must be a whole number, 0 or more",
            "",
        )
        return None
    return {"attempts": retries + 1} if retries else None


def _fields(entry: Dict[str, Any], on_failure: Optional[str]) -> Dict[str, Any]:
    fields = {"timeout": entry.get("timeout"), "on_failure": on_failure}
    fields["description"] = entry.get("description", entry.get("name"))
    return {key: value for key, value in fields.items() if value is not None}


def _things(
    entry: Dict[str, Any], noun: str, path: DocPath, wrong: Wrong
) -> List[_Thing]:
    key = f"{noun}s" if f"{noun}s" in entry else "items"
    listed = entry.get(key)
    if isinstance(entry.get(noun), dict):
        key, listed = noun, [entry[noun]]
    if listed is None:
        single = _Thing(None, dict(_record(entry.get("params"))), ())
        return [_for(single, p) for p in _providers(entry)]
    if not isinstance(listed, list):
        wrong((*path, key), f"`{key}` must be a list, not {type_name(listed)}", "")
        return []
    things = []
    for index, item in enumerate(listed):
        at: DocPath = (key, index) if key != noun else (key,)
        thing = _thing(item, at)
        if thing is None:
            message = (
                f"an item of `{key}` must be a name or a record with `name`, not"
                f" {type_name(item)}"
            )
            wrong((*path, *at), message, "")
            continue
        shared = {**_record(entry.get("params")), **thing.flags}
        things += [
            _for(_Thing(thing.name, shared, at), provider)
            for provider in _providers(entry)
        ]
    return things


def _thing(item: Any, at: DocPath) -> Optional[_Thing]:
    if isinstance(item, str):
        return _Thing(item, {}, at)
    if not isinstance(item, dict):
        return None
    name = item.get("name", item.get("hostname"))
    if not isinstance(name, str):
        return None
    flags = {
        key.replace("_", "-"): value
        for key, value in item.items()
        if key not in (*_UNUSED, "hostname")
    }
    return _Thing(name, flags, at)


def _record(value: Any) -> Dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    return {key.replace("_", "-"): each for key, each in value.items()}


def _for(thing: _Thing, provider: Optional[str]) -> _Thing:
    if provider is None or "provider" in thing.flags:
        return thing
    return _Thing(thing.name, {"provider": provider, **thing.flags}, thing.path)


def _providers(entry: Dict[str, Any]) -> List[Optional[str]]:
    """The named providers, or one without a name."""
    named = entry.get("providers")
    if isinstance(named, list) and named:
        return [str(name) for name in named]
    single = entry.get("provider")
    return [str(single)] if single is not None else [None]


def _add_needs(operation: Operation, entry: Dict[str, Any], wrong: Wrong) -> None:
    for key in ("dependencies", "depends_on"):
        listed = entry.get(key, [])
        if not isinstance(listed, list):
            wrong(
                (*operation.path, key),
                f"`{key}` must be a list, not {type_name(listed)}",
                "",
            )
            continue
        for index, listed_need in enumerate(listed):
            name, how = listed_need, "hard"
            if isinstance(listed_need, dict):
                name = listed_need.get(
                    "node_id", listed_need.get("operation", listed_need.get("id"))
                )
                how = str(listed_need.get("kind", listed_need.get("type", "hard")))
            if not isinstance(name, str) or how not in DEPENDS_ON:
                kinds = ", ".join(DEPENDS_ON)
                message = f"a dependency must be an id, optionally with a kind: {kinds}"
                wrong((*operation.path, key, index), message, "")
                continue
            operation.needs[name] = DEPENDS_ON[how]
            operation.need_at[name] = (key, index)
