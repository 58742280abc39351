"""Templates: their text, and the location of their mistakes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Mapping, Optional

import pytest

from provctl.errors import Diagnostic, TemplateInvalid
from provctl.templating import MAX_OUTPUT, render

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
        # Text, as JSON has it: never as Python spells it.
        ("{{ true }} {{ x }} {{ not x }}", {"x": True}, "true true false"),
        (
            "{{ x }}",
            {"x": ["a", None, True, {"b": 1.5}]},
            '["a", null, true, {"b": 1.5}]',
        ),
        ("{{ 'a' ~ x ~ 1 }}{{ true ~ '' }}", {"x": False}, "afalse1true"),
        ("{{ x | join(',') }}", {"x": [True, 1, [2]]}, "true,1,[2]"),
        (
            "{{ x | join(',', attribute='b') }}",
            {"x": [{"b": 1}, {"b": True}]},
            "1,true",
        ),
        ("{{ x | string }}{{ x | upper }}", {"x": True}, "trueTRUE"),
        ("{{ [x] | map('string') | join }}", {"x": True}, "true"),
        (
            "{{ x }}",
            {"x": 123456789012345678901234567890},
            "123456789012345678901234567890",
        ),
        ("{{ x | default('none', true) }}{{ x | tojson }}", {"x": None}, "nonenull"),
        ("{% if x is none %}none{% endif %}", {"x": None}, "none"),
        ("{{ x }}", {"x": ""}, ""),
        # Methods can be called where no field has their name.
        (
            "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
            {"d": {"a": 1}},
            "a=1;",
        ),
        ("{{ '%s %d' % (x, 5) }}{{ '%s' % x }}", {"x": True}, "true 5true"),
        ("{{ '%(x)s' % d }}{{ '%s' | format(d.x) }}", {"d": {"x": True}}, "truetrue"),
        ("{{ x | replace('t', 'T') }}{{ x | e }}", {"x": True}, "Truetrue"),
        ("{{ x | center(6) }}", {"x": False}, "false "),
        (
            "{{ x.upper() }} {{ 'a{}'.format(1) }} {{ d.get('z', 2) }}",
            {"x": "a", "d": {}},
            "A a1 2",
        ),
        ("{{ d.items is defined }}{{ d.items | default(3) }}", {"d": {}}, "false3"),
        ("{% for x in d %}{{ loop.index }}{{ x }}{% endfor %}", {"d": {"b": 0}}, "1b"),
        (
            "{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{{ m(true) }}",
            {},
            "<1><true>",
        ),
    ],
)
def test_template_is_rendered(
    tmp_path: Path, text: str, values: Mapping[str, Any], becomes: str
) -> None:
    assert render(template(tmp_path, text), values) == becomes


METHODS = [name for name in dir({}) if not name.startswith("_")]


@pytest.mark.parametrize("name", METHODS)
def test_name_after_a_dot_is_the_field(tmp_path: Path, name: str) -> None:
    values = {"d": {name: [3]}}
    for text in (f"{{{{ d.{name} }}}}", f"{{{{ d['{name}'] }}}}"):
        assert render(template(tmp_path, text), values) == "[3]"
    by_attribute = f"{{{{ [d] | map(attribute='{name}') | list }}}}"
    assert render(template(tmp_path, by_attribute), values) == "[[3]]"


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "text",
    [
        "{{ d.NAME }}",
        "{{ d['NAME'] }}",
        "{{ d | attr('NAME') }}",
        "{{ 'a' ~ d.NAME }}",
        "{{ [d.NAME] | join }}",
        "{{ [d.NAME] }}",
        "{{ d.NAME | tojson }}",
        "{{ d.NAME | string }}",
        "{% if d.NAME %}yes{% endif %}",
        "{% if d.NAME == 1 %}yes{% endif %}",
        "{% for x in d.NAME %}{{ x }}{% endfor %}",
        "{{ [d] | map(attribute='NAME') | join }}",
    ],
)
def test_missing_field_is_a_mistake(tmp_path: Path, text: str, name: str) -> None:
    file = template(tmp_path, "\n" + text.replace("NAME", name))
    with pytest.raises(TemplateInvalid) as caught:
        render(file, {"d": {"a": 1}})
    (mistake,) = caught.value.mistakes
    assert (mistake.file, mistake.line) == (str(file), 2)
    assert name in mistake.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ name.upper }}", "'upper'"),
        ("{{ ips.append }}", "append"),
        ("{{ port.real }}", "real"),
        (
            "{{ d.items() }}",
            "dict_items cannot be printed; if it is a list, add `| list`",
        ),
        ("{{ [d.items()] }}", "dict_items cannot be printed"),
        (
            "{{ ips | map('upper') }}",
            "generator cannot be printed; if it is a list, add `| list`",
        ),
        ("{{ range(3) }}", "range cannot be printed"),
        ("{{ lipsum }}", "function cannot be printed"),
        ("{% macro m() %}{% endmacro %}{{ m }}", "Macro cannot be printed"),
        ("{{ [nobody] }}", "'nobody' is undefined"),
        ("{{ nobody | tojson }}", "'nobody' is undefined"),
        ("{{ nothing }}", "null cannot be printed"),
        ("{{ 'a' ~ nothing }}", "null cannot be printed"),
        ("{{ [nothing] | join }}", "null cannot be printed"),
        ("{{ nothing | lower }}", "null cannot be printed"),
        ("{{ d.get('b') }}", "null cannot be printed"),
        ("{{ '%s' % nothing }}", "null cannot be printed"),
        ("{{ '%s' % d.items }}", "items"),
        ("{{ 10.0 ** 308 * 10 }}", "JSON"),
    ],
)
def test_value_without_text_is_a_mistake(
    tmp_path: Path, text: str, message: str
) -> None:
    values = {"name": "x", "ips": ["a"], "port": 1, "d": {"a": 1}, "nothing": None}
    with pytest.raises(TemplateInvalid, match=re.escape(message)):
        render(template(tmp_path, text), values)


def test_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "a.j2"
    (tmp_path / "b.j2").write_bytes(b"\xef\xbb\xbfb")
    file.write_bytes(b"\xef\xbb\xbfa{% include 'b.j2' %}")
    assert render(file, {}) == "ab"
    for wrong_bytes in ("a".encode("utf-16"), "é".encode("latin-1")):
        file.write_bytes(wrong_bytes)
        with pytest.raises(TemplateInvalid, match="not UTF-8 text"):
            render(file, {})


def test_included_template_must_be_in_the_folder(tmp_path: Path) -> None:
    template(tmp_path, "[{{ x }}]", "part.j2")
    assert render(template(tmp_path, "{% include 'part.j2' %}"), {"x": 1}) == "[1]"
    folder = tmp_path / "inner"
    folder.mkdir()
    for name in ("../part.j2", str(tmp_path / "part.j2")):
        with pytest.raises(TemplateInvalid, match="template"):
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
        ("{% include 'b.j2' %}", 1, "template 'b.j2' not found"),
        ("{{ it + 1 }}", 1, "unsupported operand"),
    ],
)
def test_mistake_has_its_location(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    file = template(tmp_path, text)
    with pytest.raises(TemplateInvalid, match=message) as caught:
        render(file, {"it": {"a": 1}})
    (mistake,) = caught.value.mistakes
    assert (mistake.file, mistake.line) == (str(file), line)
    assert mistake.source_line == text.splitlines()[line - 1]


def test_mistake_in_an_included_template_is_located_there(tmp_path: Path) -> None:
    part = template(tmp_path, "\n{{ nobody }}", "part.j2")
    mistake = wrong(template(tmp_path, "\n\n{% include 'part.j2' %}"))
    assert mistake is not None
    assert (mistake.file, mistake.line) == (str(part), 2)


def test_size_of_the_output_is_limited(tmp_path: Path) -> None:
    loop = "{% for i in range(70) %}{{ 'x' * 1000000 }}{% endfor %}"
    assert MAX_OUTPUT < 70 * 1000000
    mistake = wrong(template(tmp_path, loop))
    assert mistake is not None
    assert "longer than" in mistake.message
    assert wrong(template(tmp_path, loop.replace("70", "7"))) is None


def wrong(file: Path) -> Optional[Diagnostic]:
    try:
        render(file, {})
    except TemplateInvalid as problem:
        return problem.mistakes[0]
    return None
