"""Builds the launch spec of an attempt: arguments, environment, limits."""

from __future__ import annotations

import json
from dataclasses import field
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Tuple, Union

from provctl.base.light_dataclass import light_dataclass
from provctl.base.resource_exhaustion import describe, is_resource_exhaustion
from provctl.core.engine.requests import ExitedReport, NeverStartedReport
from provctl.core.model.attempt_result import AttemptResult
from provctl.core.model.workflow import Command, NushellCall, Script, Workflow
from provctl.executors.protocol import (
    CHECKPOINT,
    MARK,
    AttemptRef,
    LaunchSpec,
    SlotRange,
)

if TYPE_CHECKING:
    from provctl.core.engine.decide import LaunchAttempt
    from provctl.core.model.workflow import Task
    from provctl.errors import ProvctlError
    from provctl.nushell.invocation import Invocation


Needs = Callable[[], Mapping[str, Any]]

OUTPUT_MAX = 256 * 1024  # bytes of JSON; the journal stores it


@light_dataclass
class TaskDefaults:
    """The configuration of tasks. Times in seconds, sizes in bytes.

    `state_dir` and `program` (this program) are absolute. `endpoint` is the URL of the
    API, if it listens on a port. `own_programs` is the folder of programs that provctl
    installed for itself. An empty value means unknown.
    """

    timeout_s: float = 3600.0
    grace_s: float = 10.0
    nu: str = "nu"
    own_programs: str = ""
    library: Optional[str] = None
    log_max: int = 0
    env_vars: Mapping[str, str] = field(default_factory=dict)
    plugins: Tuple[str, ...] = ()
    state_dir: str = ""
    program: str = ""
    endpoint: str = ""

    @property
    def endpoints(self) -> Tuple[str, ...]:
        """Return how modules may spell the endpoint: both names of this machine."""
        if not self.endpoint:
            return ()
        address = self.endpoint.split("//", 1)[1]
        _, _, port = address.rpartition(":")
        return (address, f"localhost:{port}", f"127.0.0.1:{port}")


class LaunchSpecBuilder:
    """Builds launch specs. Caches the location of `nu` for each search path."""

    def __init__(self, defaults: TaskDefaults) -> None:
        self._defaults = defaults
        self._nu_at: Dict[str, str] = {}
        locations = {
            "PROVCTL_STATE_DIR": defaults.state_dir,
            "PROVCTL_PROGRAM": defaults.program,
            "PROVCTL_ENDPOINT": defaults.endpoint,
        }
        self._locations = {name: value for name, value in locations.items() if value}

    def order(
        self,
        launch: LaunchAttempt,
        workflow: Workflow,
        place: AttemptRef,
        *,
        needs: Needs,
        secrets: Mapping[str, str],
        taken: Tuple[SlotRange, ...] = (),
    ) -> LaunchSpec:
        """Return the launch spec. Raises ProvctlError if the attempt cannot be started.

        `needs` returns the outputs of the dependencies, for a task that uses them;
        `secrets` maps variables to values; `taken` are the slots of the attempt.
        """
        task = workflow.tasks[place.index]
        env = {**self._environment(launch, workflow, place), **secrets}
        limits = self._limits(task, place, tuple(secrets.values()))
        limits["taken"] = taken
        action = launch.action
        if isinstance(action, Command):
            argv = tuple(word(each) for each in action.argv)
            return LaunchSpec(place, argv, env, workflow.cwd, **limits)
        started = self.invocation(
            action,
            place,
            env,
            needs=needs,
            library=workflow.library or self._defaults.library or workflow.cwd,
            source=workflow.source,
        )
        return LaunchSpec(
            place,
            started.argv,
            started.env,
            workflow.cwd,
            output_max=OUTPUT_MAX,
            input=started.input,
            **limits,
        )

    def _limits(
        self, task: Task, place: AttemptRef, masked: Tuple[str, ...]
    ) -> Dict[str, Any]:
        return {
            "timeout_s": self._timeout(task, place.purpose),
            "grace_s": self._defaults.grace_s,
            "log_max": self._defaults.log_max,
            "masked": masked,
            "keep_processes": task.keep_processes and place.purpose == "run",
        }

    def _timeout(self, task: Task, purpose: str) -> float:
        timeout_s = task.timeout_s if purpose == "run" else None
        if purpose == "undo" and task.undo is not None:
            timeout_s = task.undo.timeout_s
        return self._defaults.timeout_s if timeout_s is None else timeout_s

    def _environment(
        self, launch: LaunchAttempt, workflow: Workflow, place: AttemptRef
    ) -> Dict[str, str]:
        env = dict(workflow.environment)
        env.update(self._defaults.env_vars)
        for name, value in launch.env.items():
            env[name] = word(value)
        env[MARK] = place.mark
        env["PROVCTL_RUN"] = place.run
        env["PROVCTL_TASK"] = place.task
        env["PROVCTL_TASK_ID"] = f"{place.run}/{place.task}"
        env["PROVCTL_ATTEMPT"] = str(place.attempt)
        env[CHECKPOINT] = str(place.checkpoint)
        env.update(self._locations)
        # The same in every attempt, so that a provider can recognise a repeated
        # request.
        undo = "/undo" if place.purpose == "undo" else ""
        env["PROVCTL_IDEMPOTENCY_KEY"] = f"{place.run}/{place.task}{undo}"
        return env

    def invocation(
        self,
        action: Union[Script, NushellCall],
        place: AttemptRef,
        env: Mapping[str, str],
        *,
        needs: Needs,
        library: str,
        source: str,
    ) -> Invocation:
        """Return the invocation of Nushell for a task. Raises ProvctlError.

        `source` is the workflow file, for errors in a script.
        """
        from provctl.nushell.invocation import (
            NushellConfig,
            call_invocation,
            script_invocation,
        )

        defaults = self._defaults
        setting = NushellConfig(
            nu=self._nu(env.get("PATH", "")),
            library=library,
            plugins=defaults.plugins,
            endpoints=defaults.endpoints,
        )
        common: Dict[str, Any] = {
            "needs": needs,
            "env": env,
            "input_path": str(place.file("in")),
            "output_path": str(place.file("out")),
        }
        if isinstance(action, Script):
            origin = (source, action.line)
            return script_invocation(
                setting, text=action.text, args=action.args, origin=origin, **common
            )
        return call_invocation(setting, action, **common)

    def _nu(self, path: str) -> str:
        from provctl.nushell.binary import find_nu

        if path not in self._nu_at:
            self._nu_at[path] = find_nu(
                self._defaults.nu, path, self._defaults.own_programs
            )
        return self._nu_at[path]


def word(value: Any) -> str:
    """Return a value as an argument or as the value of an environment variable."""
    return value if isinstance(value, str) else json.dumps(value)


def missing_resource(
    place: AttemptRef, problem: ProvctlError
) -> Optional[NeverStartedReport]:
    """Return the report if a shortage prevented the launch spec, else None."""
    cause = problem.__cause__
    if not isinstance(cause, OSError) or not is_resource_exhaustion(cause):
        return None
    reason = describe(cause, str(cause.filename or place.task))
    return NeverStartedReport(
        place.run, place.task, place.attempt, reason, shortage=True
    )


def failed_before_start(place: AttemptRef, problem: str, now: float) -> ExitedReport:
    """Return the report of an attempt whose launch spec could not be built."""
    return ExitedReport(
        place.run,
        place.task,
        place.attempt,
        cause="exit",
        result=AttemptResult(started_at=now, finished_at=now, ran=False),
        problem=problem,
    )
