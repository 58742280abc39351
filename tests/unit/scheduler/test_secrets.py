"""Command lines of programs that know secrets, and what is at hand without one."""

from __future__ import annotations

import sys
from typing import Tuple

import pytest

from provctl.core.model.secret_reference import parse_reference
from provctl.errors import NotFound
from provctl.scheduler.secrets import (
    SecretSettings,
    SecretSource,
    command_line,
    find_secret,
    is_immediate,
)

KEY = {"SOPS_AGE_KEY_FILE": "/key of sops"}


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("cmd:pass show db", ("pass", "show", "db")),
        ('cmd:["sh", "-c", "a; b"]', ("sh", "-c", "a; b")),
        (
            "sops:/w/s.yaml#db.password",
            ("sops", "--decrypt", "--extract", '["db"]["password"]', "/w/s.yaml"),
        ),
        ("age:/w/x.age", ("age", "--decrypt", "-i", "/key of sops", "/w/x.age")),
    ],
)
def test_each_kind_has_its_command_line(text: str, argv: Tuple[str, ...]) -> None:
    source = SecretSource(KEY)
    assert command_line("A", parse_reference(text), source) == argv


def test_the_keyring_is_asked_by_a_python_that_is_isolated() -> None:
    argv = command_line("A", parse_reference("keyring:a/b/me"), SecretSource({}))
    assert argv[:2] == (sys.executable, "-I")
    assert argv[2].endswith("keyring_child.py")
    assert argv[3:] == ("a/b", "me")


def test_the_setting_comes_before_the_variable() -> None:
    reference = parse_reference("age:/x")
    source = SecretSource(KEY, SecretSettings(age_identity="/own"))
    assert command_line("A", reference, source)[3] == "/own"
    with pytest.raises(NotFound, match="secret A: age:/x: no identity file") as caught:
        command_line("A", reference, SecretSource({}))
    assert "secrets.age_identity" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["cmd:true", "sops:/a#b", "age:/a", "keyring:a/b"])
def test_what_takes_a_program_is_not_looked_up_in_passing(text: str) -> None:
    assert not is_immediate(text)
    with pytest.raises(NotFound, match="is looked up when a task starts"):
        find_secret("A", text, {})


def test_a_reference_of_a_later_version_is_refused_when_its_task_starts() -> None:
    assert is_immediate("vault:x")
    with pytest.raises(NotFound, match="secret A: its reference must be"):
        find_secret("A", "vault:x", {})
