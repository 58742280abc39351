"""Files for service managers preserve every path exactly."""

from __future__ import annotations

import plistlib
from pathlib import Path
from typing import Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.daemon.service_units import ServiceSpec, is_ours, launchd, systemd
from tests.support.units import words_of

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
NAMES = st.from_regex(r"[A-Z_]{1,8}", fullmatch=True)


def unit_of(argv: List[str], environment: Dict[str, str], scope: str = "user") -> str:
    service = ServiceSpec(tuple(argv), environment, scope)
    return systemd(service, Path("/home/me/.config")).text


@given(st.lists(TEXTS, min_size=1, max_size=4), st.dictionaries(NAMES, TEXTS))
def test_words_of_a_unit_are_read_back_unchanged(
    argv: List[str], environment: Dict[str, str]
) -> None:
    lines = unit_of(argv, environment).split("\n")
    (command,) = [line for line in lines if line.startswith("ExecStart=")]
    assert words_of(command, command=True) == argv
    given_back = [
        words_of(line, command=False)[0]
        for line in lines
        if line.startswith("Environment=")
    ]
    wanted = {**environment, "PROVCTL_SERVICE": "user"}
    assert given_back == [f"{name}={value}" for name, value in wanted.items()]


@given(st.lists(TEXTS, min_size=1, max_size=4), st.dictionaries(NAMES, TEXTS))
def test_property_list_is_valid(argv: List[str], environment: Dict[str, str]) -> None:
    unit = launchd(ServiceSpec(tuple(argv), environment, "user"), Path("/Users/me"))
    record = plistlib.loads(unit.text.encode())
    assert record["ProgramArguments"] == argv
    assert record["EnvironmentVariables"].items() >= environment.items()
    assert record["AbandonProcessGroup"] is True
    assert unit.path == Path("/Users/me/Library/LaunchAgents/provctl.scheduler.plist")
    assert is_ours(unit.text)


@pytest.mark.parametrize(
    ("scope", "path", "first", "wanted_by"),
    [
        (
            "user",
            "/home/me/.config/systemd/user/provctl.service",
            "systemctl --user daemon-reload",
            "default.target",
        ),
        (
            "system",
            "/etc/systemd/system/provctl.service",
            "systemctl daemon-reload",
            "multi-user.target",
        ),
    ],
)
def test_unit_has_its_path_and_its_commands(
    scope: str, path: str, first: str, wanted_by: str
) -> None:
    service = ServiceSpec(("provctl",), {}, scope, "ops" if scope == "system" else None)
    unit = systemd(service, Path("/home/me/.config"))
    assert str(unit.path) == path
    assert " ".join(unit.enable[0]) == first
    assert f"WantedBy={wanted_by}" in unit.text
    assert ("User=ops" in unit.text) == (scope == "system")
    assert bool(unit.after) == (scope == "user")


def test_own_unit_file_is_recognised() -> None:
    assert is_ours(unit_of(["a"], {}))
    assert not is_ours("[Unit]\nDescription=mine\n")
