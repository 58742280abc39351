"""KCL files with the real evaluator: values, options, mistakes, limits."""

from __future__ import annotations

import sys
import venv
from typing import TYPE_CHECKING, List, Mapping, Optional

import pytest

from provctl.base.limited_process import ProcessLimits
from provctl.core.model.workflow import Command
from provctl.errors import InvalidWorkflow, MissingTool
from provctl.workflow_files.load import LoadContext, load_workflow

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.model.workflow import Workflow

OURS = """
_zone = option("zone") or "es-mad1"
name = "ours"
max_parallel = 2
tasks = {
    make = {command = ["echo", _zone, option("count") or 1]}
    use = {needs = ["make"], command = ["true"], timeout = "5m"}
}
"""


def load(
    folder: Path,
    text: str,
    params: Optional[Mapping[str, str]] = None,
    context: Optional[LoadContext] = None,
) -> Workflow:
    file = folder / "w.k"
    file.write_text(text)
    return load_workflow(file, params or {}, context=context or LoadContext(cwd="/"))


def said(folder: Path, text: str, **how: object) -> List[str]:
    with pytest.raises(InvalidWorkflow) as refusal:
        load(folder, text, **how)  # type: ignore[arg-type]
    return [
        f"{m.line}:{m.column} {m.source_line.strip()} | {m.message}"
        for m in refusal.value.mistakes
    ]


def test_provctl_format_and_options_are_read(tmp_path: Path) -> None:
    workflow = load(tmp_path, OURS)
    assert (workflow.name, workflow.max_parallel) == ("ours", 2)
    assert workflow.tasks[0].action == Command(("echo", "es-mad1", 1))
    assert workflow.tasks[1].timeout_s == 300
    chosen = {"zone": 'fi"; x = "', "count": "7"}
    workflow = load(tmp_path, OURS, chosen)
    assert workflow.tasks[0].action == Command(("echo", 'fi"; x = "', 7))


def test_unknown_option_is_refused(tmp_path: Path) -> None:
    (mistake,) = said(tmp_path, OURS, params={"zoen": "x"})
    assert "-p zoen: the file has no option `zoen`" in mistake


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('["make"]', '["maek"]', "7:12 use = {needs"),
        ('"5m"', '"soon"', "7:50 use = {needs"),
        ('name = "ours"', "name = 5", "3:1 name = 5"),
        ("max_parallel", "max_paralel", "4:1 max_paralel"),
    ],
)
def test_mistakes_in_a_workflow_have_their_location(
    tmp_path: Path, old: str, new: str, place: str
) -> None:
    assert OURS.count(old) == 1
    (mistake,) = said(tmp_path, OURS.replace(old, new))
    assert mistake.startswith(place), mistake


def test_errors_of_kcl_have_their_location(tmp_path: Path) -> None:
    types, names = said(tmp_path, 'a: int = "x"\nb = nope\n')
    assert types == '1:1 a: int = "x" | TypeError: expected int, got str(x)'
    assert names == "2:5 b = nope | CompileError: name 'nope' is not defined"
    (syntax,) = said(tmp_path, "tasks = [\n")
    assert "InvalidSyntax" in syntax


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (
            "a = [1][5]\n",
            "1:1 a = [1][5] | EvaluationError: list index out of range: 5",
        ),
        ('assert 1 > 2, "no"\n', '1:1 assert 1 > 2, "no" | EvaluationError: no'),
        (
            'schema S:\n    n: int\n    check:\n        n > 3, "too small"\n'
            "a = S {n = 1}\n",
            "5:5 a = S {n = 1} | EvaluationError: Check failed on the condition: "
            "too small",
        ),
    ],
)
def test_runtime_errors_have_their_location(
    tmp_path: Path, text: str, place: str
) -> None:
    assert said(tmp_path, text) == [place]


def test_mistake_is_located_in_the_value_and_not_in_its_schema(tmp_path: Path) -> None:
    text = (
        "schema W:\n    name: str\n    operations: [any]\n"
        'W {name = "w", operations = []}\n'
    )
    (mistake,) = said(tmp_path, text)
    assert mistake.startswith("4:16 W {name"), mistake
    typed = text.replace("operations = []", "operations: []")
    assert "`operations` must be a list with at least one" in said(tmp_path, typed)[0]


def test_endless_evaluation_is_ended(tmp_path: Path) -> None:
    endless = "_f = lambda n: int -> int { _f(n + 1) }\ntasks = {a = _f(1)}\n"
    context = LoadContext(cwd="/", limits=ProcessLimits(wall_s=3, cpu_s=2))
    (mistake,) = said(tmp_path, endless, context=context)
    assert "| evaluating this file " in mistake or "Error" in mistake


def test_missing_package_is_reported(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    python = str(tmp_path / "bare" / "bin" / "python")
    with pytest.raises(MissingTool) as refusal:
        load(tmp_path, OURS, context=LoadContext(cwd="/", python=python))
    assert "kcl-lib" in refusal.value.message
    assert refusal.value.hint == f"{sys.executable} -m pip install kcl-lib"
    # The control: it is the package that is missing.
    context = LoadContext(cwd="/", python=sys.executable)
    assert load(tmp_path, OURS, context=context).name == "ours"
