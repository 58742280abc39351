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
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_POSITIONAL = 5
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
