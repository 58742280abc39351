"""`provctl template render`, and the same command in Nushell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Provctl

TEXT = "server {{ name }}\n{% for ip in ips %}ip {{ ip }}\n{% endfor %}"


def test_values_come_from_json_a_file_and_set_flags(provctl: Provctl) -> None:
    file = provctl.text("server.j2", TEXT)
    values = provctl.text("values.json", '{"name": "a", "ips": [1]}')
    render = ("template", "render", file, "--values")
    assert provctl(*render, '{"name": "a", "ips": []}').out == "server a\n"
    assert provctl(*render, f"@{values}").out == "server a\nip 1\n"
    done = provctl(*render, f"@{values}", "--set", "ips=[2, 3]", "--set", "name=7=b")
    assert done.out == "server 7=b\nip 2\nip 3\n"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ("[1]", "values must be a record"),
        ("{", "not JSON"),
        ("@nowhere", "No such file"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        ('{"a": 1, "a": 2}', "--values:1:10: duplicate key `a`"),
        ('{"a": NaN}', "--values:1:7: not JSON: NaN is not a valid JSON number"),
        ('{"a": [1e400]}', "--values:1:8: not JSON: 1e400 is too large for a number"),
        ('{"a": "\\ud800"}', "lone surrogate"),
    ],
)
def test_invalid_values_are_refused(provctl: Provctl, values: str, why: str) -> None:
    file = provctl.text("server.j2", TEXT)
    assert why in provctl("template", "render", file, "--values", values, code=2).err


def test_values_file_must_be_text(provctl: Provctl) -> None:
    file, values = (
        provctl.text("a.j2", "{{ a }}\n"),
        provctl.folder / "values.json",
    )
    render = ("template", "render", file, "--values", f"@{values}")
    text = '{"a":\n"é"}'
    for right in (text.encode(), b"\xef\xbb\xbf" + text.encode()):
        values.write_bytes(right)
        assert provctl(*render).out == "é\n"
    values.write_bytes(text.encode("utf-16"))
    assert f"{values}: is not UTF-8 text but UTF-16" in provctl(*render, code=2).err
    values.write_bytes(text.encode("latin-1"))
    assert f"{values}: is not UTF-8 text: invalid byte in line 2" in (
        provctl(*render, code=2).err
    )
    values.write_bytes(b"\xef\xbb\xbf" + b'{"a" 1}')
    assert f"{values}:1:6: not JSON" in provctl(*render, code=2).err


def test_field_takes_precedence_over_a_method_of_the_same_name(
    provctl: Provctl,
) -> None:
    file = provctl.text("a.j2", "{{ d.items }}\n")
    render = ("template", "render", file, "--values")
    assert provctl(*render, '{"d": {"items": [3]}}').out == "[3]\n"
    done = provctl(*render, '{"d": {"item": [3]}}', code=50)
    assert f"{file}:1:1: there is no field 'items'" in done.err


def test_template_error_is_shown_with_its_line(provctl: Provctl) -> None:
    file = provctl.text("server.j2", TEXT)
    done = provctl("template", "render", file, "--set", "name=a", code=50)
    assert done.out == ""
    assert f"{file}:2:1: 'ips' is undefined" in done.err
    assert "2 | {% for ip in ips %}ip {{ ip }}" in done.err


def test_output_file_is_written_atomically_and_is_private(provctl: Provctl) -> None:
    file = provctl.text("server.j2", TEXT)
    out = provctl.folder / "server.conf"
    render = ("template", "render", file, "-O", out, "--set")
    provctl(*render, "name=a", "--set", "ips=[]")
    assert out.read_text() == "server a\n"
    assert out.stat().st_mode & 0o777 == 0o600
    out.chmod(0o644)
    provctl(*render, "name=b", code=50)
    assert out.read_text() == "server a\n"
    provctl(*render, "name=b", "--set", "ips=[]")
    assert out.read_text() == "server b\n"
    assert out.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in out.parent.glob(".provctl-*")] == []


def test_task_renders_a_template_with_hostile_values(provctl: Provctl) -> None:
    file = provctl.text("it's [a] $(template).j2", "{{ name }}|{{ n }}\n")
    hostile = "\"'; {{ 7*7 }} $(id) \\ \u202e"
    script = "use provctl.nu; provctl render $args.file {name: $args.name, n: 1}"
    run = {"script": script, "args": {"file": str(file), "name": hostile}}
    provctl("run", provctl.file({"a": run}))
    outputs = provctl("workflow", "outputs", "@last").json()
    assert outputs["a"] == f"{hostile}|1\n"
    assert json.dumps(hostile) not in provctl.journal(provctl.runs()[0])[0]
