"""The settings: every section, key, default, alias and its one-line help.

A field is the one place where a key is described; parsing, the environment, `provctl
config show` and the table in docs/configuration.md all follow from it. Spellings that
the platform's older files use are aliases of exactly one key.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Optional, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.config import value_types

if TYPE_CHECKING:
    from provctl.config.value_types import ValueType


_HOST, _PORT = "127.0.0.1", 9090
# An endpoint with TLS or a path belongs to another program in front of ours.
_OWN_ENDPOINT = r"http://(localhost|127\.0\.0\.1|\[::1\])(?::(\d{1,5}))?/?"
_YEAR_S = 366 * 24 * 3600
_TASK_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_PATTERNS = value_types.names(
    value_types.text(), 'a list of patterns such as "server.*"'
)


# "local" is this machine, in the `place` of a task.
_NODE_NAME = r"(?!local$)[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_LABEL = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
# A host of ssh that begins with a dash would be an option of it.
_NODE = {
    "ssh": value_types.text(r"[^-\s\0][^\s\0]*", "a host of the ssh configuration"),
    "slots": value_types.whole(1, 10_000),
    "cpus": value_types.seconds(0, 100_000)._replace(expected="a number of processors"),
    "memory": value_types.size(),
    "gpus": value_types.whole(0, 10_000),
    "labels": value_types.names(value_types.text(_LABEL), "a list of labels"),
    "program": value_types.text(),
    "state_dir": value_types.text(r"/[^\0]*", "an absolute path on the node"),
    "cwd": value_types.text(r"/[^\0]*", "an absolute path on the node"),
}


class SettingSpec(NamedTuple):
    """The description of a key besides its name and default.

    `aliases` are other spellings in files, `variable` a shorter name in the
    environment, `flag` the command line flag that sets it.
    """

    kind: ValueType
    help: str
    aliases: Tuple[str, ...] = ()
    variable: Optional[str] = None
    flag: Optional[str] = None


def _key(
    default: object, kind: ValueType, text: str, *aliases: str, **more: str
) -> Any:
    description = SettingSpec(kind, text, aliases, **more)
    return field(default=default, metadata={"description": description})


def _table(kind: ValueType, text: str) -> Any:
    description = SettingSpec(kind, text)
    return field(default_factory=dict, metadata={"description": description})


@light_dataclass
class Orchestrator:
    """How commands reach the background scheduler."""

    enabled: bool = _key(
        True,
        value_types.switch(),
        "Whether commands may use the background scheduler",
    )
    endpoint: Optional[str] = _key(
        None,
        value_types.text(r"https?://\S+", "a URL that starts with http:// or https://"),
        "URL of the scheduler's API; it listens there if the URL is a port of this"
        " machine. When not set, server.host and server.port",
    )
    timeout_seconds: float = _key(
        60,
        value_types.seconds(0.1, _YEAR_S),
        "How long a command waits for an answer of the scheduler",
        "orchestrator.timeout",
    )
    auto_start: bool = _key(
        True,
        value_types.switch(),
        "Start the scheduler automatically when a command needs it",
    )
    fallback_to_direct: bool = _key(
        True,
        value_types.switch(),
        "Run in the foreground when no scheduler can be reached or started",
        "execution.fallback_to_direct",
    )

    @property
    def own_address(self) -> Optional[Tuple[str, int]]:
        """The address of the endpoint, if it is a port of this machine."""
        found = re.fullmatch(_OWN_ENDPOINT, self.endpoint or "", re.IGNORECASE)
        port = int(found[2] or 80) if found else 0
        if found is None or not 0 < port < 1 << 16:
            return None
        return found[1].strip("[]").lower(), port


@light_dataclass
class Execution:
    """Which commands run directly and which through the scheduler."""

    default_mode: str = _key(
        "auto",
        value_types.choice("auto", "direct", "orchestrated"),
        "How library commands run that match no pattern below",
    )
    force_orchestrated: Tuple[str, ...] = _key(
        ("server.create", "cluster.create", "batch.*", "workflow.*"),
        _PATTERNS,
        "Library commands that always run through the scheduler",
    )
    force_direct: Tuple[str, ...] = _key(
        ("*.list", "*.show", "help", "version"),
        _PATTERNS,
        "Library commands that always run directly",
    )


@light_dataclass
class Executor:
    """How tasks run."""

    kind: str = _key(
        "local",
        value_types.choice("local", "ssh"),
        "Where tasks run: on this machine, or on the nodes below over ssh",
    )
    max_concurrent_tasks: int = _key(
        10,
        value_types.whole(1, 10_000),
        "Maximum number of tasks to run in parallel, for all runs together",
        flag="--jobs",
    )
    task_timeout_seconds: float = _key(
        3600,
        value_types.seconds(0.1, _YEAR_S),
        "Time limit of a task whose workflow sets none",
    )
    checkpoint_interval_seconds: float = _key(
        30,
        value_types.seconds(1, 86_400),
        "Interval between checkpoints of a run's state",
    )
    grace_seconds: float = _key(
        10,
        value_types.seconds(0, 86_400),
        "Grace period: time between asking a task to stop and killing it",
    )
    log_max_mb: int = _key(
        64,
        value_types.whole(0, 1_048_576),
        "Maximum log size per attempt in MiB (0 = unlimited)",
    )
    env_passthrough: Tuple[str, ...] = _key(
        (),
        value_types.names(
            value_types.text(_VARIABLE), "a list of names of environment variables"
        ),
        "Further environment variables to pass to tasks",
    )


@light_dataclass
class Remote:
    """How tasks run on other machines."""

    lost_after: float = _key(
        600,
        value_types.duration(_YEAR_S),
        "Time after which the tasks of a node that cannot be reached are lost, such as"
        ' "10m" (0 = never)',
    )


@light_dataclass
class Server:
    """Where the scheduler's API listens beside its Unix socket, if set."""

    host: Optional[str] = _key(
        None,
        value_types.text(r"[A-Za-z0-9.:_%-]+", "a host name or an address"),
        "Address that the API listens on; 127.0.0.1 if only the port is set",
        "orchestrator.host",
    )
    port: Optional[int] = _key(
        None,
        value_types.whole(1, 65_535),
        "Port that the API listens on; 9090 if only the host is set",
        "orchestrator.port",
    )

    @property
    def address(self) -> Optional[Tuple[str, int]]:
        """The address for the API beside its Unix socket; None: no address."""
        if self.host is None and self.port is None:
            return None
        return self.host or _HOST, self.port or _PORT


@light_dataclass
class Storage:
    """Where runs are stored."""

    backend: str = _key(
        "filesystem",
        value_types.choice(
            "filesystem",
            because=" (runs are plain files; there is no other backend)",
        ),
        "Storage of the runs",
    )
    data_dir: Optional[str] = _key(
        None,
        value_types.path(),
        "State directory, where runs are stored; when not set, the platform's default",
        "orchestrator.data_dir",
        variable="PROVCTL_STATE_DIR",
        flag="--state-dir",
    )


@light_dataclass
class Nushell:
    """The program that runs scripts and calls, and the library they use."""

    binary: str = _key(
        "nu", value_types.program(), "The Nushell program", "executor.nushell_binary"
    )
    provisioning_lib: Optional[str] = _key(
        None,
        value_types.path(),
        "Folder of the Nushell library with the commands for tasks",
        "executor.provisioning_lib",
    )
    plugins: Tuple[str, ...] = _key(
        (),
        value_types.names(value_types.path(), "a list of paths"),
        "Nushell plugins that tasks can use",
    )
    env_vars: Mapping[str, str] = _table(
        value_types.table(
            value_types.text(r"[^\0]*"),
            "a table of environment variables with texts as values",
            name=_VARIABLE,
        ),
        "Environment variables set for every task",
    )


@light_dataclass
class Nickel:
    """Limits on the evaluation of a workflow file, and its evaluator."""

    binary: str = _key(
        "nickel",
        value_types.program(),
        "The nickel program, used if the Python package is missing",
    )
    timeout_seconds: float = _key(
        30,
        value_types.seconds(0.1, 86_400),
        "Time limit for evaluating a workflow file",
    )
    memory_mb: int = _key(
        1024,
        value_types.whole(64, 1_048_576),
        "Memory limit for evaluating a workflow file, in MiB",
    )


@light_dataclass
class Ui:
    """How runs are shown to users."""

    notify: str = _key(
        "none",
        value_types.choice("none", "bell", "desktop"),
        "How to notify you when a run that was watched for more than 10 seconds has"
        " finished",
        flag="--notify",
    )
    heartbeat_seconds: float = _key(
        60,
        value_types.seconds(0, 86_400),
        "Without a terminal: list the running tasks after this long without output"
        " (0 = never)",
    )


@light_dataclass
class Hooks:
    """Programs that get results of runs as JSON on stdin, started without a shell."""

    on_run_finished: Tuple[Tuple[str, ...], ...] = _key(
        (),
        value_types.commands(),
        "Programs to start when a run has finished; they get its result as JSON on stdin",
    )
    timeout_seconds: float = _key(
        30, value_types.seconds(0.1, 3600), "Time after which a hook is killed"
    )


@light_dataclass
class Secrets:
    """Programs that know secrets of tasks: `cmd:`, `sops:`, `age:` and `keyring:`."""

    timeout_seconds: float = _key(
        30,
        value_types.seconds(0.1, 3600),
        "Time limit of one lookup of a secret by a program",
    )
    age_identity: Optional[str] = _key(
        None,
        value_types.path(),
        "File with the private key for `age:`; when not set, the file that the"
        " environment variable SOPS_AGE_KEY_FILE names",
    )


@light_dataclass
class Settings:
    """Every setting; made by `provctl.config.load.load_settings`."""

    orchestrator: Orchestrator = Orchestrator()
    execution: Execution = Execution()
    executor: Executor = Executor()
    remote: Remote = Remote()
    server: Server = Server()
    storage: Storage = Storage()
    nushell: Nushell = Nushell()
    nickel: Nickel = Nickel()
    ui: Ui = Ui()
    hooks: Hooks = Hooks()
    secrets: Secrets = Secrets()
    pools: Mapping[str, int] = _table(
        value_types.table(
            value_types.whole(1, 1_000_000),
            "a table of pool names with capacities from 1 to 1000000",
            name=_TASK_NAME,
        ),
        "Pools: named capacities that the tasks of all runs share",
    )
    nodes: Mapping[str, Mapping[str, Any]] = _table(
        value_types.records(_NODE, ("ssh",), name=_NODE_NAME),
        "Nodes: the machines that run tasks if executor.kind is ssh, see remote.md",
    )

    @property
    def endpoint(self) -> str:
        """The address of the API: `orchestrator.endpoint`, or that of the server."""
        if self.orchestrator.endpoint is not None:
            return self.orchestrator.endpoint.rstrip("/")
        host, port = self.server.address or (_HOST, _PORT)
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{port}"

    @property
    def addresses(self) -> Tuple[Tuple[str, int], ...]:
        """The addresses of the API beside its Unix socket.

        These are that of `[server]`, and that of an endpoint on this machine.
        """
        found = (self.orchestrator.own_address, self.server.address)
        # If two names mean one address, the first one counts; nothing is bound twice.
        named = {
            (_HOST if host == "localhost" else host, port): None
            for host, port in filter(None, found)
        }
        return tuple(named)

    @property
    def port_conflict(self) -> Optional[str]:
        """The error for a local endpoint whose port differs from the server's."""
        own, port = self.orchestrator.own_address, self.server.port
        if own is None or port in (None, own[1]):
            return None
        return (
            f"orchestrator.endpoint has port {own[1]}, but server.port is {port}: "
            "both set the port of the API; use the same port, or remove one"
        )
