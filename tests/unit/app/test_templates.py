"""Templates: what they become, and how their mistakes are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Optional

import pytest

from provctl.app.templates import MAX_OUTPUT, render
from provctl.errors import Mistake, TemplateInvalid

if TYPE_CHECKING:
    from pathlib import Path


def template(folder: Path, text: str, name: str = "a.j2") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "values", "becomes"),
    [
        ("{{ name }}\n\n", {"name": "web-1"}, "web-1\n\n"),
        (
            "{{ it | tojson }}",
            {"it": {"b": "<é'&>", "a": [1]}},
            '{"b": "<é\'&>", "a": [1]}',
        ),
        ("{% for i in ips %}{{ i }};{% endfor %}", {"ips": ["a", "b"]}, "a;b;"),
        ("{{ x | default('y') }}", {}, "y"),
        ("{{ name }}", {"name": "{{ 7 * 7 }} <b>"}, "{{ 7 * 7 }} <b>"),
        ("{{ 2 ** 8 }} {{ '-' * 3 }}", {}, "256 ---"),
    ],
)
def test_templates_become_text(
    tmp_path: Path, text: str, values: Mapping[str, Any], becomes: str
) -> None:
    assert render(template(tmp_path, text), values) == becomes


def test_what_is_included_lies_in_the_folder(tmp_path: Path) -> None:
    template(tmp_path, "[{{ x }}]", "part.j2")
    assert render(template(tmp_path, "{% include 'part.j2' %}"), {"x": 1}) == "[1]"
    folder = tmp_path / "inner"
    folder.mkdir()
    for name in ("../part.j2", str(tmp_path / "part.j2")):
        with pytest.raises(TemplateInvalid, match="no template"):
            render(template(folder, f"{{% include '{name}' %}}"), {"x": 1})


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a\n  {{ nobody }}\n", 2, "'nobody' is undefined"),
        ("a\n{{ it.nothing }}", 2, "'dict object' has no attribute 'nothing'"),
        ("a\n\n{% if %}", 3, "Expected an expression"),
        ("{{ 1 / 0 }}", 1, "division by zero"),
        ("{{ it | nofilter }}", 1, "nofilter"),
        ("{{ it.__class__ }}", 1, "unsafe"),
        ("{{ it.update(a=1) }}", 1, "not safely callable|unsafe"),
        ("a\n{{ 'x' * 10 ** 10 }}", 2, "too large"),
        ("{{ 10 ** 100000 }}", 1, "too large"),
        ("{{ range(10 ** 9) | list }}", 1, "Range too big"),
        ("{% include 'b.j2' %}", 1, "no template 'b.j2'"),
        ("{{ it + 1 }}", 1, "unsupported operand"),
    ],
)
def test_a_mistake_has_its_place(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    file = template(tmp_path, text)
    with pytest.raises(TemplateInvalid, match=message) as caught:
        render(file, {"it": {"a": 1}})
    (mistake,) = caught.value.mistakes
    assert (mistake.file, mistake.line) == (str(file), line)
    assert mistake.source_line == text.splitlines()[line - 1]


def test_a_mistake_in_an_included_template_is_shown_there(tmp_path: Path) -> None:
    part = template(tmp_path, "\n{{ nobody }}", "part.j2")
    mistake = wrong(template(tmp_path, "\n\n{% include 'part.j2' %}"))
    assert mistake is not None
    assert (mistake.file, mistake.line) == (str(part), 2)


def test_output_is_bounded(tmp_path: Path) -> None:
    loop = "{% for i in range(70) %}{{ 'x' * 1000000 }}{% endfor %}"
    assert MAX_OUTPUT < 70 * 1000000
    mistake = wrong(template(tmp_path, loop))
    assert mistake is not None
    assert "more than" in mistake.message
    assert wrong(template(tmp_path, loop.replace("70", "7"))) is None


def wrong(file: Path) -> Optional[Mistake]:
    try:
        render(file, {})
    except TemplateInvalid as problem:
        return problem.mistakes[0]
    return None
