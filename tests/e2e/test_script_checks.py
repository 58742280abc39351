"""`validate` and `plan` check scripts with Nushell; errors name lines of the file."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

NICKEL = """\
{
  tasks = {
    web = {
      args = { a = 1 },
      script = m%"
        print "hi"
        {SCRIPT}
        $args.a
      "%,
    },
    db = { command = ["{PROGRAM}", "x"] },
  },
}
"""


def nickel(provctl: Provctl, script: str, program: str = "true") -> Path:
    text = NICKEL.replace("{SCRIPT}", script).replace("{PROGRAM}", program)
    return provctl.text("w.ncl", text)


@pytest.fixture(autouse=True)
def own_cache(provctl: Provctl) -> None:
    provctl.environ["XDG_CACHE_HOME"] = str(provctl.folder / "cache")


@pytest.mark.parametrize("verb", ["validate", "plan"])
def test_syntax_error_in_a_script_is_reported_with_its_line(
    provctl: Provctl, verb: str
) -> None:
    file = nickel(provctl, "let x = 1 +")
    for _ in range(2):  # the second time from the cache
        done = provctl("workflow", verb, file, code=50)
        assert f"{file}:7:9: `web`: Incomplete math expression." in done.err
        assert "7 |         let x = 1 +\n" in done.err
        assert "1 error found" in done.err


@pytest.mark.parametrize("verb", ["validate", "plan"])
def test_unknown_command_in_a_script_is_a_warning(provctl: Provctl, verb: str) -> None:
    file = nickel(provctl, "no-such-thing --now", "no-such-program")
    for _ in range(2):
        done = provctl("workflow", verb, file)
        assert done.err.splitlines() == [
            f"warning: {file}: `db`: program `no-such-program` not found on PATH",
            f"warning: {file}:7: `web`: `no-such-thing` is neither a Nushell command nor a program on PATH",
        ]


def test_correct_workflow_prints_no_warning(provctl: Provctl) -> None:
    file = nickel(provctl, "use provctl.nu\n        provctl progress 1/2 'x'")
    assert provctl("workflow", "validate", file).err == ""


def test_scripts_of_undo_and_probe_are_checked(provctl: Provctl) -> None:
    tasks = {
        "a": {"command": ["true"], "undo": {"script": "1 +"}, "probe": {"script": "("}},
        "b": {"script": "1\n2\n$y\n"},
    }
    file = provctl.file(tasks)
    err = provctl("workflow", "validate", file, code=50).err
    assert "undo of `a`: Incomplete math expression" in err
    assert "probe of `a`: Unclosed delimiter" in err
    assert f"{file}: `b`: line 3 of the script: Variable not found" in err


def test_check_uses_the_path_set_by_the_task(provctl: Provctl) -> None:
    (provctl.folder / "bin").mkdir()
    tool = provctl.text("bin/my-tool", "#!/bin/sh\n")
    tool.chmod(0o755)
    path = f"{tool.parent}:/usr/bin:/bin"
    tasks = {
        "a": {"command": ["my-tool"], "env": {"PATH": path}},
        "b": {"script": "^my-tool", "env": {"PATH": path}},
    }
    assert provctl("workflow", "validate", provctl.file(tasks)).err == ""


def test_check_uses_the_nushell_installed_by_provctl(
    provctl: Provctl,
) -> None:
    nu = shutil.which("nu", path=provctl.environ["PATH"])
    assert nu is not None
    folder = provctl.folder / "data/provctl/bin"
    folder.mkdir(parents=True)
    (folder / "nu").symlink_to(nu)
    provctl.environ["XDG_DATA_HOME"] = str(provctl.folder / "data")
    provctl.environ["PATH"] = "/usr/bin:/bin"
    err = provctl("workflow", "validate", nickel(provctl, "let x = 1 +"), code=50).err
    assert "Incomplete math expression" in err


def test_broken_nushell_is_reported(provctl: Provctl) -> None:
    nu = provctl.text("nu", "\0")
    nu.chmod(0o755)
    provctl.text("config.toml", f'[nushell]\nbinary = "{nu}"\n')
    file = nickel(provctl, "1")
    err = provctl("--config", "config.toml", "workflow", "validate", file).err
    (line,) = err.splitlines()
    assert line.startswith(f"warning: {file}: its scripts were not checked: {nu} ")


def test_log_names_the_line_of_the_workflow_file(provctl: Provctl) -> None:
    file = nickel(provctl, "let x = $args.nothing")
    run = provctl.submit(file)
    provctl("wait", run, code=10)
    log = provctl("logs", run, "web").out
    assert f"[{file}:7:" in log
    assert "attempts" not in log
    assert f"({file}:7)" in provctl("explain", f"{run}/web").out


def test_log_names_the_line_of_the_script_if_the_file_line_is_unknown(
    provctl: Provctl,
) -> None:
    run = provctl.submit(provctl.file({"a": {"script": "1\n2\n$args.nothing\n"}}))
    provctl("wait", run, code=10)
    log = provctl("logs", run, "a").out
    assert "[script:3:" in log
    assert "attempts" not in log


def test_same_key_accepts_a_script_that_moved_to_another_line(provctl: Provctl) -> None:
    file = provctl.text("w.toml", 'tasks.a.script = """\nprint 1\n"""\n')
    run = provctl("submit", file, "--key", "k").last_word
    file.write_text("# moved\n\n" + file.read_text("utf-8"), encoding="utf-8")
    assert provctl("submit", file, "--key", "k").last_word == run
