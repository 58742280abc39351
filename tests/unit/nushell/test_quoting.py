"""Which names are allowed in Nushell source, and which are refused."""

from __future__ import annotations

import pytest

from provctl.errors import UsageError
from provctl.nushell.quoting import (
    check_command,
    check_flag,
    main_name,
    module_path,
    nu_literal,
)


@pytest.mark.parametrize(
    "name",
    [
        *("list", "create-server", "server_create_workflow", "on_servers", "_own"),
        *("server list", "main create", "list 2", "CreateServer", "in"),
    ],
)
def test_command_of_one_or_more_words_is_accepted(name: str) -> None:
    assert check_command(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "-c", "a;b", "a b;", "a  b", " a", "a ", "a\n", "a\tb", "a -x", "a$(b)"),
        *("^rm", "../a", "a.b", "é", "a'", 'a"', "a|b", "a`b`", "a#b", "(a)", "1kb"),
    ],
)
def test_command_that_could_be_code_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="Nushell command"):
        check_command(name)


@pytest.mark.parametrize("name", ["true", "null", "inf", "let x", "use it", "Not a"])
def test_command_that_nushell_reserves_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="Nushell command"):
        check_command(name)


@pytest.mark.parametrize("module", ["0x1f.nu", "a/2024-01-01.nu", "true.nu", "x;y.nu"])
def test_module_whose_name_is_a_value_has_no_main(module: str) -> None:
    with pytest.raises(UsageError, match="Nushell command"):
        main_name(module)


def test_main_is_called_by_the_name_of_its_file() -> None:
    assert main_name("/lib/servers/create.nu") == "create"
    assert main_name("/lib/servers/mod.nu") == "mod"
    assert main_name("/lib/servers") == "servers"
    assert main_name("/lib/a.b.nu") == "a.b"


@pytest.mark.parametrize("name", ["zone", "dry-run", "n1", "dry_run", "Zone", "_z"])
def test_flag_of_one_word_is_accepted(name: str) -> None:
    assert check_flag(name) == name


@pytest.mark.parametrize("name", ["", "--zone", "zone=1", "a b", "zone\n", "1", "help"])
def test_flag_that_could_be_code_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="flag"):
        check_flag(name)


def test_module_path_is_below_the_library() -> None:
    assert module_path("/lib", "servers/create.nu") == "/lib/servers/create.nu"
    assert module_path("/lib", "./servers//create.nu") == "/lib/servers/create.nu"


@pytest.mark.parametrize(
    "module", ["", ".", "/etc/x.nu", "..", "../x.nu", "servers/../../x.nu", "a\0b.nu"]
)
def test_module_outside_the_library_is_refused(module: str) -> None:
    with pytest.raises(UsageError, match="below the Nushell library"):
        module_path("/lib", module)


def test_literal_escapes_quotes_backslashes_and_controls() -> None:
    assert (
        nu_literal("a\"b\\c\n\0\x7fé'#$(x)") == r'''"a\"b\\c\u{a}\u{0}\u{7f}é'#$(x)"'''
    )
