"""Tasks with real Nushell: their input, output, log and errors."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from provctl.core.model.nushell_names import is_module
from provctl.core.model.workflow import NushellCall
from provctl.errors import UsageError
from provctl.nushell.binary import find_nu, nu_version
from provctl.nushell.error_summary import error_summary
from provctl.nushell.invocation import (
    Invocation,
    NushellConfig,
    call_invocation,
    script_invocation,
)

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = {
    "servers/create.nu": """\
use ../providers/local.nu
use servers/list.nu
export def create-server [name: string, --zone: string = "es-mad1", --yes] {
    print $"creating ($name)"
    {name: $name, zone: $zone, yes: $yes, by: (local who), others: (list list-servers)}
}
export def echo-all [...values: any, --flag: any] { {values: $values, flag: $flag} }
export def run-program [] { ^echo from the program }
export def --env remember [] { $env.X = "y" }
""",
    "servers/list.nu": "export def list-servers [] { [web-1] }",
    "providers/local.nu": "export def who [] { 'local' }",
    "tool.nu": "export def main [x: int] { $x + 1 }",
    "logs.nu": "use std/log\nexport def say [] { log warning 'careful'; 1 }",
}


@dataclass(frozen=True)
class Ended:
    """The result of an attempt; `output` is None if it returned nothing."""

    code: int
    stdout: str
    stderr: str
    output: Any
    returned: bool


class Tasks:
    """Starts attempts as the executor does: own folder, empty stdin, environment."""

    def __init__(self, nu: str, folder: Path) -> None:
        self.folder = folder
        self.library = folder / 'a "library": it\'s $(here)'
        self.nu = nu
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GREETING": "hi"}
        self._input, self._output = folder / "1.1 [*].in", folder / "1.1 [*].out"
        self._setting = NushellConfig(nu=nu, library=str(self.library))
        self._common: Dict[str, Any] = {
            "input_path": str(self._input),
            "output_path": str(self._output),
        }
        for name, text in LIBRARY.items():
            file = self.library / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def script(
        self,
        text: str,
        args: Optional[Mapping[str, Any]] = None,
        env: Optional[Mapping[str, str]] = None,
    ) -> Ended:
        return self._run(
            script_invocation(
                self._setting,
                text=text,
                args=args or {},
                env=env or self.env,
                **self._common,
            )
        )

    def call(
        self,
        module: str,
        command: str,
        *args: Any,
        check_success: bool = True,
        **flags: Any,
    ) -> Ended:
        call = NushellCall(
            module, command, tuple(args), flags, check_success=check_success
        )
        return self._run(
            call_invocation(
                self._setting,
                call,
                env=self.env,
                **self._common,
            )
        )

    def started(self, text: str) -> subprocess.Popen[str]:
        """Start a script; its output can be read while it runs."""
        how = script_invocation(
            self._setting, text=text, args={}, env=self.env, **self._common
        )
        self._prepare(how)
        return subprocess.Popen(
            how.argv, env=how.env, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def _prepare(self, invocation: Invocation) -> None:
        for file in (self._input, self._output):
            file.unlink() if file.exists() else None
        if invocation.input is not None:
            self._input.write_bytes(invocation.input)

    def _run(self, invocation: Invocation) -> Ended:
        self._prepare(invocation)
        done = subprocess.run(
            invocation.argv,
            env=invocation.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
        )
        returned = self._output.exists()
        output = json.loads(self._output.read_bytes()) if returned else None
        return Ended(done.returncode, done.stdout, done.stderr, output, returned)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Tasks:
    nu = find_nu("nu", os.environ["PATH"])
    return Tasks(nu, tmp_path_factory.mktemp("tasks"))


def test_tested_nushell_is_supported() -> None:
    assert nu_version(find_nu("nu", os.environ["PATH"]))


# --- what a task returns -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("1 + 1", 2),
        ("{a: $args.n, b: [null, true, 0.5]}", {"a": 7, "b": [None, True, 0.5]}),
        ("[[a b]; [1 2]]", [{"a": 1, "b": 2}]),
        ("1..3", [1, 2, 3]),
        ("'tab\t quote\" é \\n'", 'tab\t quote" é \\n'),
        ("''", ""),
        ("2sec", 2_000_000_000),
        ("if $args.n > 5 { return 'early' }\n'late'", "early"),
        ("def double [x] { $x * 2 }\ndouble $args.n", 14),
        ("export def triple [x] { $x * 3 }\ntriple $args.n", 21),
        ("use servers/list.nu *\nlist-servers", ["web-1"]),
        ("use providers/local.nu\nlocal who # the end", "local"),
        ("mut x = 1\n$x += $args.n\nlet y = $x\n$y", 8),
        ("#!/usr/bin/env nu\n# only\n3\n# comments after", 3),
        ("print before\n4 # a comment without an end of line", 4),
        ("$env.GREETING", "hi"),
        ("$env.PROVCTL_INPUT?", None),
        ("'/dev/null' in $env.PATH or ($env.PATH | length) < 2", False),
        ("^sh -c 'echo $GREETING' | str trim", "hi"),
    ],
)
def test_last_value_of_a_script_is_its_output(
    tasks: Tasks, text: str, output: Any
) -> None:
    ended = tasks.script(text, {"n": 7})
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.output == output
    assert ended.stdout in ("", "before\n")


@pytest.mark.parametrize(
    "text", ["", "null", "let x = 1", "print hello", "# nothing", "mkdir x", "exit 0"]
)
def test_script_without_a_value_has_no_output(tasks: Tasks, text: str) -> None:
    ended = tasks.script(text)
    assert (ended.code, ended.returned) == (0, False)


def test_print_and_external_programs_write_to_the_log(tasks: Tasks) -> None:
    ended = tasks.script(
        "print one\n^echo two\nprint -e three\n^sh -c 'echo four >&2'\n5"
    )
    assert ended.stdout == "one\ntwo\n"
    assert ended.stderr == "three\nfour\n"
    assert ended.output == 5


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("^printf 'Linux\\n'", "Linux"),
        ("^echo one | ^cat", "one"),
        ("print before\n^echo last", "last"),
        ("^echo first\n^echo last", "last"),
        ("^printf '  a\\n\\nb\\n\\n'", "  a\n\nb\n"),
        ("^true", ""),
        ("^printf '\\xff\\x00'", [255, 0]),
        ("def f [] { ^echo inner }\nf", "inner"),
        ("if true { ^echo branch }", "branch"),
        ("try { ^echo tried }", "tried"),
        ("match 1 { 1 => { ^echo arm } }", "arm"),
        ("^echo err o+e>| lines", ["err"]),
    ],
)
def test_final_external_program_returns_its_text(
    tasks: Tasks, text: str, output: Any
) -> None:
    ended = tasks.script(text)
    assert (ended.code, ended.stderr, ended.returned) == (0, "", True)
    assert ended.output == output
    *before, last = text.splitlines()
    in_let = tasks.script("\n".join([*before, f"let x = ({last})", "$x"]))
    assert in_let.output == output


@pytest.mark.parametrize(
    "text", ["^echo a | ignore", "^echo a; null", "^true o> /dev/null"]
)
def test_text_of_a_final_external_program_can_be_suppressed(
    tasks: Tasks, text: str
) -> None:
    assert not tasks.script(text).returned


def test_final_external_program_writes_to_the_log_too(tasks: Tasks) -> None:
    assert tasks.script("print 1\n^echo last").stdout == "1\nlast\n"
    ended = tasks.call("servers/create.nu", "run-program")
    assert (ended.stdout, ended.output) == ("from the program\n", "from the program")
    ended = tasks.script("^sh -c 'echo out; echo err >&2; exit 4'")
    assert (ended.code, ended.stdout, ended.stderr) == (4, "out\n", "err\n")
    assert not ended.returned


def test_log_shows_text_of_the_final_external_program_while_it_runs(
    tasks: Tasks,
) -> None:
    # It goes on only when somebody has read its first line.
    gate = tasks.folder / "gate"
    text = f"^sh -c 'echo PROGRESS: 1/2; while ! test -e {gate}; do sleep 0.05; done; echo end'"
    with tasks.started(text) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "PROGRESS: 1/2\n"
        gate.touch()
        assert process.stdout.read() == "end\n"
        assert process.wait(60) == 0


def test_file_content_is_a_value_and_not_logged(tasks: Tasks) -> None:
    (tasks.folder / "key").write_text("sesame\n", encoding="utf-8")
    ended = tasks.script(f"open --raw '{tasks.folder}/key'")
    assert (ended.output, ended.stdout) == ("sesame\n", "")


def test_definitions_of_a_script_do_not_affect_its_output(tasks: Tasks) -> None:
    text = "def save [...x] { print mine }\ndef peek [x] { 5 }\nlet made = 1\nlet result = 2\n"
    ended = tasks.script(text + "def print [...x] { exit 9 }\n^echo a")
    assert (ended.code, ended.stdout, ended.output) == (0, "a\n", "a")
    (tasks.library / "verbs.nu").write_text(
        "export def save [] { 'saved' }\nexport def peek [] { ^echo looked }", "utf-8"
    )
    assert tasks.call("verbs.nu", "save").output == "saved"
    assert tasks.call("verbs.nu", "peek").output == "looked"


# --- success: false ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{success: false, error: "quota exceeded"}', "quota exceeded"),
        ("{success: false}", "it returned success: false"),
        ('{success: false, error: "", message: "busy"}', "busy"),
        ("{success: false, error: null}", "it returned success: false"),
        ("{success: false, error: {code: 7}}", '{"code":7}'),
    ],
)
def test_call_that_returns_no_success_fails(
    tasks: Tasks, value: str, said: str
) -> None:
    file = tasks.library / "outcome.nu"
    file.write_text(f"export def main [] {{ {value} }}", encoding="utf-8")
    ended = tasks.call("outcome.nu", "main")
    assert ended.code == 1
    assert error_summary(ended.stderr.splitlines())[0] == said
    assert ended.output["success"] is False
    unchecked = tasks.call("outcome.nu", "main", check_success=False)
    assert (unchecked.code, unchecked.stderr) == (0, "")
    assert unchecked.output == ended.output
    script = tasks.script(value)
    assert (script.code, script.output) == (0, ended.output)


@pytest.mark.parametrize(
    "value",
    [
        "{success: true, error: 'none'}",
        "{success: 'false'}",
        "{success: 0}",
        "{success: null}",
        "[{success: false}]",
        "[[success]; [false]]",
        "{result: {success: false}}",
        "false",
    ],
)
def test_call_that_returns_any_other_value_succeeds(tasks: Tasks, value: str) -> None:
    file = tasks.library / "outcome.nu"
    file.write_text(f"export def main [] {{ {value} }}", encoding="utf-8")
    ended = tasks.call("outcome.nu", "main")
    assert (ended.code, ended.stderr, ended.returned) == (0, "", True)


def test_value_that_is_not_json_fails_the_task(tasks: Tasks) -> None:
    ended = tasks.script("{code: {|| 1}}")
    assert ended.code == 1
    assert not ended.returned
    assert "the returned value cannot be converted to JSON: closures" in ended.stderr
    assert "display_output" not in ended.stderr


def test_unwritable_output_fails_the_task(tasks: Tasks) -> None:
    assert tasks.script("$env.PROVCTL_OUTPUT_FILE = '/nowhere/x'\n1").code == 1


# --- how a task fails --------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "stderr"),
    [
        ("print 1\nerror make {msg: 'no quota'}", 1, "no quota"),
        ("exit 3", 3, ""),
        ("^sh -c 'exit 4'", 4, ""),
        ("^sh -c 'exit 5'\nprint unreached", 5, ""),
        ("[1] | each {|x| error make {msg: 'lazy'} }", 1, "lazy"),
        ("let x = (", 1, "1.1 [*].in:1:"),
        ("1\n2\nno-such-program", 1, "1.1 [*].in:3:1]"),
        ("$args.missing", 1, "1.1 [*].in:1:"),
        ("use nowhere.nu", 1, "1.1 [*].in:1:5]"),
    ],
)
def test_script_fails_with_its_own_exit_code_and_line(
    tasks: Tasks, text: str, code: int, stderr: str
) -> None:
    ended = tasks.script(text)
    assert ended.code == code
    assert stderr in ended.stderr
    assert "PROVCTL_INPUT" not in ended.stderr
    assert not ended.returned
    assert "unreached" not in ended.stdout


def test_parse_error_stops_a_script_before_it_starts(tasks: Tasks) -> None:
    assert tasks.script("print begun\nlet x = (").stdout == ""


# --- calls -------------------------------------------------------------------------


def test_call_passes_arguments_and_flags(tasks: Tasks) -> None:
    ended = tasks.call(
        "servers/create.nu", "create-server", "web-1", zone="x", yes=True
    )
    assert (ended.code, ended.stdout) == (0, "creating web-1\n")
    assert ended.output == {
        "name": "web-1",
        "zone": "x",
        "yes": True,
        "by": "local",
        "others": ["web-1"],
    }


def test_null_flag_is_not_passed(tasks: Tasks) -> None:
    ended = tasks.call("servers/create.nu", "create-server", "a", zone=None, yes=False)
    assert (ended.output["zone"], ended.output["yes"]) == ("es-mad1", False)


def test_main_command_of_a_module_can_be_called(tasks: Tasks) -> None:
    assert tasks.call("tool.nu", "main", 41).output == 42


def test_module_may_use_the_standard_library(tasks: Tasks) -> None:
    ended = tasks.call("logs.nu", "say")
    assert ended.output == 1
    assert "careful" in ended.stderr


@pytest.mark.parametrize(
    ("command", "args", "flags", "stderr"),
    [
        ("create-server", (), {}, "required positional argument"),
        ("create-server", ({"a": 1},), {}, "convert to string"),
        ("create-server", ("a",), {"colour": "red"}, "doesn't have flag `colour`"),
        ("no-such-command", (), {}, "Export not found"),
        # A program or a built-in of that name is never run in its place.
        ("rm", ("canary",), {}, "Export not found"),
        ("touch", ("canary",), {}, "Export not found"),
    ],
)
def test_wrong_call_shows_the_error_of_nushell(
    tasks: Tasks, command: str, args: Tuple[Any, ...], flags: Any, stderr: str
) -> None:
    ended = tasks.call("servers/create.nu", command, *args, **flags)
    assert ended.code == 1
    assert stderr in ended.stderr
    assert "PROVCTL_INPUT" not in ended.stderr
    assert not (tasks.folder / "canary").exists()


# --- values are data ---------------------------------------------------------------

HOSTILE = st.sampled_from(
    [
        "'; touch canary; '",
        '"; touch canary; "',
        "$(touch canary)",
        "(touch canary)",
        '$"(^touch canary)"',
        "`touch canary`",
        "| touch canary",
        "a\n^touch canary\n",
        "a\r\nb",
        "--zone=x",
        "--help",
        "-h",
        "--",
        "...[1 2]",
        "null",
        "true",
        "1kb",
        "2sec",
        "2020-01-01",
        "0x[ff]",
        "$env",
        "$args",
        "$in",
        "{a: 1}",
        "[1]",
        "{|| 1}",
        "~",
        "*",
        "#",
        "r#'x'#",
        "\\",
        "\\u{41}",
        "%s%n",
        "NaN",
        "",
        " ",
        "\0",
        "\x1b[31m",
        "\x7f\x85\u2028\ufeff\ufffe",
        "é\u0301",
        "\U0001f469\u200d\U0001f469\u200d\U0001f467",
        "\u202e",
    ]
)
TEXT = HOSTILE | st.text() | st.lists(HOSTILE, max_size=3).map("".join)
SCALAR = (
    TEXT
    | st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=10
)
BATCHES = settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@BATCHES
@given(values=st.lists(VALUE, min_size=20, max_size=60))
def test_script_gets_values_unchanged(tasks: Tasks, values: Any) -> None:
    ended = tasks.script("$args.values", {"values": values})
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    assert ended.output == values
    assert not (tasks.folder / "canary").exists()


@BATCHES
@given(values=st.lists(TEXT, min_size=10, max_size=40), flag=TEXT)
def test_call_gets_values_unchanged(tasks: Tasks, values: Any, flag: str) -> None:
    ended = tasks.call("servers/create.nu", "echo-all", *values, flag=flag)
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    assert ended.output == {"values": values, "flag": flag}
    assert not (tasks.folder / "canary").exists()


@pytest.mark.parametrize("size", [1, 90 * 1024, 98 * 1024, 5 * 1024 * 1024])
def test_values_of_any_size_arrive(tasks: Tasks, size: int) -> None:
    value = "é" * (size // 6)  # six bytes each as JSON
    assert tasks.script("$args.v | str length --chars", {"v": value}).output == len(
        value
    )
    assert tasks.call("servers/create.nu", "echo-all", value).output["values"] == [
        value
    ]


def test_script_with_large_values_runs_normally(tasks: Tasks) -> None:
    ended = tasks.script("print $env.GREETING\nreturn 1 # é\n", {"v": "x" * 100_000})
    assert (ended.stdout, ended.output) == ("hi\n", 1)
    failed = tasks.script("no-such-program", {"v": "x" * 100_000})
    assert failed.code == 1
    assert "PROVCTL_INPUT" not in failed.stderr


def test_long_script_runs(tasks: Tasks) -> None:
    assert tasks.script("# é" + "x" * 300_000 + "\n1").output == 1


HOSTILE_MODULES = st.lists(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"))
    | HOSTILE.filter(lambda text: "/" not in text and "\0" not in text),
    min_size=1,
    max_size=3,
).map("".join)


@BATCHES
@given(name=HOSTILE_MODULES)
@example(name="\x1f")
def test_module_path_is_a_literal_whatever_its_name(tasks: Tasks, name: str) -> None:
    assume(len(name.encode()) < 200)
    if not is_module(f"m{name}.nu"):
        with pytest.raises(UsageError):
            tasks.call(f"m{name}.nu", "one")
        return
    file = tasks.library / f"m{name}.nu"
    file.write_text("export def one [] { 1 }", encoding="utf-8")
    ended = tasks.call(file.name, "one")
    assert (ended.code, ended.stderr, ended.output) == (0, "", 1)
    assert not (tasks.folder / "canary").exists()


def test_task_starts_without_running_tput(tasks: Tasks, tmp_path: Path) -> None:
    spy, ran = tmp_path / "tput", tmp_path / "ran"
    spy.write_text(f"#!/bin/sh\ntouch {ran}\n", encoding="utf-8")
    spy.chmod(0o755)
    env = {**tasks.env, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert tasks.script("^true", env=env).code == 0
    assert not ran.exists()
    # The control: a plain start does run it.
    plain = [tasks.nu, "-n", "--no-std-lib", "-c", "1"]
    subprocess.run(
        plain, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    assert ran.exists()
