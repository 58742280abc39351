"""Workflow files of the platform that provctl replaces: what they mean as ours.

Three generations of them are known: a batch (`batch_workflow`, or its content; also
with `workflow_id` and `configuration`, as it is sent to the platform), the plan of
the KCL schemas (`operations` with `target`, `items`, `providers`) and the formula
(`nodes`). They become a workflow of ours before anything is checked, so there is one
set of rules; `origin` leads from a place in the result to the one in the file.

Where pages of the platform contradict each other, this holds: what waits for `hard`
dependencies (the default) needs success, for `soft` and `optional` ones any end;
`linear` backoff waits the same time each time; `rollback_enabled` undoes what was
created when an operation fails, which is no different from `on_failure = "rollback"`;
`parallel_limit` is of the run, `parallel` of the items of one operation.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    FrozenSet,
    List,
    Mapping,
    Optional,
    Tuple,
)

from provctl.base.light_dataclass import light_dataclass
from provctl.core.model.expressions import type_name
from provctl.workflow_files.platform.operations import (
    DEPENDS_ON,
    Common,
    Operation,
    read_operation,
)

if TYPE_CHECKING:
    from provctl.workflow_files.problems import DocPath, ValidationIssues

    # Operations by all their names.
    _Names = Dict[str, List[Operation]]


# Ignored fields: runs are files, logs are kept, secrets are named.
_UNUSED = frozenset(
    {
        "checkpoint_enabled",
        "logging",
        "monitoring",
        "provider_agnostic",
        "secrets",
        "templates",
    }
)
_KNOWN = frozenset(
    {
        "configuration",
        "dependencies",
        "description",
        "edges",
        "id",
        "library",
        "name",
        "nodes",
        "operations",
        "parallel_limit",
        "params",
        "retry_policy",
        "rollback_enabled",
        "rollback_strategy",
        "storage_backend",
        "type",
        "version",
        "workflow_id",
    }
)
# Fields of a retry policy in our format, with their defaults.
_RETRY: Mapping[str, Tuple[str, Any]] = {
    "max_attempts": ("attempts", 3),
    "backoff": ("factor", "exponential"),
    "initial_delay": ("delay", 5),
    "max_delay": ("max_delay", 300),
}
_FACTORS = {"linear": 1, "exponential": 2}
_ROLLBACK = frozenset(
    {"checkpoint_interval", "enabled", "on_partial_failure", "preserve_successful"}
)


@light_dataclass
class Translation:
    """A workflow in our format; `notes` name the parts of the file that are not used.

    `origins` lead from paths of the value to paths of the file.
    """

    value: Dict[str, Any]
    origins: Mapping[DocPath, DocPath]
    notes: Tuple[str, ...]

    def origin(self, path: DocPath) -> DocPath:
        """The location in the file of a part of the value, as exactly as known."""
        for length in range(len(path), -1, -1):
            found = self.origins.get(path[:length])
            if found is not None:
                return found
        return ()


def convert_platform_file(
    value: Mapping[str, Any], problems: ValidationIssues
) -> Translation:
    """Return the workflow for a document of the platform.

    Mistakes go into `problems`, with their locations in the file; then the value must
    not be used.
    """
    return _Translator(value, problems).translation()


class _Translator:
    def __init__(self, value: Mapping[str, Any], problems: ValidationIssues) -> None:
        self._problems = problems
        self._root: DocPath = ()
        self._params = value.get("params")
        if "batch_workflow" in value:
            self._check_names(value, frozenset({"batch_workflow", "params"}), ())
            self._root = ("batch_workflow",)
            value = value["batch_workflow"]
        if not isinstance(value, dict):
            self._wrong(
                (), f"`batch_workflow` must be a record, not {type_name(value)}"
            )
            value = {}
        self._top = {key: each for key, each in value.items() if each is not None}
        # A document sent to the platform has some of the fields one level deeper.
        self._settings = {**self._record("configuration", self._top), **self._top}
        self._notes: List[str] = []
        self._origins: Dict[DocPath, DocPath] = {(): self._root}

    def translation(self) -> Translation:
        self._check_fields()
        operations = self._operations()
        self._add_dependencies(operations)
        if self._settings.get("type") == "sequential":
            for before, after in zip(operations, operations[1:]):
                after.needs.setdefault(before.id, "success")
        value: Dict[str, Any] = {"tasks": {each.id: each.task() for each in operations}}
        for each in operations:
            for path, origin in each.origins():
                self._origins[("tasks", each.id, *path)] = (*self._root, *origin)
        self._fill_top(value)
        for key in ("name", "description", "library"):
            self._origins[(key,)] = (*self._root, key)
        self._origins[("max_parallel",)] = self._place("parallel_limit")
        retry = self._retry()
        if retry is not None:
            value["defaults"] = {"retry": retry}
        if self._params is not None:
            value["params"] = self._params
            self._origins[("params",)] = ("params",)
        return Translation(value, self._origins, tuple(self._notes))

    def _fill_top(self, value: Dict[str, Any]) -> None:
        name = self._top.get("name", self._top.get("workflow_id", self._top.get("id")))
        if name is not None:
            value["name"] = name
        for key in ("description", "library"):
            if key in self._top:
                value[key] = self._top[key]
        if "parallel_limit" in self._settings:
            value["max_parallel"] = self._settings["parallel_limit"]

    def _check_fields(self) -> None:
        unused = sorted(_UNUSED & self._settings.keys())
        if unused:
            self._notes.append(f"ignored: {', '.join(unused)}")
        backend = self._settings.get("storage_backend", "filesystem")
        if backend != "filesystem":
            self._notes.append(f"runs are stored in files, not in {backend}")
        self._check_names(self._top, _KNOWN | _UNUSED, self._root)

    def _check_names(
        self, record: Mapping[str, Any], known: FrozenSet[str], path: DocPath
    ) -> None:
        for key in record.keys() - known:
            self._problems.add_unknown(
                (*path, key),
                f"unknown field `{key}`",
                key,
                known,
                hint="remove it; a KCL variable that begins with _ is not exported",
                on_key=True,
            )

    def _place(self, key: str) -> DocPath:
        """The location of a setting in the file."""
        inner = () if key in self._top else ("configuration",)
        return (*self._root, *inner, key)

    def _record(self, key: str, fields: Mapping[str, Any]) -> Dict[str, Any]:
        """A field that is a record, without its null values."""
        given = fields.get(key)
        if given is None:
            return {}
        if not isinstance(given, dict):
            self._problems.add(
                self._place(key), f"`{key}` must be a record, not {type_name(given)}"
            )
            return {}
        return {name: each for name, each in given.items() if each is not None}

    def _operations(self) -> List[Operation]:
        field = "nodes" if "nodes" in self._top else "operations"
        entries = self._top.get(field)
        if not isinstance(entries, list) or not entries:
            self._wrong((field,), f"`{field}` must be a list with at least one item")
            return []
        common = Common(has_rollback=self._has_rollback())
        found: Dict[str, Operation] = {}
        for index, entry in enumerate(entries):
            path = (field, index)
            operation = read_operation(entry, path, common, self._wrong)
            if operation is None:
                continue
            if operation.id in found:
                self._wrong((*path, "id"), f"duplicate id `{operation.id}`")
            found[operation.id] = operation
        return list(found.values())

    def _retry(self) -> Optional[Dict[str, Any]]:
        if self._settings.get("retry_policy") is None:
            return None
        place = self._place("retry_policy")
        policy = self._record("retry_policy", self._settings)
        self._check_names(policy, frozenset(_RETRY), place)
        retry: Dict[str, Any] = {}
        for theirs, (ours, default) in _RETRY.items():
            retry[ours] = policy.get(theirs, default)
            self._origins[("defaults", "retry", ours)] = (*place, theirs)
        if retry["factor"] not in list(_FACTORS):
            message = f"`backoff` must be {' or '.join(_FACTORS)}"
            self._problems.add((*place, "backoff"), message)
            return None
        retry["factor"] = _FACTORS[retry["factor"]]
        return retry

    def _has_rollback(self) -> bool:
        if self._settings.get("rollback_strategy") is None:
            place = self._place("rollback_enabled")
            return self._flag("rollback_enabled", self._settings, False, place)
        place = self._place("rollback_strategy")
        strategy = self._record("rollback_strategy", self._settings)
        self._check_names(strategy, _ROLLBACK, place)
        enabled = self._flag("enabled", strategy, True, (*place, "enabled"))
        kept = (*place, "preserve_successful")
        return enabled and not self._flag("preserve_successful", strategy, False, kept)

    def _flag(
        self, key: str, fields: Mapping[str, Any], default: bool, place: DocPath
    ) -> bool:
        given = fields.get(key, default)
        if not isinstance(given, bool):
            message = f"`{key}` must be true or false, not {type_name(given)}"
            self._problems.add(place, message)
            return default
        return given

    # -- dependencies between operations, at the top level -----------------------------

    def _add_dependencies(self, operations: List[Operation]) -> None:
        names: _Names = {}
        for each in operations:
            for name in each.names():
                names.setdefault(name, []).append(each)
        given = self._top.get("dependencies", [])
        if isinstance(given, dict):
            for target, sources in given.items():
                path: DocPath = ("dependencies", target)
                listed = sources if isinstance(sources, list) else [sources]
                for index, source in enumerate(listed):
                    self._add(names, source, target, "success", (*path, index))
            return
        for field in ("dependencies", "edges"):
            for index, entry in enumerate(self._list_of(field)):
                self._add_entry(names, entry, (field, index))

    def _list_of(self, field: str) -> List[Any]:
        entries = self._top.get(field, [])
        if isinstance(entries, list):
            return entries
        self._wrong((field,), f"`{field}` must be a list, not {type_name(entries)}")
        return []

    def _add_entry(self, names: _Names, entry: Any, path: DocPath) -> None:
        if not isinstance(entry, dict):
            self._wrong(path, f"a dependency must be a record, not {type_name(entry)}")
            return
        source = entry.get("source", entry.get("from"))
        target = entry.get("target", entry.get("to"))
        on = DEPENDS_ON.get(str(entry.get("type", entry.get("kind", "hard"))))
        if on is None:
            self._wrong(
                (*path, "type"), f"a dependency must be one of {', '.join(DEPENDS_ON)}"
            )
            return
        if entry.get("wait_condition"):
            self._notes.append("ignored: wait_condition")
        self._add(names, source, target, on, path)

    def _add(
        self, names: _Names, source: Any, target: Any, on: str, path: DocPath
    ) -> None:
        """`target` waits for `source`; both name an operation, or what it creates."""
        firsts = self._operations_named(names, source, path)
        for each in self._operations_named(names, target, path):
            for first in firsts:
                if each is not first:
                    each.needs.setdefault(first.id, on)

    def _operations_named(
        self, names: _Names, name: Any, path: DocPath
    ) -> List[Operation]:
        found = names.get(name, []) if isinstance(name, str) else []
        if not found:
            message = f"no operation is named `{name}` or creates it"
            self._problems.add_unknown((*self._root, *path), message, str(name), names)
        return found

    def _wrong(self, path: DocPath, message: str, hint: str = "") -> None:
        self._problems.add((*self._root, *path), message, hint)
