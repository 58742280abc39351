"""Builds launch specs for nodes: the owner's part, and the part that the node adds.

The owner sends values, never paths, because its paths are meaningless on a node. A
Nushell task is sent as a call or a script with its arguments. The node builds the
command from it, with its own Nushell and library.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Dict, Mapping, Tuple

from provctl.core.model.workflow import Command, NushellCall, Script, Workflow
from provctl.executors.protocol import CHECKPOINT, AttemptRef, LaunchSpec, RemoteWork
from provctl.scheduler.order_builder import (
    OUTPUT_MAX,
    LaunchSpecBuilder,
    Needs,
    word,
)

if TYPE_CHECKING:
    from provctl.core.engine.decide import LaunchAttempt
    from provctl.executors.protocol import SlotRange
    from provctl.scheduler.order_builder import TaskDefaults

# Variables that apply only to the machine where the run was submitted.
_OF_THE_MACHINE = frozenset(
    {"HOME", "LOGNAME", "PATH", "SHELL", "SSH_AUTH_SOCK", "TMPDIR", "USER"}
)
_OF_THE_OWNER = frozenset(
    {CHECKPOINT, "PROVCTL_STATE_DIR", "PROVCTL_PROGRAM", "PROVCTL_ENDPOINT"}
)
_KINDS = {"call": NushellCall, "script": Script}


class NodeOrderBuilder(LaunchSpecBuilder):
    """Builds launch specs for a node to complete; local ones are complete."""

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
        """Return the launch spec. Raises ProvctlError if it cannot be built."""
        task = workflow.tasks[place.index]
        if task.place.node == "local":
            order = super().order(
                launch, workflow, place, needs=needs, secrets=secrets, taken=taken
            )
            return replace(order, remote=RemoteWork(place=task.place))
        limits = self._limits(task, place, tuple(secrets.values()))
        env = {**self._portable(launch, workflow, place), **secrets}
        action = launch.action
        if isinstance(action, Command):
            argv = tuple(word(each) for each in action.argv)
            work = RemoteWork(place=task.place)
            return LaunchSpec(place, argv, env, "", **limits, remote=work)
        kind = "script" if isinstance(action, Script) else "call"
        line = action.line if isinstance(action, Script) else 0
        work = RemoteWork(
            action={"kind": kind, **asdict(action)},
            needs=dict(needs()),
            origin=(workflow.source, line),
            place=task.place,
        )
        return LaunchSpec(
            place, (), env, "", output_max=OUTPUT_MAX, **limits, remote=work
        )

    def _portable(
        self, launch: LaunchAttempt, workflow: Workflow, place: AttemptRef
    ) -> Dict[str, str]:
        """Return the environment; keep machine variables only if the task sets them."""
        env = self._environment(launch, workflow, place)
        own = set(launch.env) | set(self._defaults.env_vars)
        return {
            name: value
            for name, value in env.items()
            if name not in _OF_THE_OWNER
            and (name in own or not _is_of_the_machine(name))
        }


def _is_of_the_machine(name: str) -> bool:
    return name in _OF_THE_MACHINE or name.startswith("XDG_")


class NodeOrderCompleter:
    """Completes launch specs on the node, with the properties of its machine.

    `environ` is the environment that tasks have there in addition to their own; `cwd`
    is the folder in which they start.
    """

    def __init__(
        self, defaults: TaskDefaults, environ: Mapping[str, str], cwd: str
    ) -> None:
        self._builder = LaunchSpecBuilder(defaults)
        self._defaults = defaults
        self._environ = environ
        self._cwd = cwd

    def complete(self, order: LaunchSpec) -> LaunchSpec:
        """Return a launch spec that can be started here. Raises ProvctlError."""
        if order.remote is None:
            return order
        place = order.place
        env = {
            **self._environ,
            **order.env,
            CHECKPOINT: str(place.checkpoint),
            "PROVCTL_STATE_DIR": self._defaults.state_dir,
        }
        if self._defaults.program:
            env["PROVCTL_PROGRAM"] = self._defaults.program
        done = replace(order, env=env, cwd=self._cwd, remote=None)
        if order.remote.action is None:
            return done
        started = self._builder.invocation(
            _action(order.remote.action),
            place,
            env,
            needs=lambda: order.remote.needs if order.remote else {},
            library=self._defaults.library or self._cwd,
            source=order.remote.origin[0],
        )
        return replace(done, argv=started.argv, env=started.env, input=started.input)


def _action(fields: Mapping[str, Any]) -> Any:
    given = {name: value for name, value in fields.items() if name != "kind"}
    if "args" in given and isinstance(given["args"], list):
        given["args"] = tuple(given["args"])
    return _KINDS[str(fields["kind"])](**given)
