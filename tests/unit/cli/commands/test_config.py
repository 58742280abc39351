"""`provctl config`: what it prints in each format, and when it exits with 2."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Callable

import pytest
from click.testing import CliRunner, Result

from provctl.cli.commands.config import config
from provctl.cli.session import Session
from provctl.config.registry import KEYS
from provctl.errors import InvalidConfig, NotFound

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "etc"))
    path = tmp_path / "config.toml"
    path.write_text("[server]\nport = 8080\n[pools]\naws = 2\n", encoding="utf-8")
    return path


@pytest.fixture
def run(file: Path) -> Run:
    """Run a verb with `file` as the given configuration."""

    def runner(*args: str, output: str = "table") -> Result:
        session = Session(
            output=output,
            flags={"executor.max_concurrent_tasks": 3},
            environ={"PROVCTL_STATE_DIR": "/srv/runs"},
            config_file=str(file),
        )
        return CliRunner().invoke(config, args, obj=session)

    return runner


def test_show_prints_only_the_named_settings(run: Run) -> None:
    result = run("show", "server.port", "pools", output="json")
    assert [row["key"] for row in json.loads(result.stdout)] == ["server.port", "pools"]
    unknown = run("show", "server.prot").exception
    assert isinstance(unknown, NotFound)
    assert unknown.hint == "did you mean server.port?"


def test_show_prints_each_value_and_its_origin(run: Run, file: Path) -> None:
    result = run("show")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert lines[0] == ["KEY", "VALUE", "ORIGIN"]
    assert len(lines) == 1 + len(KEYS)
    assert ["server.port", "8080", f"{file}:2"] in lines
    assert ["storage.data_dir", "/srv/runs", "PROVCTL_STATE_DIR"] in lines
    assert ["executor.max_concurrent_tasks", "3", "flag", "--jobs"] in lines
    assert ["executor.grace_seconds", "10", "default"] in lines
    assert ["orchestrator.endpoint", "http://127.0.0.1:8080", "default"] in lines
    assert ["nushell.provisioning_lib", "-", "default"] in lines
    assert ["pools", '{"aws":', "2}", f"{file}:4"] not in lines


def test_show_as_json_has_everything_about_a_key(run: Run, file: Path) -> None:
    records = json.loads(run("show", output="json").stdout)
    port = next(record for record in records if record["key"] == "server.port")
    assert port == {
        "key": "server.port",
        "value": 8080,
        "origin": f"{file}:2",
        "default": None,
        "accepts": "a whole number from 1 to 65535",
        "help": "Port that the API listens on; 9090 if only the host is set",
        "aliases": ["orchestrator.port"],
        "variables": ["PROVCTL_SERVER_PORT", "PROVCTL_ORCHESTRATOR_PORT"],
    }


def test_show_supports_jsonl_and_name(run: Run) -> None:
    lines = run("show", output="jsonl").stdout.splitlines()
    names = run("show", output="name").stdout.splitlines()
    assert [json.loads(line)["key"] for line in lines] == names
    assert names == [key.name for key in KEYS]


def test_path_lists_existing_and_missing_files(run: Run, file: Path) -> None:
    records = json.loads(run("path", output="json").stdout)
    system = file.parent / "etc/provctl/config.toml"
    assert records == [
        {"role": "system", "exists": False, "file": str(system)},
        {"role": "given", "exists": True, "file": str(file)},
    ]


def test_path_works_with_a_broken_file(run: Run, file: Path) -> None:
    file.write_text("[", encoding="utf-8")
    assert run("path").exit_code == 0


def test_check_accepts_a_valid_configuration(run: Run) -> None:
    result = run("check", output="json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [
        {"checked": "configuration", "valid": True, "settings": 4}
    ]


def test_check_refuses_an_invalid_configuration(run: Run, file: Path) -> None:
    file.write_text("[sever]\n", encoding="utf-8")
    result = run("check")
    assert isinstance(result.exception, InvalidConfig)
    assert result.exception.exit_code == 2
    assert result.exception.message == f"{file}:1: unknown section [sever]"


def test_check_of_a_file_reads_only_that_file(run: Run, file: Path) -> None:
    other = file.parent / "other.toml"
    other.write_text("[server]\nport = 1\n", encoding="utf-8")
    file.write_text("[", encoding="utf-8")
    assert run("check", str(other)).exit_code == 0
    other.write_text("[server]\nport = 0\n", encoding="utf-8")
    refused = run("check", str(other)).exception
    missing = run("check", "/nowhere.toml").exception
    assert isinstance(refused, InvalidConfig)
    assert isinstance(missing, InvalidConfig)
    assert refused.message.startswith(f"{other}:2: server.port: expected")
    assert missing.message == "/nowhere.toml: configuration file not found"
