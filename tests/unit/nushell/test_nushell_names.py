"""What may stand in Nushell source, and what is refused."""

from __future__ import annotations

import pytest

from provctl.errors import UsageProblem
from provctl.nushell.names import check_command, check_flag, module_path, nu_literal


@pytest.mark.parametrize(
    "name", ["list", "create-server", "server_create", "server list"]
)
def test_a_command_is_one_or_more_lower_case_words(name: str) -> None:
    assert check_command(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-c", "a;b", "a b;", "a  b", " a", "a\n", "a$(b)", "^rm", "../a", "Ab", "é"],
)
def test_what_could_be_more_than_a_name_is_no_command(name: str) -> None:
    with pytest.raises(UsageProblem, match="Nushell command"):
        check_command(name)


@pytest.mark.parametrize("name", ["zone", "dry-run", "n1", "dry_run"])
def test_a_flag_is_a_lower_case_word(name: str) -> None:
    assert check_flag(name) == name


@pytest.mark.parametrize(
    "name", ["", "--zone", "zone=1", "a b", "zone\n", "Zone", "help"]
)
def test_what_could_be_more_than_a_name_is_no_flag(name: str) -> None:
    with pytest.raises(UsageProblem, match="flag"):
        check_flag(name)


def test_a_module_lies_below_the_library() -> None:
    assert module_path("/lib", "servers/create.nu") == "/lib/servers/create.nu"
    assert module_path("/lib", "./servers//create.nu") == "/lib/servers/create.nu"


@pytest.mark.parametrize(
    "module", ["", ".", "/etc/x.nu", "..", "../x.nu", "servers/../../x.nu", "a\0b.nu"]
)
def test_a_module_outside_the_library_is_refused(module: str) -> None:
    with pytest.raises(UsageProblem, match="below the Nushell library"):
        module_path("/lib", module)


def test_a_literal_escapes_quotes_backslashes_and_controls() -> None:
    assert (
        nu_literal("a\"b\\c\n\0\x7fé'#$(x)") == r'''"a\"b\\c\u{a}\u{0}\u{7f}é'#$(x)"'''
    )
