"""The house rules that neither ruff nor import-linter sees."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Iterator, List

import pytest

PACKAGE = Path(__file__).parents[3] / "provctl"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Those that are run, and export nothing, have no names to list.
PROGRAMS = {"__main__.py", "evaluator_child.py", "shim.py", "shims.py"}
LIBRARY = [m for m in MODULES if m.name not in {"__init__.py", *PROGRAMS}]
MAX_LINES = 600
MAX_FUNCTION_LINES = 60
MAX_POSITIONAL = 5
# Ways to open a file by its name. What is below the state directory is opened by
# `provctl.own_file` alone; these open other files, and say which.
OPENING = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "touch"}
OPENING |= {"truncate", "copyfile", "NamedTemporaryFile", "mkstemp"}
OTHER_FILES = {
    "api/address.py": "folder of a socket, for its address",
    "app/background.py": "no file: the API opens its sockets",
    "app/bundle.py": "an archive in memory",
    "app/hints.py": "workflow files",
    "app/templates.py": "templates",
    "cli/conclusion.py": "page of a CI system",
    "cli/library.py": "no file: text of a help page",
    "cli/machine.py": "unit files of systemd",
    "cli/manual.py": "pages that come with the program",
    "cli/options.py": "/dev/null",
    "cli/service.py": "unit files of systemd",
    "cli/template.py": "templates",
    "cli/verb.py": "no file: text of an argument",
    "cli/whole.py": "what people name for output",
    "config/document.py": "configuration files",
    "config/state_directory.py": "a new file with a name that nobody knew",
    "executors/fence.py": "folder, to sync it",
    "executors/kernel.py": "/proc",
    "executors/record.py": "folder, to sync it",
    "executors/shim.py": "no file: its method opens by own_file",
    "executors/tree.py": "/proc",
    "journal/folder.py": "folder, to sync it",
    "journal/lock.py": "/proc",
    "nushell/binary.py": "the program nu",
    "nushell/compatibility.py": "the library",
    "nushell/fetch.py": "the folder of programs",
    "nushell/index.py": "the library",
    "nushell/library.py": "the library",
    "own_file.py": "here they are opened",
    "scheduler/secrets.py": "files of secrets, wherever they are",
    "shelf.py": "the cache",
    "spec/nickel_imports.py": "workflow files",
    "spec/sources.py": "workflow files",
    "streams.py": "/dev/null",
    "ui/keys.py": "the terminal",
}
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def name_of(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


def parse(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def names_at_the_top(tree: ast.Module) -> Iterator[str]:
    """What a module defines or imports."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (name.asname or name.name for name in node.names)
        elif isinstance(node, ast.Assign):
            yield from _targets(node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def _targets(node: ast.Assign) -> List[str]:
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def exported(tree: ast.Module) -> List[str]:
    """The value of `__all__`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and "__all__" in _targets(node):
            names: List[str] = ast.literal_eval(node.value)
            return names
    raise AssertionError("it has no __all__")


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_is_short_and_says_what_it_owns(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    if module.name == "__init__.py" and module.parent != PACKAGE:
        assert text == "", "the __init__.py of a part is empty"
        return
    length = len(text.splitlines())
    assert length <= MAX_LINES
    assert module.stem not in VAGUE
    docstring = ast.get_docstring(ast.parse(text)) or ""
    if module.parent != PACKAGE or module.name == "errors.py":
        assert docstring.startswith("Owns "), "it begins with what the module owns"
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


def test_one_module_knows_how_the_program_is_started_again() -> None:
    # As a single file it is no module of the Python that runs it.
    texts = {name_of(m): m.read_text(encoding="utf-8") for m in MODULES}
    assert [name for name, text in texts.items() if '"-m"' in text] == ["program.py"]


@pytest.mark.parametrize("module", LIBRARY, ids=name_of)
def test_a_module_names_what_it_exports(module: Path) -> None:
    tree = parse(module)
    assert set(exported(tree)) <= set(names_at_the_top(tree))


def opens_by_name(module: Path) -> bool:
    calls = (
        node.func for node in ast.walk(parse(module)) if isinstance(node, ast.Call)
    )
    names = (
        call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "")
        for call in calls
    )
    return not OPENING.isdisjoint(names)


def test_files_of_the_state_directory_are_opened_in_one_way() -> None:
    found = [name_of(module) for module in MODULES if opens_by_name(module)]
    assert found == sorted(OTHER_FILES), "use own_file, or say what file it is"


# Who asks at the terminal, and who sends it sequences.
AT_THE_TERMINAL = {"cli/consent.py", "cli/notice.py"}
# Where lines of others are told that may be many, each made safe before.
MANY_LINES = {"cli/annotations.py", "cli/context.py", "cli/door.py"}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_what_is_printed_passes_the_streams(module: Path) -> None:
    name, text = name_of(module), module.read_text(encoding="utf-8")
    if name not in AT_THE_TERMINAL:
        assert "sys.__std" not in text, "its writer is not `streams.Printed`"
    assert ".stdout.buffer" not in text, "see `streams.binary_of`"
    told = [
        node.lineno
        for node in ast.walk(parse(module))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "echo"
        and any(keyword.arg == "err" for keyword in node.keywords)
    ]
    assert not told or name in MANY_LINES, f"lines {told}: see `context.tell_line`"
