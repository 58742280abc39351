"""Every mistake in a configuration is reported with its location and a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import pytest

from provctl.config.load import LoadedSettings
from provctl.config.registry import KEYS, value_of
from provctl.errors import InvalidConfig

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., LoadedSettings]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("[orchestrator]\ntimeout = 5", "orchestrator.timeout_seconds", 5),
        ('[orchestrator]\nhost = "::1"', "server.host", "::1"),
        ("[orchestrator]\nport = 1", "server.port", 1),
        ('[orchestrator]\ndata_dir = "/d"', "storage.data_dir", "/d"),
        ('[executor]\nnushell_binary = "n"', "nushell.binary", "n"),
        ('[executor]\nprovisioning_lib = "/l"', "nushell.provisioning_lib", "/l"),
        (
            "[execution]\nfallback_to_direct = false",
            "orchestrator.fallback_to_direct",
            False,
        ),
    ],
)
def test_alias_sets_its_key(load: Load, text: str, key: str, value: object) -> None:
    loaded = load(text)
    assert value_of(loaded.settings, key) == value
    assert [k for k, o in loaded.origins.items() if o != "default"] == [key]


def test_every_alias_is_tested_above() -> None:
    aliases = {alias for key in KEYS for alias in key.description.aliases}
    assert aliases == {
        "orchestrator.timeout",
        "orchestrator.host",
        "orchestrator.port",
        "orchestrator.data_dir",
        "executor.nushell_binary",
        "executor.provisioning_lib",
        "execution.fallback_to_direct",
    }


def test_two_equal_spellings_of_a_key_are_accepted(load: Load) -> None:
    text = "[orchestrator]\ntimeout = 5\ntimeout_seconds = 5\n"
    assert load(text).settings.orchestrator.timeout_seconds == 5


def test_two_different_spellings_of_a_key_are_refused(
    load: Load, machine: Path
) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load("[orchestrator]\ntimeout = 5\n\ntimeout_seconds = 6\n")
    file = machine / "given.toml"
    assert caught.value.message == (
        f"{file}:2: orchestrator.timeout and {file}:4: orchestrator.timeout_seconds "
        "are the same setting but have different values"
    )
    assert (
        caught.value.hint
        == "keep only one of them, preferably orchestrator.timeout_seconds"
    )


def test_two_different_variables_of_a_key_are_refused(load: Load) -> None:
    environ = {"PROVCTL_STATE_DIR": "/a", "PROVCTL_STORAGE_DATA_DIR": "/b"}
    with pytest.raises(
        InvalidConfig, match="PROVCTL_STATE_DIR and PROVCTL_STORAGE_DATA_DIR are"
    ):
        load(environ=environ)


def test_spellings_in_different_sources_do_not_conflict(load: Load) -> None:
    loaded = load(
        system="[orchestrator]\nport = 8080\n", user="[server]\nport = 9091\n"
    )
    assert loaded.settings.server.port == 9091


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "[executor]\nmax_concurent_tasks = 4",
            ":2: unknown key executor.max_concurent_tasks",
            "did you mean executor.max_concurrent_tasks?",
        ),
        (
            "[executer]\nmax_concurrent_tasks = 4",
            ":1: unknown section [executer]",
            "did you mean executor?",
        ),
        (
            "max_concurrent_tasks = 4",
            ":1: unknown key max_concurrent_tasks",
            "did you mean executor.max_concurrent_tasks?",
        ),
        (
            "[storage]\nxyz = 4",
            ":2: unknown key storage.xyz",
            "`provctl config show` lists all keys",
        ),
    ],
)
def test_unknown_name_gets_the_nearest_known_name(
    load: Load, machine: Path, text: str, message: str, hint: str
) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(text)
    assert caught.value.message.startswith(f"{machine}/given.toml")
    assert caught.value.message.endswith(message)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        (
            "PROVCTL_EXECUTOR_MAX_CONCURENT_TASKS",
            "did you mean PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS?",
        ),
        ("PROVCTL_POOLS_UPCLOUD", "did you mean PROVCTL_POOLS?"),
        ("PROVCTL_SERVER", "did you mean PROVCTL_SERVER_PORT?"),
    ],
)
def test_variable_that_looks_like_a_setting_must_be_one(
    load: Load, variable: str, hint: str
) -> None:
    with pytest.raises(InvalidConfig, match=f"variable {variable}$") as caught:
        load(environ={variable: "4"})
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("executor.max_concurrent_tasks = 0", "a whole number from 1 to 10000, got 0"),
        ("executor.max_concurrent_tasks = true", "a whole number from 1 to 10000, got"),
        ("executor.max_concurrent_tasks = 2.0", "a whole number from 1 to 10000, got"),
        ('executor.max_concurrent_tasks = "4"', "a whole number from 1 to 10000, got"),
        ("executor.grace_seconds = nan", "seconds, a number from 0 to 86400, got NaN"),
        (
            "executor.grace_seconds = inf",
            "seconds, a number from 0 to 86400, got Infinity",
        ),
        ("executor.grace_seconds = -1", "seconds, a number from 0 to 86400, got -1"),
        ('executor.grace_seconds = "5s"', "seconds, a number from 0 to 86400, got"),
        ("server.port = 65536", "a whole number from 1 to 65535, got 65536"),
        ('server.host = "a b"', 'a host name or an address, got "a b"'),
        ("orchestrator.enabled = 1", "true or false, got 1"),
        ('orchestrator.endpoint = "localhost:9090"', "a URL that starts with http"),
        ('execution.default_mode = "fast"', '"auto" or "direct" or "orchestrated"'),
        ('execution.force_direct = "help"', 'a list of patterns such as "server.*"'),
        ("execution.force_direct = [1]", 'a list of patterns such as "server.*"'),
        ('executor.env_passthrough = ["A=1"]', "a list of names of environment"),
        ("nushell.env_vars = { A = 1 }", "a table of environment variables"),
        ('nushell.env_vars = { "A=B" = "1" }', "a table of environment variables"),
        ("nushell.env_vars = 3", "a table of environment variables"),
        ('nushell.binary = ""', 'the name or the path of a program, got ""'),
        ('storage.data_dir = "a\\u0000b"', "a path, got"),
        ('storage.data_dir = "~no-such-user/x"', "a path, got"),
        ("pools.upcloud = 0", "a table of pool names with capacities from 1"),
        ('pools."a/b" = 1', "a table of pool names with capacities from 1"),
        ("pools = 3", "a table of pool names with capacities from 1"),
        ("executor = 3", "a section of keys, got 3"),
    ],
)
def test_wrong_value_is_reported_with_file_line_key_and_expected_value(
    load: Load, machine: Path, text: str, expected: str
) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(text)
    written = text.partition(" =")[0]
    key = "pools" if written.startswith("pools") else written
    start = f"{machine}/given.toml:1: {key}: expected {expected}"
    assert caught.value.message.startswith(start)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PROVCTL_SERVER_PORT", "tcp://10.0.0.1:9090"),
        ("PROVCTL_ORCHESTRATOR_ENABLED", "maybe"),
        ("PROVCTL_EXECUTOR_GRACE_SECONDS", "soon"),
        ("PROVCTL_POOLS", "upcloud"),
        ("PROVCTL_POOLS", "{"),
        ("PROVCTL_EXECUTION_FORCE_DIRECT", "[" * 100_000),
        ("PROVCTL_STORAGE_BACKEND", "surrealdb"),
    ],
)
def test_wrong_variable_is_reported(load: Load, variable: str, text: str) -> None:
    with pytest.raises(InvalidConfig, match=f"^{variable}: expected "):
        load(environ={variable: text})


def test_surrealdb_is_refused_with_the_reason(load: Load) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load('[storage]\nbackend = "surrealdb"\n')
    assert caught.value.message.endswith(
        'expected "filesystem" (runs are plain files; there is no other backend), '
        'got "surrealdb"'
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[server]\nport = \n", ":2:8: "),
        ("[server\n", ":1:8: "),
        ("a = 1\na = 2\n", ":2:6: "),
        ('a = """\n\n', ":3: "),
    ],
)
def test_syntax_error_has_a_location(
    load: Load, machine: Path, text: str, place: str
) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(text)
    assert caught.value.message.startswith(f"{machine}/given.toml{place}")


def test_configuration_file_must_be_utf_8(load: Load, machine: Path) -> None:
    path = machine / "latin.toml"
    path.write_bytes(b"[server]\n# caf\xe9\n")
    with pytest.raises(InvalidConfig, match=r"latin\.toml:2: is not UTF-8") as caught:
        load(environ={"PROVCTL_CONFIG": str(path)})
    assert caught.value.hint == "save the file as UTF-8, the only encoding of TOML"


def test_byte_order_mark_is_ignored(load: Load, machine: Path) -> None:
    path = machine / "marked.toml"
    path.write_bytes(b"\xef\xbb\xbf[server]\nport = 80\n")
    environ = {"PROVCTL_CONFIG": str(path)}
    assert load(environ=environ).settings.server.port == 80
    path.write_bytes(b"\xef\xbb\xbfserver port\n")
    with pytest.raises(InvalidConfig, match=r"marked\.toml:1:8: "):
        load(environ=environ)
    path.write_bytes("[server]\n".encode("utf-16"))
    with pytest.raises(InvalidConfig, match=r"marked\.toml:1: is not UTF-8 .* UTF-16"):
        load(environ=environ)


def test_folder_is_refused_as_a_file(load: Load, machine: Path) -> None:
    with pytest.raises(InvalidConfig, match="cannot be read: Is a directory"):
        load(environ={"PROVCTL_CONFIG": str(machine)})


def test_endless_file_is_refused(load: Load) -> None:
    with pytest.raises(InvalidConfig, match="too large for a configuration file"):
        load(environ={"PROVCTL_CONFIG": "/dev/zero"})


def test_deeply_nested_file_is_refused(load: Load) -> None:
    with pytest.raises(InvalidConfig, match=r"given\.toml"):
        load("a = " + "[" * 200_000)


def test_endless_number_is_refused(load: Load) -> None:
    with pytest.raises(InvalidConfig, match=r"given\.toml"):
        load("server.port = " + "9" * 5000)


def test_broken_user_file_is_reported(load: Load) -> None:
    with pytest.raises(InvalidConfig, match=r"home/provctl/config\.toml:1:"):
        load(user="[")
