"""What a scan of library files finds about a call and its imports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provctl.nushell.library.scan import (
    ModuleFeatures,
    check_call,
    module_imports,
    module_needs_std,
    script_imports,
)

if TYPE_CHECKING:
    from pathlib import Path

CREATE = """\
# Create servers.
use ../providers/local.nu
export def create-server [name: string] { $name }
export def --env "server create" [] { }
  export def --wrapped resize-server [...rest] { }
export alias make-server = create-server
export extern upctl [x: string]
def hidden [] { }
# export def commented [] { }
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for name, text in {
        "servers/create.nu": CREATE,
        "servers/list.nu": "export def list-servers [] { [] }",
        "providers/local.nu": "export def who [] { 'local' } # use std would be slow",
        "providers/plain.nu": "export def who [] { 'plain' }",
        "taskservs/mod.nu": "export use ../servers/list.nu *",
        "tool.nu": "export def main [] { }",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("servers/create.nu", "create-server"),
        ("servers/create.nu", "server create"),
        ("servers/create.nu", "resize-server"),
        ("servers/create.nu", "make-server"),
        ("servers/create.nu", "upctl"),
        ("tool.nu", "main"),
        ("taskservs", "list-servers"),
        ("taskservs/mod.nu", "who-knows"),
    ],
)
def test_valid_call_has_no_problem(library: Path, module: str, command: str) -> None:
    assert check_call(library, module, command) is None


@pytest.mark.parametrize(
    ("module", "command", "message", "hint"),
    [
        (
            "servers/creat.nu",
            "x",
            "looked for {}/servers/creat.nu",
            "'servers/create.nu'",
        ),
        (
            "zzz.nu",
            "x",
            "module 'zzz.nu' not found:",
            "providers/local.nu, providers/plain.nu",
        ),
        ("servers", "x", "module 'servers' not found:", "did you mean"),
        (
            "servers/create.nu",
            "creat-server",
            "{}/servers/create.nu does not export a",
            "'create-server'",
        ),
        (
            "servers/create.nu",
            "hidden",
            "does not export a command 'hidden'",
            "create-server",
        ),
        ("servers/create.nu", "commented", "does not export a command", "its commands"),
        (
            "servers/create.nu",
            "main",
            "does not export a command 'main'",
            "its commands",
        ),
        ("../secret.nu", "x", "not a path below", "servers/create.nu"),
        ("servers/list.nu", "a; b", "is not a valid name", "letters, digits"),
    ],
)
def test_invalid_call_is_explained_with_a_hint(
    library: Path, module: str, command: str, message: str, hint: str
) -> None:
    problem = check_call(library, module, command)
    assert problem is not None
    assert message.format(library) in problem.message
    assert hint in problem.hint


def test_empty_module_has_no_command_to_suggest(library: Path) -> None:
    (library / "empty.nu").touch()
    problem = check_call(library, "empty.nu", "x")
    assert problem is not None
    assert problem.hint == "its commands: none"


def test_missing_library_is_reported(tmp_path: Path) -> None:
    problem = check_call(tmp_path / "nowhere", "servers/create.nu", "create-server")
    assert problem is not None
    assert str(tmp_path / "nowhere") in problem.message


@pytest.mark.parametrize(
    ("script", "needed"),
    [
        ("1 + 1", False),
        ("use std/log", True),
        ("use std\nlog info x", True),
        ("cd (pwd)", True),
        ("$env.PWD", False),
        ("use servers/list.nu; list list-servers", False),
        ("use servers/create.nu", True),  # it uses providers/local.nu
        ("use 'providers/plain.nu' [who]", False),
        ("use nowhere.nu", True),
        ("let m = 'x'; source $m", True),
        ("# use whatever you like\n1", False),
        ("[1] | each {|x| use missing.nu; $x }", True),
        ("'because' | str length", False),
    ],
)
def test_std_is_left_out_only_if_certainly_not_needed(
    library: Path, script: str, needed: bool
) -> None:
    assert script_imports(script, library).std is needed


def test_std_for_a_module_depends_on_its_imports(library: Path) -> None:
    assert module_needs_std(library, "servers/create.nu")
    assert not module_needs_std(library, "taskservs")
    assert module_needs_std(library, "missing.nu")


def test_scan_of_modules_that_import_each_other_ends(library: Path) -> None:
    (library / "a.nu").write_text("use b.nu", encoding="utf-8")
    (library / "b.nu").write_text("use a.nu", encoding="utf-8")
    assert not module_needs_std(library, "a.nu")


@pytest.mark.parametrize(
    ("script", "imports"),
    [
        ("use provctl.nu", ModuleFeatures(provctl=True)),
        ("use provctl.nu *; progress 40", ModuleFeatures(provctl=True)),
        ("use provctl.nu [progress needs]", ModuleFeatures(provctl=True)),
        ("# use provctl.nu", ModuleFeatures()),
        ("use provctl/http.nu *", ModuleFeatures()),
        ("use provctl.nuclear", ModuleFeatures(std=True)),
        ("http get http://localhost:9090/health", ModuleFeatures(endpoint=True)),
        ("# http get http://localhost:9090/health", ModuleFeatures()),
        ("http get http://localhost:9091/health", ModuleFeatures()),
        ("(load-config).orchestrator", ModuleFeatures(config=True)),
        ("$my-load-config", ModuleFeatures()),
        ("export def load-config [] { {} }; load-config", ModuleFeatures()),
        ("use servers/uses.nu; uses go", ModuleFeatures(provctl=True, endpoint=True)),
    ],
)
def test_imported_modules_and_mentioned_endpoints_are_found(
    library: Path, script: str, imports: ModuleFeatures
) -> None:
    text = "use provctl.nu\nexport def go [] { http get http://127.0.0.1:9090/tasks }"
    (library / "servers" / "uses.nu").write_text(text, encoding="utf-8")
    endpoints = ("localhost:9090", "127.0.0.1:9090")
    assert script_imports(script, library, endpoints) == imports
    (library / "asks.nu").write_text(script, encoding="utf-8")
    assert module_imports(library, "asks.nu", endpoints) == imports


def test_module_of_the_library_takes_precedence_over_the_shipped_one(
    library: Path,
) -> None:
    (library / "provctl.nu").write_text("export def progress [] { }", encoding="utf-8")
    assert script_imports("use provctl.nu", library) == ModuleFeatures()
