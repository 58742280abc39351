"""What Nushell finds in scripts before they run, and what it must not report."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any, Dict, Sequence

import pytest

from provctl.errors import MissingTool
from provctl.nushell.binary import find_nu
from provctl.nushell.invocation import NushellConfig
from provctl.nushell.script_check import Checked, check_program, check_scripts

if TYPE_CHECKING:
    from pathlib import Path

GOOD = [
    "print hi",
    "$args.name | str length",
    "if $args.many { 1 } else { 2 }",
    "for x in $args.list { print $x }",
    "let args = 5\n$args",
    "mut a = 1\n$a += 2\n$a",
    "return 5",
    "exit 3",
    "$env.HOME",
    "^$args.program --now",
    "use provctl.nu\nprovctl progress 3/7 'x'\nprovctl checkpoint {a: 1}\nprovctl needs",
    "use std/log\nlog info 'x'",
    "use servers.nu *\ncreate web-1 --zone x",
    "use servers.nu\nservers create web-1",
    "export def f [] { 1 }\nf",
    "def main [] { 1 }\nmain",
    "load-config | get x",
    "http post http://localhost:9090/tasks {a: 1}",
    "#!/usr/bin/env nu\n# only a comment",
    "open $args.file | from yaml | where name == 3",
    "try { ^sh -c 'exit 1' } catch {|e| print $e.msg }",
    "'é' | str length # é",
    "alias ll = ls -l\nll",
    "do { cd /; pwd }",
    "null",
]
BAD = {
    "print hi\nlet x = [1 2\n": 2,
    "print hi }": 1,
    "let x = 1 +": 1,
    "1\n2\n$y.z": 3,
    "1\nls --no-such-flag": 2,
    "def f [] { 1 }\nf 3": 2,
    "'é'\n5 | str trim": 2,
    "use provctl.nu\nprovctl progress": 2,
    "use servers.nu *\ncreate web-1 --colour x": 2,
}
UNSURE = ["use later.nu", "source later.nu", "use broken.nu", "source $args.x"]


@pytest.fixture
def check(tmp_path: Path) -> Any:
    (tmp_path / "servers.nu").write_text(
        "export def create [name: string, --zone: string] { }", encoding="utf-8"
    )
    (tmp_path / "broken.nu").write_text("export def x [] {", encoding="utf-8")
    setting = NushellConfig(find_nu("nu", os.environ["PATH"]), str(tmp_path))
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def ask(texts: Sequence[str]) -> Dict[str, Checked]:
        return check_scripts(setting, texts, cwd=str(tmp_path), env=env)

    return ask


def test_valid_scripts_have_no_findings(check: Any) -> None:
    found = check(GOOD)
    assert set(found) == set(GOOD)
    assert {text: each.findings for text, each in found.items() if each.findings} == {}


def test_syntax_errors_are_certain_and_have_a_line(check: Any) -> None:
    found = check([*BAD, *GOOD])
    for text, line in BAD.items():
        (finding,) = found[text].findings
        assert (finding.line, finding.sure) == (line, True), text
        assert finding.message


@pytest.mark.parametrize("text", UNSURE)
def test_findings_that_depend_on_other_files_are_uncertain(
    check: Any, text: str
) -> None:
    (finding,) = check([text])[text].findings
    assert not finding.sure


def test_external_programs_are_listed_with_their_lines(check: Any) -> None:
    text = "print é\n^one x\ntwo | lines\nif true { three }\n^./four\n^$args.five\nls"
    assert check([text])[text].programs == (("one", 2), ("two", 3), ("three", 4))


def test_check_runs_no_part_of_a_script(check: Any, tmp_path: Path) -> None:
    texts = [f"touch {tmp_path}/ran", f"const x = (touch {tmp_path}/ran)"]
    check(texts)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("nu", "why"),
    [
        ("/bin/false", "exit code 1"),
        ("/bin/echo", "does not answer"),
        ("/no/nu", "No such"),
    ],
)
def test_failed_check_reports_its_reason(tmp_path: Path, nu: str, why: str) -> None:
    setting = NushellConfig(nu, str(tmp_path))
    with pytest.raises(MissingTool, match=why):
        check_scripts(setting, ["("], cwd=str(tmp_path), env={})


@pytest.mark.parametrize("mark", ["5c23681e317e7b", "0b01", "1e5", "true", "null"])
def test_boundary_mark_is_text_whatever_it_looks_like(
    tmp_path: Path, mark: str
) -> None:
    nu = find_nu("nu", os.environ["PATH"])
    done = subprocess.run(
        [nu, "--no-config-file", "--stdin", "--commands", check_program(mark)],
        input=b'["("]',
        env={"HOME": str(tmp_path), "NO_COLOR": "1"},
        capture_output=True,
        check=True,
    )
    assert done.stderr.endswith(f"{mark}\n".encode())
