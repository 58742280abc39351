"""Flattens nested workflows into tasks with checked dependencies.

A name refers to the nearest task: of the same level, or of a level around.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
)

from provctl.core.model.expressions import (
    Reference,
    follow_path,
    has_run_values,
    references,
)
from provctl.core.model.graph import check
from provctl.core.model.workflow import Dependency, NushellCall, Task
from provctl.workflow_files.task_table import (
    TaskNode,
    TaskTable,
    build_table,
    make_task,
    place_of,
)
from provctl.workflow_files.validate import ParsedLevel, field_values, read_level

if TYPE_CHECKING:
    from provctl.core.model.status import DependencyOutcome
    from provctl.workflow_files.problems import (
        CallCheck,
        DocPath,
        PlaceCheck,
        ValidationIssues,
    )
    from provctl.workflow_files.schema import PolicyFields, WorkflowFields


MAX_NEEDS = 1_000_000


class _Use(NamedTuple):
    """The field, `part`, that refers to another task's output."""

    path: DocPath
    part: str
    reference: Reference


def flatten(
    document: Mapping[str, Any],
    problems: ValidationIssues,
    *,
    known_pools: Optional[Mapping[str, int]] = None,
    check_place: Optional[PlaceCheck] = None,
    check_call: Optional[CallCheck] = None,
    line_of: Callable[[str], int] = lambda _script: 0,
) -> Tuple[WorkflowFields, Tuple[Task, ...]]:
    """The outermost workflow's own fields, and the tasks of all levels.

    Mistakes go into `problems`; if there are any the tasks must not be used.
    `known_pools` maps pools to capacities, None to accept any pool; `check_place` returns
    why no machine has what a task needs, "" if one has it; `check_call` gets
    the `library` that the workflow names, `line_of` a script.
    """
    top = read_level(document, (), problems)
    table = build_table(top, problems)
    if known_pools is not None:
        _check_pools(top, table, known_pools, problems)
    if check_place is not None:
        _check_places(top, table, check_place, problems)
    tasks: List[Task] = []
    needs = _Needs(table, problems)
    for node in table.nodes.values():
        tasks.append(make_task(node, len(tasks), needs.of(node), table, line_of))
        _check_interrupt(tasks[-1], node, problems)
        _check_variables(tasks[-1], node, problems)
        _check_run_values(node, problems)
        if check_call is not None:
            _check_call(tasks[-1], node, top.fields.library, check_call, problems)
    if sum(len(task.needs) for task in tasks) > MAX_NEEDS:
        problems.add((), f"the workflow has more than {MAX_NEEDS} needs")
    else:
        _check_graph(tasks, table, problems)
    return top.fields, tuple(tasks)


def _check_call(
    task: Task,
    node: TaskNode,
    library: Optional[str],
    check_call: CallCheck,
    problems: ValidationIssues,
) -> None:
    works = {
        (): task.action,
        ("undo",): task.undo and task.undo.action,
        ("probe",): task.probe,
    }
    for at, work in works.items():
        wrong = check_call(library, work) if isinstance(work, NushellCall) else None
        if wrong is not None:
            path = (*node.entry.path, *at, "call", wrong.field)
            problems.add(path, wrong.message, wrong.hint)


# --- written and implied dependencies ----------------------------------------------


class _Needs:
    """Finds the dependencies of tasks: their `needs`, then outputs that they use.

    A million dependencies are of at most a hundred thousand tasks, so equal ones share
    one object.
    """

    def __init__(self, table: TaskTable, problems: ValidationIssues) -> None:
        self._table = table
        self._problems = problems
        self._alike: Dict[str, Dict[str, Dependency]] = {}

    def of(self, node: TaskNode) -> Tuple[Dependency, ...]:
        """Return the dependencies of a task, and report problems."""
        needs: Dict[str, Dependency] = {}
        for index, need in enumerate(node.entry.fields.needs):
            target = node.scope.find(need.task)
            if target is None:
                path = (*node.entry.path, "needs", index)
                message = f"task `{node.id}` needs `{need.task}`, which does not exist"
                _tell_unknown(need.task, node, path, message, self._problems)
                continue
            wrong = self._why_not_after(node, target)
            if wrong is not None:
                path = (*node.entry.path, "needs", index)
                what = f"task `{node.id}` needs `{need.task}`"
                self._problems.add(path, f"{what}, {wrong[0]}", wrong[1])
                continue
            known = needs.setdefault(target, self._one(target, need.on))
            if known.on != need.on:
                self._problems.add(
                    (*node.entry.path, "needs", index),
                    f"task `{node.id}` needs `{need.task}` twice: on {known.on} and on"
                    f" {need.on}",
                    "use `done` to continue whatever its outcome",
                )
        for target, on in self._implied(node):
            needs.setdefault(target, self._one(target, on))
        return tuple(needs.values())

    def _implied(self, node: TaskNode) -> Iterator[Tuple[str, DependencyOutcome]]:
        """Return the dependencies that follow from values, and report problems.

        A task waits for the success of another whose output it uses, or for any outcome
        if all uses are optional.
        """
        implied: Dict[str, bool] = {}  # whether all uses of it are optional
        for use in _uses(node):
            reference = use.reference
            target = node.scope.find(reference.task)
            what = "outcome" if reference.is_outcome else "output"
            what = f"task `{node.id}` uses the {what} of `{reference.task}`"
            if target is None:
                message = f"{what}, which does not exist"
                name = reference.task
                _tell_unknown(name, node, use.path, message, self._problems)
                continue
            if not reference.is_outcome:
                _check_output(node, target, use, self._table, self._problems)
            if self._may_use_late(node, target):
                continue
            wrong = self._why_not_after(node, target, same_level=True)
            if wrong is not None:
                self._problems.add(use.path, f"{what}, {wrong[0]}", wrong[1])
            elif target != node.id or use.part != "undo":
                implied[target] = implied.get(target, True) and reference.is_optional
        for target, is_optional in implied.items():
            yield target, "done" if is_optional else "success"

    def _may_use_late(self, node: TaskNode, target: str) -> bool:
        """Whether a finalizer uses what a task of its level may have returned."""
        other = self._table.nodes[target]
        beside = other.scope is node.scope and not other.entry.finalizer
        return node.entry.finalizer and beside

    def _why_not_after(
        self, node: TaskNode, target: str, *, same_level: bool = False
    ) -> Optional[Tuple[str, str]]:
        """Why a task cannot wait for another, and what to do; None if it can."""
        other = self._table.nodes[target]
        if not node.entry.finalizer:
            if not other.entry.finalizer:
                return None
            hint = "put it into `finally` too"
            return "a finalizer, which runs after all tasks", hint
        if other.scope is not node.scope:
            return (
                "which is not of its level",
                "a finalizer can use the tasks of its own level",
            )
        if other.entry.finalizer or same_level:
            return None
        hint = "remove it: a finalizer waits for all tasks of its level"
        return "which is no finalizer", hint

    def _one(self, target: str, on: DependencyOutcome) -> Dependency:
        alike = self._alike.setdefault(on, {})
        need = alike.get(target)
        if need is None:
            need = alike[target] = Dependency(target, on)
        return need


def _path_of_need(node: TaskNode, need: Dependency) -> DocPath:
    """Where a task first names a dependency on another."""
    for index, said in enumerate(node.entry.fields.needs):
        if node.scope.find(said.task) == need.task:
            return (*node.entry.path, "needs", index)
    uses = (u for u in _uses(node) if node.scope.find(u.reference.task) == need.task)
    return next(uses).path


def _uses(node: TaskNode) -> Iterator[_Use]:
    for at, value in field_values(node.entry.fields):
        for reference in references(value):
            yield _Use((*node.entry.path, *at), str(at[0]), reference)


def _tell_unknown(
    name: str, node: TaskNode, path: DocPath, message: str, problems: ValidationIssues
) -> None:
    hint = (
        "a task inside a nested workflow cannot be referenced from outside; reference"
        " the nested workflow"
        if "/" in name
        else ""
    )
    problems.add_unknown(path, message, name, node.scope.names(), hint=hint)


def _check_output(
    node: TaskNode,
    target: str,
    use: _Use,
    table: TaskTable,
    problems: ValidationIssues,
) -> None:
    """Follow a path into nested workflows, as far as their outputs are known."""
    path, wanted = use.path, use.reference.path
    parts = wanted.split(".") if wanted else []
    while parts and target in table.scopes:
        ids = table.scopes[target].ids
        found = follow_path(ids, parts)
        if found is None:
            problems.add_unknown(
                path,
                f"task `{node.id}` uses the output of `{parts[0]}` in `{target}`,"
                " which does not exist",
                parts[0],
                ids,
            )
            return
        target, used = found
        parts = parts[used:]
    if table.nodes[target].entry.kind == "command":
        problems.add(
            path,
            f"task `{node.id}` uses the output of `{target}`, but a `command` has no"
            " output",
            f"make `{target}` a `script` or a `call`, or use `needs` only",
        )


# --- checks beside the schema ------------------------------------------------------


def _check_graph(
    tasks: List[Task], table: TaskTable, problems: ValidationIssues
) -> None:
    places = {task.id: task.index for task in tasks}
    for problem in check(tasks):
        node, needs = table.nodes[problem.task], tasks[places[problem.task]].needs
        path = (
            node.entry.path
            if problem.need is None
            else _path_of_need(node, needs[problem.need])
        )
        hint = "each task needs the next; remove one of these needs"
        problems.add(path, problem.message, hint if problem.cycle else "")


def _check_interrupt(task: Task, node: TaskNode, problems: ValidationIssues) -> None:
    if "lost" in task.retry.on and not task.idempotent:
        _tell_lost(task, (*node.entry.path, "retry"), problems)
    if task.undo and "lost" in task.undo.retry.on and not task.undo.idempotent:
        _tell_lost(task, (*node.entry.path, "undo", "retry"), problems)
    if task.on_interrupt == "rerun" and not task.idempotent:
        problems.add(
            (*node.entry.path, "on_interrupt"),
            f'task `{task.id}`: on_interrupt = "rerun" needs idempotent = true',
            "set it if running the task twice is safe, or use `hold`",
        )


def _check_variables(task: Task, node: TaskNode, problems: ValidationIssues) -> None:
    for name in sorted(set(task.env) & set(task.secrets)):
        problems.add(
            (*node.entry.path, "env", name),
            f"task `{task.id}`: `{name}` is in `env` and in `secrets`",
            "remove it from one of them, or from `defaults`",
            on_key=True,
        )


def _check_run_values(node: TaskNode, problems: ValidationIssues) -> None:
    """Only finalizers know how the run went; not what looks whether one was done."""
    for at, value in field_values(node.entry.fields):
        known = node.entry.finalizer and at[0] not in ("probe", "undo")
        if not known and has_run_values(value):
            problems.add(
                (*node.entry.path, *at),
                f"task `{node.id}` uses a value of the run in `{at[0]}`",
                "only tasks in `finally` know how the run went",
            )


def _tell_lost(task: Task, path: DocPath, problems: ValidationIssues) -> None:
    problems.add(
        path,
        f"task `{task.id}`: retrying after `lost` needs idempotent = true",
        "set it if running the task twice is safe, or remove `lost`",
    )


def _check_places(
    top: ParsedLevel,
    table: TaskTable,
    check_place: PlaceCheck,
    problems: ValidationIssues,
) -> None:
    for policy, path in _policies(top, table):
        if policy.place is not None:
            why = check_place(place_of(policy.place))
            if why:
                problems.add((*path, "place"), why, "see: provctl node list")


def _policies(
    top: ParsedLevel, table: TaskTable
) -> Iterator[Tuple[PolicyFields, DocPath]]:
    """What the defaults of all levels, and what tasks say."""
    for level in [top, *table.levels.values()]:
        yield level.fields.defaults, (*level.path, "defaults")
    for node in table.nodes.values():
        yield node.entry.fields, node.entry.path


def _check_pools(
    top: ParsedLevel,
    table: TaskTable,
    known: Mapping[str, int],
    problems: ValidationIssues,
) -> None:
    for policy, path in _policies(top, table):
        for name, amount in (policy.pools or {}).items():
            at = (*path, "pools", name)
            if name not in known:
                problems.add_unknown(
                    at,
                    f"pool `{name}` is not configured",
                    name,
                    known,
                    hint="define pools in the configuration",
                    on_key=True,
                )
            elif amount > known[name]:
                problems.add(
                    at,
                    f"takes {amount} of pool `{name}`, which has only {known[name]}",
                )
