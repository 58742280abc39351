"""The schema of one level of a workflow file: its fields and their limits."""

from __future__ import annotations

import re
import signal
from typing import Any, Dict, List, NoReturn, Optional, Tuple, Union, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo
from pydantic.functional_validators import (
    AfterValidator,
    BeforeValidator,
    model_validator,
)
from typing_extensions import Annotated

from provctl.base.timefmt import parse_duration
from provctl.core.model.expressions import type_name
from provctl.core.model.labels import check_labels
from provctl.core.model.nushell_names import is_command, is_flag, is_module
from provctl.core.model.secret_reference import read_reference
from provctl.core.model.status import (  # noqa: TC001 - pydantic reads them
    CancelPolicy,
    DependencyOutcome,
    OnFailure,
    OnInterrupt,
    UndoCondition,
)

KINDS = ("call", "script", "command", "workflow")

MAX_SCRIPT = 64 << 10
MAX_TEXT = 1 << 20

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


# Variables that the scheduler sets for each attempt, whatever a workflow says.
GIVEN_VARIABLES = frozenset(
    f"PROVCTL_{name}"
    for name in (
        *("ATTEMPT", "ATTEMPT_ID", "CHECKPOINT_FILE", "ENDPOINT", "IDEMPOTENCY_KEY"),
        *("FAILED_TASKS", "INPUT", "INPUT_FILE", "NEEDS", "OUTPUT_FILE", "PROGRAM"),
        *("RUN", "RUN_OUTCOME", "STATE_DIR", "TASK", "TASK_ID"),
    )
)


def _reject(message: str) -> NoReturn:
    raise ValueError(message)


def _positive(value: float) -> float:
    if value <= 0:
        _reject("must be longer than 0 seconds")
    return value


def _module(text: str) -> str:
    if not is_module(text):
        _reject("must be a path below the library such as servers/create.nu")
    return text


def _command(text: str) -> str:
    if not is_command(text):
        _reject(f"must be a command such as create-server, not `{text}`")
    return text


def _flags(flags: Dict[str, Any]) -> Dict[str, Any]:
    for name in flags:
        if not is_flag(name):
            _reject(f"has `{name}`, which is not a flag name: write zone for --zone")
    return flags


def _arguments(arguments: Dict[str, Any]) -> Dict[str, Any]:
    for name in arguments:
        if not _ARGUMENT.fullmatch(name):
            _reject(f"has `{name}`, which is not a valid name in $args")
    return arguments


def _env(env: Dict[str, Any]) -> Dict[str, Any]:
    for name, value in env.items():
        if not _VARIABLE.fullmatch(name):
            _reject(f"has `{name}`, which is not a valid variable name")
        if name in GIVEN_VARIABLES:
            _reject(f"has `{name}`, which provctl sets itself")
        _check_word(value, f"`{name}`")
    return env


def _secret_names(secrets: Any) -> Any:
    """Refuse wrong names before any value is looked at: a mistake there has its name."""
    for name in secrets if isinstance(secrets, dict) else ():
        if not _VARIABLE.fullmatch(name):
            # Without the input, here and below: it may be the secret itself.
            _reject("has a name that is not a valid variable name")
        if name in GIVEN_VARIABLES:
            _reject(f"has `{name}`, which provctl sets itself")
    return secrets


def _secret(given: Any) -> str:
    return read_reference(given).text


def _worth_it(entries: List[Any]) -> List[str]:
    """The causes of a retry, in the words of `core.model.workflow.Retry`."""
    if not entries:
        _reject("is empty: remove it to retry after any failure")
    words = [_one_worth_it(entry) for entry in entries]
    return list(dict.fromkeys(words))


def _one_worth_it(entry: Any) -> str:
    if entry in ("exit", "signal", "timeout", "lost"):
        return str(entry)
    if isinstance(entry, int) and not isinstance(entry, bool) and 1 <= entry <= 255:
        return str(entry)
    number = signal.Signals.__members__.get(entry) if isinstance(entry, str) else None
    if number is None:
        given = f"`{entry}`" if isinstance(entry, (str, int)) else type_name(entry)
        _reject(
            "accepts exit codes (1 to 255), signals (SIGKILL), exit, signal, timeout"
            f" and lost, not {given[:40]}"
        )
    return f"signal {int(number)}"


def _argv(argv: List[Any]) -> List[Any]:
    if not argv or not isinstance(argv[0], str) or not argv[0]:
        _reject("must begin with the program to run")
    for value in argv:
        _check_word(value, "an argument")
    return argv


def _check_word(value: Any, what: str) -> None:
    """Refuse a value that cannot be an argument or an environment variable.

    Expression records are accepted here and checked later.
    """
    waits = isinstance(value, dict) and any(key.startswith("$") for key in value)
    if not waits and not isinstance(value, (str, int, float)):
        _reject(f"has {type_name(value)} for {what}, which must be text or a number")
    if isinstance(value, str) and "\0" in value:
        _reject(f"has a NUL character in {what}")


def _script(text: str) -> str:
    if not text.strip():
        _reject("is empty")
    if len(text.encode(errors="replace")) > MAX_SCRIPT:
        _reject("is larger than 64 KiB; move it to a module and use `call`")
    return text


def _pools(pools: Dict[str, int]) -> Dict[str, int]:
    for name, amount in pools.items():
        if amount < 1:
            _reject(f"must take at least 1 of `{name}`")
    return pools


def _memory(value: Any) -> Any:
    """Bytes, of a text such as "4G" or of a whole number."""
    found = (
        re.fullmatch(r"(\d{1,15})([KMGT]?)i?B?", value) if type(value) is str else None
    )
    if found is not None:
        return int(found[1]) << 10 * " KMGT".index(found[2] or " ")
    if type(value) is not int or value < 0:
        _reject("must be a size such as 4G, or a number of bytes")
    return value


def _name(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        _reject("begins or ends with a space, or has invisible characters")
    return text


def _labels(labels: Dict[str, str]) -> Dict[str, str]:
    check_labels(labels)
    return labels


def _needs(entries: Any, info: ValidationInfo) -> Any:
    """Expand names to records with a `task`; `info.context` caches them."""
    if not isinstance(entries, list):
        return entries
    known = cast("_Known", info.context)
    return [
        known.get(entry) or {"task": entry} if isinstance(entry, str) else entry
        for entry in entries
    ]


def _alike(needs: List[NeedFields], info: ValidationInfo) -> List[NeedFields]:
    """Share equal dependencies: there may be a million, of few tasks."""
    known = cast("_Known", info.context)
    return [
        known.setdefault(
            need.task if need.on == "success" else (need.task, need.on), need
        )
        for need in needs
    ]


Text = Annotated[str, Field(max_length=MAX_TEXT)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
Timeout = Annotated[float, BeforeValidator(parse_duration), AfterValidator(_positive)]
Env = Annotated[Dict[str, Any], AfterValidator(_env)]
Secrets = Annotated[
    Dict[str, Annotated[Any, AfterValidator(_secret)]], BeforeValidator(_secret_names)
]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CallFields(_Fields):
    """A command of the Nushell library."""

    module: Annotated[str, AfterValidator(_module)]
    command: Annotated[str, AfterValidator(_command)]
    args: List[Any] = []
    flags: Annotated[Dict[str, Any], AfterValidator(_flags)] = {}
    check_success: bool = True


class NeedFields(_Fields):
    """A task to wait for, and its required outcome."""

    task: str
    on: DependencyOutcome = "success"


class RetryFields(_Fields):
    """Number of attempts, and the delay between them."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 3
    delay: Duration = 0.0
    factor: Annotated[float, Field(ge=1, le=100)] = 1.0
    max_delay: Optional[Duration] = None
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    on: Annotated[List[Any], AfterValidator(_worth_it)] = []

    @model_validator(mode="after")
    def _check_delay(self) -> RetryFields:
        idle = self.model_fields_set & {"factor", "max_delay", "jitter"}
        if idle and "delay" not in self.model_fields_set:
            _reject(f"has `{min(idle)}`, which has no effect without `delay`")
        return self


class WorkFields(_Fields):
    """What a probe runs: like a task, but no nested workflow."""

    call: Optional[CallFields] = None
    script: Optional[Annotated[str, AfterValidator(_script)]] = None
    command: Optional[Annotated[List[Any], AfterValidator(_argv)]] = None
    args: Optional[Annotated[Dict[str, Any], AfterValidator(_arguments)]] = None

    @model_validator(mode="after")
    def _check_kind(self) -> WorkFields:
        kinds = [name for name in KINDS[:3] if getattr(self, name) is not None]
        if len(kinds) != 1:
            _reject("must have exactly one of `call`, `script` and `command`")
        if self.args is not None and kinds != ["script"]:
            _reject("has `args`, which is only allowed with `script`")
        return self


class UndoFields(WorkFields):
    """How to undo the task."""

    on: UndoCondition = "success"
    timeout: Optional[Timeout] = None
    retry: Optional[RetryFields] = None
    idempotent: bool = False


class PlaceFields(_Fields):
    """Where a task may run, if there are several machines."""

    node: Annotated[str, Field(max_length=100)] = ""
    labels: List[str] = []
    cpus: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    memory: Annotated[int, BeforeValidator(_memory)] = 0
    gpus: Annotated[int, Field(ge=0, le=10_000)] = 0

    @model_validator(mode="after")
    def _check_local(self) -> PlaceFields:
        if self.node == "local" and self.model_fields_set != {"node"}:
            _reject(
                "has more than `node`, but this machine has no labels and no limits"
            )
        return self


class PolicyFields(_Fields):
    """The fields that tasks and `defaults` share; None: left out."""

    timeout: Optional[Timeout] = None
    retry: Optional[RetryFields] = None
    env: Optional[Env] = None
    priority: Optional[Annotated[int, Field(ge=-1000, le=1000)]] = None
    pools: Optional[Annotated[Dict[str, int], AfterValidator(_pools)]] = None
    secrets: Optional[Secrets] = None
    secrets_once: Optional[bool] = None
    place: Optional[PlaceFields] = None
    on_failure: Optional[OnFailure] = None
    on_interrupt: Optional[OnInterrupt] = None
    idempotent: Optional[bool] = None


# What was read of needs, by the task, or by that and how it has to end.
_Known = Dict[Union[str, Tuple[str, str]], NeedFields]


class TaskFields(PolicyFields):
    """One task; which of the four kinds it is, is checked outside the model."""

    call: Optional[CallFields] = None
    script: Optional[Annotated[str, AfterValidator(_script)]] = None
    command: Optional[Annotated[List[Any], AfterValidator(_argv)]] = None
    workflow: Optional[Dict[str, Any]] = None
    args: Optional[Annotated[Dict[str, Any], AfterValidator(_arguments)]] = None
    needs: Annotated[
        List[NeedFields], BeforeValidator(_needs), AfterValidator(_alike)
    ] = []
    when: Any = None
    undo: Optional[UndoFields] = None
    probe: Optional[WorkFields] = None
    keep_processes: bool = False
    description: Text = ""


class WorkflowFields(_Fields):
    """One level of a file; its tasks are validated one by one."""

    name: Optional[
        Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_name)]
    ] = None
    description: Text = ""
    params: Dict[str, Any] = {}
    defaults: PolicyFields = PolicyFields()
    timeout: Optional[Timeout] = None
    library: Optional[Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]] = None
    max_parallel: Optional[Annotated[int, Field(ge=1, le=10_000)]] = None
    labels: Annotated[Dict[str, str], AfterValidator(_labels)] = {}
    on_cancel: Optional[CancelPolicy] = None
    on_timeout: Optional[CancelPolicy] = None
    tasks: Any = None
    finalizers: Annotated[Any, Field(alias="finally")] = None
