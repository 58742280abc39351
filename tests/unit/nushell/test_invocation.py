"""The command line that starts `nu`, without starting it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence

import pytest

from provctl.core.model.workflow import NushellCall
from provctl.errors import MissingTool, UsageError
from provctl.nushell.invocation import (
    Invocation,
    NushellConfig,
    call_invocation,
    script_invocation,
)
from provctl.nushell.library.scan import SHIPPED

if TYPE_CHECKING:
    from pathlib import Path

IN, OUT = "/state/1.1.in", "/state/1.1.out"
LARGE = "x" * (100 * 1024)

Invoke = Callable[..., Invocation]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "servers.nu").write_text("export def create [] { }", encoding="utf-8")
    return tmp_path


@pytest.fixture
def call(library: Path) -> Invoke:
    def invoke(
        command: str = "create",
        args: Sequence[Any] = (),
        flags: Mapping[str, Any] = {},
        env: Mapping[str, str] = {"PATH": "/bin"},
        module: str = "servers.nu",
    ) -> Invocation:
        return call_invocation(
            NushellConfig(nu="/bin/nu", library=str(library)),
            NushellCall(module, command, tuple(args), flags),
            env=env,
            input_path=IN,
            output_path=OUT,
        )

    return invoke


@pytest.fixture
def script(library: Path) -> Invoke:
    def invoke(text: str, args: Mapping[str, Any] = {}) -> Invocation:
        return script_invocation(
            NushellConfig(nu="/bin/nu", library=str(library)),
            text=text,
            args=args,
            env={"PATH": "/bin"},
            input_path=IN,
            output_path=OUT,
        )

    return invoke


def test_call_refers_to_its_values_by_position(call: Invoke, library: Path) -> None:
    invocation = call(args=["a", None], flags={"dry-run": True, "zone": None})
    *start, text = invocation.argv
    assert start == ["/bin/nu", "--no-config-file", "--no-std-lib", "--commands"]
    lines = text.splitlines()
    at = lines.index(f'use "{library}/servers.nu" "create";')
    called = "create $call.args.0 $call.args.1 --dry-run=$call.flags.dry-run"
    assert lines[at + 1 : at + 3] == [called, ""]
    assert json.loads(invocation.env["PROVCTL_INPUT"])["given"] == {
        "args": ["a", None],
        "flags": {"dry-run": True},
    }
    assert invocation.input is None


def test_main_is_called_by_the_name_of_its_module(call: Invoke) -> None:
    text = call(command="main", args=[1]).argv[-1]
    assert "servers $call.args.0" in text.splitlines()


def test_no_value_is_in_the_argument_list(call: Invoke, script: Invoke) -> None:
    secret = "hunter2"
    for invocation in (
        call(args=[secret], flags={"a": secret}, env={"PATH": "/bin", "KEY": secret}),
        script("$args", {"a": secret}),
        script(f"'{secret}'"),
    ):
        assert not any(secret in argument for argument in invocation.argv)


def test_path_is_empty_until_the_driver_restores_it(call: Invoke) -> None:
    env = call(env={"PATH": "/opt/bin:/bin", "LANG": "C"}).env
    assert env["PATH"] == "/dev/null"
    assert json.loads(env["PROVCTL_INPUT"])["path"] == ["/opt/bin", "/bin"]
    assert env["LANG"] == "C"
    assert env["PROVCTL_OUTPUT_FILE"] == OUT
    assert json.loads(call(env={}).env["PROVCTL_INPUT"])["path"]


def test_standard_library_is_loaded_only_if_it_may_be_used(
    call: Invoke, script: Invoke, library: Path
) -> None:
    assert "--no-std-lib" in script("1").argv
    assert "--no-std-lib" not in script("use std/log").argv
    (library / "servers.nu").write_text("use std/log", encoding="utf-8")
    assert "--no-std-lib" not in call().argv


def test_script_is_read_from_its_own_file(script: Invoke) -> None:
    invocation = script("print 'é'", {"a": 1})
    assert invocation.input == "print 'é'".encode()
    assert f'source "{IN}"' in invocation.argv[-1].splitlines()
    assert json.loads(invocation.env["PROVCTL_INPUT"])["given"] == {"a": 1}
    assert "PROVCTL_INPUT_FILE" not in invocation.env


def test_large_values_are_put_into_the_input_file(call: Invoke, script: Invoke) -> None:
    invocation = call(args=[LARGE])
    assert json.loads(invocation.input or b"")["given"]["args"] == [LARGE]
    assert invocation.env["PROVCTL_INPUT_FILE"] == IN
    assert "PROVCTL_INPUT" not in invocation.env
    invocation = script("print 1", {"a": LARGE})
    # They follow the script, where no error message that names it shows them.
    source, comment = (invocation.input or b"").split(b"\n\n\n# ")
    assert source == b"print 1"
    assert json.loads(comment)["given"] == {"a": LARGE}
    assert f'source "{IN}"' in invocation.argv[-1].splitlines()
    assert LARGE not in invocation.argv[-1]


def test_invalid_invocation_is_refused(call: Invoke, script: Invoke) -> None:
    attempts: Sequence[Callable[[], Invocation]] = (
        lambda: call(command="create; rm"),
        lambda: call(module="../servers.nu"),
        lambda: call(flags={"a=1 --b": 1}),
        lambda: call(args=[float("nan")]),
        lambda: call(flags={"n": 2**64}),
        lambda: call(env={"PATH": "/bin", "NAME": "\udcff"}),
        lambda: script("1 \ud800"),
        lambda: script("1", {"a": "\ud800"}),
    )
    for attempt in attempts:
        with pytest.raises(UsageError):
            attempt()


def test_dependencies_are_passed_only_to_scripts_that_can_ask_for_them(
    library: Path,
) -> None:
    asked = []

    def needs() -> Mapping[str, Any]:
        asked.append(1)
        return {"server": {"ip": "10.0.0.1"}}

    def invoke(text: str) -> Invocation:
        return script_invocation(
            NushellConfig(nu="/bin/nu", library=str(library)),
            text=text,
            args={},
            needs=needs,
            env={"PATH": "/bin"},
            input_path=IN,
            output_path=OUT,
        )

    plain = invoke("1")
    assert not asked
    assert "needs" not in json.loads(plain.env["PROVCTL_INPUT"])
    assert "PROVCTL_NEEDS" not in plain.argv[-1]
    told = invoke("use provctl.nu")
    payload = json.loads(told.env["PROVCTL_INPUT"])
    assert payload["needs"] == {"server": {"ip": "10.0.0.1"}}
    assert "$env.PROVCTL_NEEDS = $args.needs" in told.argv[-1].splitlines()


def test_shipped_modules_come_after_the_library(script: Invoke, library: Path) -> None:
    invocation = script("1")
    assert invocation.env["NU_LIB_DIRS"] == f"{library}:{SHIPPED}"
    assert f'const NU_LIB_DIRS = ["{library}" "{SHIPPED}"]' in invocation.argv[-1]
    assert "use " not in invocation.argv[-1]


def test_plugins_are_passed_on_and_must_exist(library: Path, tmp_path: Path) -> None:
    plugin = tmp_path / 'nu_plugin_"x"'
    setting = NushellConfig(nu="/bin/nu", library=str(library), plugins=(str(plugin),))
    how: Any = {"env": {"PATH": "/bin"}, "input_path": IN, "output_path": OUT}
    with pytest.raises(MissingTool, match="plugin") as caught:
        script_invocation(setting, text="1", args={}, **how)
    assert caught.value.hint == "correct nushell.plugins"
    plugin.touch(mode=0o700)
    invocation = script_invocation(setting, text="1", args={}, **how)
    at = invocation.argv.index("--plugins")
    assert invocation.argv[at + 1] == f'["{tmp_path}/nu_plugin_\\"x\\""]'
    assert invocation.env["PATH"] == "/bin"  # where a plugin finds what it needs
