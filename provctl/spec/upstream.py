"""Owns workflow files of the platform that provctl replaces: what they mean as ours.

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

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Set, Tuple

from provctl.core.values import kind
from provctl.spec.operations import DEPENDS_ON, Common, Operation, read_operation

if TYPE_CHECKING:
    from provctl.spec.problems import Path, Problems

__all__ = ["Translation", "is_upstream", "translate"]

# Said in a file, of no use here: runs are files, logs are kept, secrets are named.
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
        "retry_policy",
        "rollback_enabled",
        "rollback_strategy",
        "storage_backend",
        "type",
        "version",
        "workflow_id",
    }
)


@dataclass(frozen=True)
class Translation:
    """A workflow of ours; `notes` say what of the file is not used.

    `origins` lead from paths of the value to paths of the file.
    """

    value: Dict[str, Any]
    origins: Mapping[Path, Path]
    notes: Tuple[str, ...]

    def origin(self, path: Path) -> Path:
        """Where in the file something of the value comes from, as near as is known."""
        for length in range(len(path), -1, -1):
            found = self.origins.get(path[:length])
            if found is not None:
                return found
        return ()


def is_upstream(value: Any) -> bool:
    """Whether a document is a workflow of the platform, and none of ours."""
    if not isinstance(value, dict) or "tasks" in value:
        return False
    return any(key in value for key in ("batch_workflow", "operations", "nodes"))


def translate(value: Mapping[str, Any], problems: Problems) -> Translation:
    """Return the workflow that a document of the platform means.

    Mistakes go into `problems`, at their places in the file; then the value is of no use.
    """
    return _Translator(value, problems).translation()


class _Translator:
    def __init__(self, value: Mapping[str, Any], problems: Problems) -> None:
        self._problems = problems
        self._root: Path = ()
        if "batch_workflow" in value:
            self._root = ("batch_workflow",)
            value = value["batch_workflow"]
        self._top: Mapping[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            self._wrong((), f"`batch_workflow` is a record, not {kind(value)}")
        inner = self._top.get("configuration")
        # What is sent to the platform has some of the fields a level further in.
        self._settings = {**(inner if isinstance(inner, dict) else {}), **self._top}
        self._notes: List[str] = []

    def translation(self) -> Translation:
        self._check_fields()
        operations = self._operations()
        self._add_dependencies(operations)
        if self._settings.get("type") == "sequential":
            for before, after in zip(operations, operations[1:]):
                after.needs.setdefault(before.id, "success")
        value: Dict[str, Any] = {"tasks": {each.id: each.task() for each in operations}}
        origins: Dict[Path, Path] = {(): self._root}
        for each in operations:
            for path, origin in each.origins():
                origins[("tasks", each.id, *path)] = (*self._root, *origin)
        self._fill_top(value)
        for ours, theirs in (("max_parallel", "parallel_limit"), ("name", "name")):
            origins[(ours,)] = (*self._root, theirs)
        return Translation(value, origins, tuple(self._notes))

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
            self._notes.append(f"not used: {', '.join(unused)}")
        backend = self._settings.get("storage_backend", "filesystem")
        if backend != "filesystem":
            self._notes.append(f"runs are kept in files, not in {backend}")
        for key in self._top.keys() - _KNOWN - _UNUSED:
            self._problems.add_unknown(
                (*self._root, key),
                f"unknown field `{key}`",
                key,
                _KNOWN,
                hint="take it away; a variable of KCL begins with _ to stay inside",
                on_key=True,
            )

    def _operations(self) -> List[Operation]:
        field = "nodes" if "nodes" in self._top else "operations"
        entries = self._top.get(field)
        if not isinstance(entries, list) or not entries:
            self._wrong((field,), f"`{field}` is a list of at least one")
            return []
        common = Common(retry=self._retry(), has_rollback=self._has_rollback())
        found: Dict[str, Operation] = {}
        for index, entry in enumerate(entries):
            path = (field, index)
            operation = read_operation(entry, path, common, self._wrong)
            if operation is None:
                continue
            if operation.id in found:
                self._wrong((*path, "id"), f"`{operation.id}` stands twice")
            found[operation.id] = operation
        return list(found.values())

    def _retry(self) -> Optional[Dict[str, Any]]:
        policy = self._settings.get("retry_policy")
        if not isinstance(policy, dict):
            return None
        retry: Dict[str, Any] = {"attempts": policy.get("max_attempts", 3)}
        retry["delay"] = policy.get("initial_delay", 5)
        retry["factor"] = 1 if policy.get("backoff") == "linear" else 2
        retry["max_delay"] = policy.get("max_delay", 300)
        return retry

    def _has_rollback(self) -> bool:
        strategy = self._settings.get("rollback_strategy")
        if isinstance(strategy, dict):
            keeps = strategy.get("preserve_successful", False)
            return bool(strategy.get("enabled", True)) and not keeps
        return bool(self._settings.get("rollback_enabled", False))

    # -- dependencies between operations, said at the top ------------------------------

    def _add_dependencies(self, operations: List[Operation]) -> None:
        given = self._top.get("dependencies", [])
        if isinstance(given, dict):
            for target, sources in given.items():
                path: Path = ("dependencies", target)
                listed = sources if isinstance(sources, list) else [sources]
                for index, source in enumerate(listed):
                    self._add(operations, source, target, "success", (*path, index))
            return
        for field in ("dependencies", "edges"):
            for index, entry in enumerate(self._listed(field)):
                self._add_entry(operations, entry, (field, index))

    def _listed(self, field: str) -> List[Any]:
        entries = self._top.get(field, [])
        if isinstance(entries, list):
            return entries
        self._wrong((field,), f"`{field}` is a list, not {kind(entries)}")
        return []

    def _add_entry(self, operations: List[Operation], entry: Any, path: Path) -> None:
        if not isinstance(entry, dict):
            self._wrong(path, f"a dependency is a record, not {kind(entry)}")
            return
        source = entry.get("source", entry.get("from"))
        target = entry.get("target", entry.get("to"))
        on = DEPENDS_ON.get(str(entry.get("type", entry.get("kind", "hard"))))
        if on is None:
            self._wrong((*path, "type"), f"a dependency is {', '.join(DEPENDS_ON)}")
            return
        if entry.get("wait_condition"):
            self._notes.append("not used: wait_condition")
        self._add(operations, source, target, on, path)

    def _add(
        self, operations: List[Operation], source: Any, target: Any, on: str, path: Path
    ) -> None:
        """`target` waits for `source`; both name an operation, or a thing it makes."""
        firsts = self._named(operations, source, path)
        for each in self._named(operations, target, path):
            for first in firsts:
                if each is not first:
                    each.needs.setdefault(first.id, on)

    def _named(
        self, operations: List[Operation], name: Any, path: Path
    ) -> List[Operation]:
        found = [each for each in operations if each.id == name or each.makes(name)]
        if not found:
            known: Set[str] = {each.id for each in operations}
            message = f"there is no operation `{name}`, and none that makes it"
            self._problems.add_unknown((*self._root, *path), message, str(name), known)
        return found

    def _wrong(self, path: Path, message: str, hint: str = "") -> None:
        self._problems.add((*self._root, *path), message, hint)
