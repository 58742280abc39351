"""The precedence of configuration sources, and how each is read and named."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest

from provctl.config.load import LoadedSettings
from provctl.config.paths import state_dir
from provctl.config.registry import KEYS, VARIABLES, value_of
from provctl.config.settings import Settings
from provctl.errors import InvalidConfig

Load = Callable[..., LoadedSettings]
JOBS = "executor.max_concurrent_tasks"


def jobs(number: int) -> str:
    return f"[executor]\nmax_concurrent_tasks = {number}\n"


def test_defaults_are_the_documented_ones(load: Load) -> None:
    loaded = load()
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}
    assert set(loaded.origins) == {key.name for key in KEYS}


def test_stronger_source_overrides_weaker_ones(load: Load, machine: Path) -> None:
    variable = "PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS"
    seen = []
    for loaded in (
        load(system=jobs(1)),
        load(user=jobs(2)),
        load(environ={variable: "4"}),
        load(environ={variable: "4"}, flags={JOBS: 5}),
    ):
        tasks = loaded.settings.executor.max_concurrent_tasks
        seen.append((tasks, loaded.origins[JOBS]))
    assert seen == [
        (1, f"{machine}/etc/provctl/config.toml:2"),
        (2, f"{machine}/home/provctl/config.toml:2"),
        (4, variable),
        (5, "flag --jobs"),
    ]


def test_given_file_replaces_the_user_file_but_not_the_system_file(load: Load) -> None:
    system = jobs(1) + "grace_seconds = 3\n"
    user = "[server]\nport = 1234\n"
    settings = load("[nickel]\nmemory_mb = 64\n", system=system, user=user).settings
    assert settings.executor.grace_seconds == 3
    assert settings.server.address is None
    assert settings.nickel.memory_mb == 64


def test_environment_can_name_the_file(load: Load, machine: Path) -> None:
    path = machine / "named.toml"
    path.write_text(jobs(7), encoding="utf-8")
    loaded = load(user=jobs(2), environ={"PROVCTL_CONFIG": str(path)})
    assert loaded.settings.executor.max_concurrent_tasks == 7


def test_config_flag_overrides_the_config_variable(load: Load) -> None:
    loaded = load(jobs(3), environ={"PROVCTL_CONFIG": "/nowhere/config.toml"})
    assert loaded.settings.executor.max_concurrent_tasks == 3


def test_named_file_must_exist(load: Load) -> None:
    with pytest.raises(
        InvalidConfig, match=r"/nowhere/config\.toml: configuration file not found"
    ):
        load(environ={"PROVCTL_CONFIG": "/nowhere/config.toml"})


def test_other_keys_of_a_weaker_source_are_kept(load: Load) -> None:
    executor = load(
        system="[executor]\ngrace_seconds = 3\n", user=jobs(2)
    ).settings.executor
    assert (executor.grace_seconds, executor.max_concurrent_tasks) == (3, 2)


def test_table_is_replaced_completely(load: Load) -> None:
    loaded = load(system="[pools]\na = 1\nb = 2\n", user="[pools]\nb = 3\n")
    assert loaded.settings.pools == {"b": 3}


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("PROVCTL_ORCHESTRATOR_ENABLED", "off", "orchestrator.enabled", False),
        ("PROVCTL_ORCHESTRATOR_AUTO_START", "1", "orchestrator.auto_start", True),
        ("PROVCTL_ORCHESTRATOR_TIMEOUT", "2.5", "orchestrator.timeout_seconds", 2.5),
        ("PROVCTL_ORCHESTRATOR_PORT", "8080", "server.port", 8080),
        (
            "PROVCTL_EXECUTION_DEFAULT_MODE",
            "direct",
            "execution.default_mode",
            "direct",
        ),
        (
            "PROVCTL_EXECUTION_FORCE_DIRECT",
            "a.*, b",
            "execution.force_direct",
            ("a.*", "b"),
        ),
        ("PROVCTL_EXECUTION_FORCE_DIRECT", "[]", "execution.force_direct", ()),
        ("PROVCTL_EXECUTION_FORCE_DIRECT", '["x"]', "execution.force_direct", ("x",)),
        ("PROVCTL_EXECUTOR_NUSHELL_BINARY", "nu2", "nushell.binary", "nu2"),
        ("PROVCTL_NUSHELL_ENV_VARS", '{"A": "b,c"}', "nushell.env_vars", {"A": "b,c"}),
        ("PROVCTL_NUSHELL_ENV_VARS", "A=b,C=", "nushell.env_vars", {"A": "b", "C": ""}),
        ("PROVCTL_POOLS", '{"upcloud": 2}', "pools", {"upcloud": 2}),
        ("PROVCTL_POOLS", "upcloud=2, aws=1", "pools", {"upcloud": 2, "aws": 1}),
        ("PROVCTL_POOLS", "{}", "pools", {}),
        ("PROVCTL_STATE_DIR", "/srv/runs", "storage.data_dir", "/srv/runs"),
        ("PROVCTL_STORAGE_DATA_DIR", "/srv/runs", "storage.data_dir", "/srv/runs"),
    ],
)
def test_environment_variable_sets_its_key(
    load: Load, variable: str, text: str, key: str, value: object
) -> None:
    loaded = load(environ={variable: text})
    assert value_of(loaded.settings, key) == value
    assert loaded.origins[key] == variable


def test_every_key_can_be_set_by_its_variable() -> None:
    for key in KEYS:
        assert key.variables[0] == "PROVCTL_" + key.name.upper().replace(".", "_")
    assert len(VARIABLES) == sum(len(key.variables) for key in KEYS)


def test_empty_variable_counts_as_unset(load: Load) -> None:
    loaded = load(user=jobs(2), environ={"PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS": ""})
    assert loaded.settings.executor.max_concurrent_tasks == 2


def test_variables_that_are_no_settings_are_ignored(load: Load) -> None:
    others = {
        "PROVCTL_IDEMPOTENCY_KEY": "r/t",
        "PROVCTL_INPUT": "{}",
        "PROVCTL_TASK_ID": "r/t",
        "PROVCTL_FAILPOINT_STATE_DIR": "x",
        "PROVCTL_TEAM": "x",
        "PROVCTL_SERVICE": "x",
        "_PROVCTL_COMPLETE": "bash_complete",
        "EXECUTOR_MAX_CONCURRENT_TASKS": "many",
    }
    assert load(environ=others).settings == Settings()


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("PROVCTL_STATEDIR", "did you mean PROVCTL_STATE_DIR?"),
        (
            "PROVCTL_MAX_CONCURRENT_TASKS",
            "did you mean PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS?",
        ),
        ("PROVCTL_POOL", "did you mean PROVCTL_POOLS?"),
        ("PROVCTL_EXECUTR_TASKS", "config show` lists all keys"),
    ],
)
def test_variables_that_resemble_settings_are_refused(
    load: Load, variable: str, meant: str
) -> None:
    with pytest.raises(InvalidConfig, match=f"unknown .* {variable}$") as caught:
        load(environ={variable: "1"})
    assert meant in str(caught.value.hint)


def test_absent_flag_is_ignored(load: Load) -> None:
    assert (
        load(user=jobs(2), flags={JOBS: None}).origins[JOBS].endswith("config.toml:2")
    )


def test_flag_may_be_text(load: Load) -> None:
    assert load(flags={JOBS: "6"}).settings.executor.max_concurrent_tasks == 6


def test_invalid_flag_is_reported(load: Load) -> None:
    with pytest.raises(InvalidConfig, match=r"^flag --jobs: expected a whole number"):
        load(flags={JOBS: 0})


def test_path_in_a_file_is_relative_to_its_folder(load: Load, machine: Path) -> None:
    loaded = load('[storage]\ndata_dir = "runs"\n[nushell]\nbinary = "./bin/nu"\n')
    assert loaded.settings.storage.data_dir == str(machine / "runs")
    assert loaded.settings.nushell.binary == str(machine / "bin/nu")


def test_path_in_the_environment_is_relative_to_the_working_directory(
    load: Load, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(machine)
    loaded = load(environ={"PROVCTL_STATE_DIR": "runs"})
    assert loaded.settings.storage.data_dir == str(Path.cwd() / "runs")


def test_tilde_is_the_home_directory(load: Load, machine: Path) -> None:
    loaded = load('[storage]\ndata_dir = "~/runs"\n')
    assert loaded.settings.storage.data_dir == str(machine / "home/runs")


def test_state_directory_follows_the_platform_or_the_setting(
    load: Load, machine: Path
) -> None:
    assert state_dir(load().settings) == machine / "state/provctl"
    chosen = load(flags={"storage.data_dir": "/srv/runs"}).settings
    assert state_dir(chosen) == Path("/srv/runs")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[server]\n\nport = 1\n", ":3"),
        ("[server] # here\n  port=1\n", ":2"),
        ("server.port = 1\n", ":1"),
        ('\n"server" . "port" = 1\n', ":2"),
        ("\nserver = { port = 1 }\n", ":2"),
        ('[pools]\nx = 1\n[ "server" ]\nport = 1', ":4"),
        (
            '[hooks]\non_run_finished = [["""\n[server]\nport = 2"""]]\n[server]\nport = 1',
            ":6",
        ),
    ],
)
def test_origin_names_file_and_line(
    load: Load, machine: Path, text: str, line: str
) -> None:
    loaded = load(text)
    assert loaded.settings.server.port == 1
    assert loaded.origins["server.port"] == f"{machine}/given.toml{line}"


def test_ipv6_address_has_brackets_in_the_endpoint(load: Load) -> None:
    assert load('[server]\nhost = "::1"\n').settings.endpoint == "http://[::1]:9090"
