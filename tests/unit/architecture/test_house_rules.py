"""The house rules that ruff and import-linter do not check."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Iterator

import pytest

PACKAGE = Path(__file__).parents[3] / "provctl"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 600
MAX_FUNCTION_LINES = 60
MAX_POSITIONAL = 5
# Ways to open a file by its name. What is below the state directory is opened by
# `provctl.base.safe_open` alone; these open other files, and say which.
OPENING = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "touch"}
OPENING |= {"truncate", "copyfile", "NamedTemporaryFile", "mkstemp"}
OTHER_FILES = {
    "base/unix_socket.py": "folder of a socket, for its address",
    "daemon/process.py": "no file: the API opens its sockets",
    "runs/saved_plan.py": "plans that people name",
    "runs/support_bundle.py": "an archive in memory",
    "runs/param_cache.py": "workflow files",
    "templating.py": "templates",
    "cli/ci/job_results.py": "page of a CI system",
    "cli/library_commands/nouns.py": "no file: text of a help page",
    "cli/doctor/service_checks.py": "unit files of systemd",
    "cli/help_pages.py": "pages that come with the program",
    "cli/options/global_options.py": "/dev/null",
    "cli/scheduler_service.py": "unit files of systemd",
    "cli/commands/template.py": "templates",
    "base/atomic_write.py": "what people name for output",
    "config/toml_document.py": "configuration files",
    "storage/state_dir_checks.py": "a new file with a name that nobody knew",
    "executors/remote/grants.py": "folder, to sync it",
    "executors/local/fence.py": "folder, to sync it",
    "executors/local/syscalls.py": "/proc",
    "executors/local/attempt_file.py": "folder, to sync it",
    "executors/local/shim.py": "no file: its method opens by safe_open",
    "executors/local/process_tree.py": "/proc",
    "storage/layout.py": "folder, to sync it",
    "storage/lock.py": "/proc",
    "nushell/binary.py": "the program nu",
    "nushell/library/compatibility.py": "the library",
    "nushell/install.py": "the folder of programs",
    "nushell/library/index.py": "the library",
    "nushell/library/scan.py": "the library",
    "base/safe_open.py": "here they are opened",
    "scheduler/secrets.py": "files of secrets, wherever they are",
    "base/record_cache.py": "the cache",
    "workflow_files/formats/nickel_imports.py": "workflow files",
    "workflow_files/source_text.py": "workflow files",
    "base/stdio.py": "/dev/null",
    "render/live/terminal_input.py": "the terminal",
}
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def name_of(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


def parse(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_module_is_short_and_has_a_docstring(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    if module.name == "__init__.py" and module.parent != PACKAGE:
        assert text == "", "the __init__.py of a part is empty"
        return
    length = len(text.splitlines())
    assert length <= MAX_LINES
    assert module.stem not in VAGUE
    assert ast.get_docstring(ast.parse(text)), "a module begins with what is in it"
    assert "TODO" not in text
    assert "FIXME" not in text


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_functions_are_short_and_take_few_arguments(module: Path) -> None:
    for function in functions(parse(module)):
        assert function.end_lineno is not None
        length = function.end_lineno - function.lineno + 1
        assert length <= MAX_FUNCTION_LINES, f"{function.name} has {length} lines"
        if not function.decorator_list:  # click fills in what a verb is given
            taken = [a.arg for a in function.args.args if a.arg not in ("self", "cls")]
            count = len(taken)
            assert count <= MAX_POSITIONAL, f"{function.name} takes {taken}"


def test_only_one_module_knows_how_to_start_the_program_again() -> None:
    # As a single file it is no module of the Python that runs it.
    texts = {name_of(m): m.read_text(encoding="utf-8") for m in MODULES}
    assert [name for name, text in texts.items() if '"-m"' in text] == [
        "base/self_command.py"
    ]


def opens_by_name(module: Path) -> bool:
    calls = (
        node.func for node in ast.walk(parse(module)) if isinstance(node, ast.Call)
    )
    names = (
        call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "")
        for call in calls
    )
    return not OPENING.isdisjoint(names)


def test_files_of_the_state_directory_are_opened_by_safe_open() -> None:
    found = [name_of(module) for module in MODULES if opens_by_name(module)]
    assert found == sorted(OTHER_FILES), "use base.safe_open, or say what file it is"


# Who asks at the terminal, and who sends it sequences.
AT_THE_TERMINAL = {"cli/options/confirm.py", "cli/watching/notify.py"}
# Where lines of others are told that may be many, each made safe before.
MANY_LINES = {"cli/ci/annotations.py", "cli/session.py", "cli/error_handler.py"}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_printed_text_passes_the_safe_streams(module: Path) -> None:
    name, text = name_of(module), module.read_text(encoding="utf-8")
    if name not in AT_THE_TERMINAL:
        assert "sys.__std" not in text, "its writer is not `base.stdio.PrintStream`"
    assert ".stdout.buffer" not in text, "see `base.stdio.binary_of`"
    told = [
        node.lineno
        for node in ast.walk(parse(module))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "echo"
        and any(keyword.arg == "err" for keyword in node.keywords)
    ]
    assert not told or name in MANY_LINES, f"lines {told}: see `context.print_message`"
