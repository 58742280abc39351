"""The model: what a workflow and a task are, immutable, as they run.

A workflow here is flat: a nested workflow is a task with a `SubWorkflow` action, and
the tasks inside it follow it in the table, name it in `parent` and have its id and a
slash before their own (`cluster/etcd`). So depth needs no recursion.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Mapping, Optional, Tuple, Union

from provctl.base.light_dataclass import light_dataclass

if TYPE_CHECKING:
    from provctl.core.model.status import (
        CancelPolicy,
        DependencyOutcome,
        OnFailure,
        OnInterrupt,
        UndoCondition,
    )

# A JSON value. Inside it, a record with the single key "$output" refers to the
# output of another task; see `core.model.expressions`.
Value = Any


@light_dataclass
class NushellCall:
    """A command of the Nushell library: `module` is a path below the library.

    `into` maps values to the Nushell types that JSON does not have, such as
    "duration": an argument by its place ("0"), a flag by its name. With `check_success`
    a call that returns a record with `success: false` has failed.
    """

    module: str
    command: str
    args: Tuple[Value, ...] = ()
    flags: Mapping[str, Value] = field(default_factory=dict)
    into: Mapping[str, str] = field(default_factory=dict)
    check_success: bool = True


@light_dataclass
class Script:
    """Inline Nushell; `args` is what the script sees as `$args`.

    `line` is where it begins in the workflow file, 0 if unknown.
    """

    text: str
    args: Mapping[str, Value] = field(default_factory=dict)
    line: int = 0


@light_dataclass
class Command:
    """Any program with its arguments; never parsed by a shell."""

    argv: Tuple[Value, ...]


@light_dataclass
class SubWorkflow:
    """A nested workflow: starts when its dependencies are met, ends after its tasks."""


Executable = Union[NushellCall, Script, Command]
Action = Union[Executable, SubWorkflow]


@light_dataclass
class Dependency:
    """An edge: the task waits for `task`, then checks its outcome.

    `on` is "success", "failure" or "done" (any outcome).
    """

    task: str
    on: DependencyOutcome = "success"


@light_dataclass
class RetryPolicy:
    """Number of attempts, and the delay between them (seconds).

    The delay before attempt n+1 is `delay_s * factor ** (n - 1)`, at most
    `max_delay_s`, then lengthened by up to the fraction `jitter` of itself.
    `on` names what is retried: exit codes ("75"), signals ("signal 15"),
    "exit" and "signal" (any of them), "timeout", "lost"; empty for all but "lost".
    """

    attempts: int = 1
    delay_s: float = 0.0
    factor: float = 1.0
    max_delay_s: Optional[float] = None
    jitter: float = 0.0
    on: Tuple[str, ...] = ()


NO_RETRY = RetryPolicy()


@light_dataclass
class Undo:
    """How to undo a task in a rollback.

    `on` is "success", or "begun" to undo also tasks that failed or whose result is
    unknown. `idempotent`: an undo whose result is unknown may be retried.
    """

    action: Executable
    on: UndoCondition = "success"
    timeout_s: Optional[float] = None
    retry: RetryPolicy = NO_RETRY
    idempotent: bool = False


@light_dataclass
class Placement:
    """Where a task may run, if there are several machines.

    `node` is the name of one, "local" for the machine of the owner, "" for any that
    has all of `labels`. `cpus`, `memory` (bytes) and `gpus` are what of a node it has
    for itself.
    """

    node: str = ""
    labels: Tuple[str, ...] = ()
    cpus: float = 0.0
    memory: int = 0
    gpus: int = 0


ANYWHERE = Placement()


@light_dataclass
class Task:
    """A node of the graph.

    `id` is unique in the run, with slashes for nesting; `index` is its position in the
    table and names its files. `needs` are resolved ids. `when` is a condition (see
    `core.model.expressions`), None for always. `timeout_s` None means the configured
    default, for a group no limit. `probe` finds out whether the task is already done,
    if the result of an attempt is unknown. `secrets` maps variables to the sources of
    their values (see `core.model.secret_reference`); with `secrets_once` a value is
    looked up once in a run. `keep_processes`: processes that it leaves when it exits by
    itself are not killed. `place` limits where it may run. `finalizer`: it
    starts when all other tasks of its level have finished, however they did; its
    `needs` are finalizers of the same level.
    """

    id: str
    index: int
    action: Action
    needs: Tuple[Dependency, ...] = ()
    parent: Optional[str] = None
    when: Value = None
    priority: int = 0
    timeout_s: Optional[float] = None
    retry: RetryPolicy = NO_RETRY
    env: Mapping[str, Value] = field(default_factory=dict)
    pools: Mapping[str, int] = field(default_factory=dict)
    # "continue": a failure does not fail the run; "rollback": it undoes the run.
    on_failure: OnFailure = "fail"
    on_interrupt: OnInterrupt = "hold"  # "rerun" (needs idempotent) or "fail"
    idempotent: bool = False
    undo: Optional[Undo] = None
    probe: Optional[Executable] = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    secrets_once: bool = False
    keep_processes: bool = False
    place: Placement = ANYWHERE
    finalizer: bool = False
    description: str = ""


@light_dataclass
class Workflow:
    """A workflow: evaluated, validated, stored at submission.

    `library` is the absolute directory of the Nushell library, None for the configured
    one; `cwd` is where tasks run; `environment` has the allowed variables of the
    submitter; `source` is the file it came from. `max_parallel` limits how many of its
    tasks run at once, None for no limit of its own. `labels` are for the run: its
    submission stores them, not its stored workflow. `on_cancel` and
    `on_timeout` say what follows after a cancel, or the timeout of the run, has ended
    its tasks.
    """

    name: str
    tasks: Tuple[Task, ...]
    params: Mapping[str, Value] = field(default_factory=dict)
    timeout_s: Optional[float] = None
    description: str = ""
    library: Optional[str] = None
    cwd: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    max_parallel: Optional[int] = None
    labels: Mapping[str, str] = field(default_factory=dict)
    on_cancel: CancelPolicy = "stop"
    on_timeout: CancelPolicy = "stop"
