"""`provctl doctor` on the real machine and on machines where something is missing."""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Callable, Dict, Optional

import pytest
from click.testing import CliRunner, Result

from provctl.cli.doctor.command import doctor
from provctl.cli.session import Session

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]

NICKEL = "#!/bin/sh\necho nickel-lang-cli nickel 1.18.0\n"
REAL_PATH = os.environ.get("PATH", "")


def program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH with real Nushell and a Nickel that prints its version."""
    nu = shutil.which("nu", path=REAL_PATH)
    assert nu, "Nushell is needed on PATH by this test"
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "nu").symlink_to(nu)
    program(folder / "nickel", NICKEL)
    return folder


@pytest.fixture
def run(tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "etc"))

    def runner(
        config: Optional[str] = None, output: str = "json", flag: str = ""
    ) -> Result:
        file = tmp_path / "config.toml"
        if config is not None:
            file.write_text(config, encoding="utf-8")
        session = Session(
            output=output,
            environ={"PATH": str(tools)},
            config_file=None if config is None else str(file),
        )
        return CliRunner().invoke(doctor, flag.split(), obj=session)

    return runner


@pytest.fixture
def bare_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the installed packages, except those already imported."""
    import_module("psutil")  # the check of the state directory goes on with it
    path = [folder for folder in sys.path if "site-packages" not in folder]
    monkeypatch.setattr(sys, "path", path)


def failed(result: Result) -> Dict[str, str]:
    records = json.loads(result.stdout)
    return {r["check"]: r["detail"] for r in records if not r["ok"]}


def advice(result: Result, check: str) -> str:
    records = json.loads(result.stdout)
    return str(next(r["advice"] for r in records if r["check"] == check))


def test_doctor_passes_on_a_complete_machine(run: Run) -> None:
    result = run()
    assert failed(result) == {}
    assert result.exit_code == 0


def test_every_check_prints_a_line_with_a_mark(run: Run) -> None:
    lines = run(output="table").stdout.splitlines()
    assert [line[:3] for line in lines] == ["✓  "] * 18
    assert lines[2].startswith("✓  nushell          0.")


def test_marks_are_words_without_unicode(tools: Path, tmp_path: Path) -> None:
    session = Session(environ={"PATH": str(tools), "PROVCTL_STATE_DIR": str(tmp_path)})
    result = CliRunner(charset="ascii").invoke(doctor, [], obj=session)
    assert {line[:3] for line in result.stdout.splitlines()} == {"ok "}


def test_programs_that_know_secrets_are_named(run: Run, tools: Path) -> None:
    def told() -> str:
        records = json.loads(run().stdout)
        return str(next(r["detail"] for r in records if r["check"] == "secrets"))

    assert told().startswith("no sops, no age, ")
    program(tools / "age", "#!/bin/sh\n")
    assert told().startswith(f"no sops, age ({tools / 'age'}), ")


def test_missing_nushell_is_reported(run: Run, tools: Path) -> None:
    (tools / "nu").unlink()
    result = run()
    assert list(failed(result)) == ["nushell"]
    assert "provctl doctor --fix" in advice(result, "nushell")
    assert result.exit_code == 52


def test_fix_installs_nushell(
    run: Run, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = (tools / "nu").resolve()
    (tools / "nu").unlink()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    program(
        tools / "npm",
        f"""#!{shutil.which("sh")}
PATH={REAL_PATH}
while [ "$1" != --prefix ]; do shift; done
mkdir -p "$2/node_modules/@nushell/{real.parents[1].name}/bin"
ln "{real}" "$2/node_modules/@nushell/{real.parents[1].name}/bin/nu" 2>/dev/null ||
    cp "{real}" "$2/node_modules/@nushell/{real.parents[1].name}/bin/nu"
""",
    )
    own = tmp_path / "data/provctl/bin/nu"
    assert list(failed(run(f"nushell.binary = '{tmp_path}/gone'", flag="--fix")))
    assert not own.exists()  # who names a program means that one
    result = run(flag="--fix")
    assert failed(result) == {}
    assert result.exit_code == 0
    assert "installing Nushell" in result.stderr
    assert str(own) in result.stdout
    (tools / "npm").unlink()
    again = run(flag="--fix")
    assert again.exit_code == 0
    assert again.stderr == ""
    (tools / "nu").symlink_to(real)
    assert str(own) not in run().stdout


def test_fix_reports_that_nushell_cannot_be_installed(
    run: Run, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tools / "nu").unlink()
    result = run(flag="--fix")
    assert "npm, which could install it, is not installed" in failed(result)["nushell"]
    assert result.stderr == ""
    assert result.exit_code == 52


def test_failed_check_is_followed_by_advice(run: Run, tools: Path) -> None:
    (tools / "nu").unlink()
    lines = run(output="table").stdout.splitlines()
    assert lines[2].startswith("✗  nushell          ")
    assert lines[3].startswith(" " * 20 + "install it from npm: provctl doctor --fix")


def test_old_nushell_is_reported(run: Run, tools: Path) -> None:
    (tools / "nu").unlink()
    program(tools / "nu", "#!/bin/sh\n[ $1 = --version ] && echo 0.80.0\n:\n")
    result = run()
    assert "too old" in failed(result)["nushell"]
    assert result.exit_code == 52


def test_nushell_behind_a_script_is_found(run: Run, tools: Path) -> None:
    real = (tools / "nu").resolve()
    (tools / "nu").unlink()
    program(tools / "nu", f'#!/bin/sh\nexec "{real}" "$@"\n')
    result = run()
    assert failed(result) == {}
    records = {r["check"]: r["detail"] for r in json.loads(result.stdout)}
    assert f"({real}, which the script {tools / 'nu'} starts)" in records["nushell"]


@pytest.mark.usefixtures("bare_python")
def test_nickel_program_is_accepted_without_the_packages(run: Run, tools: Path) -> None:
    records = {r["check"]: r["detail"] for r in json.loads(run().stdout)}
    assert records["nickel"] == f"nickel-lang-cli nickel 1.18.0 ({tools / 'nickel'})"


@pytest.mark.usefixtures("bare_python")
def test_missing_nickel_is_reported(run: Run, tools: Path) -> None:
    (tools / "nickel").unlink()
    result = run()
    assert (
        "neither the package py-nickel nor the program nickel"
        in (failed(result)["nickel"])
    )
    assert "pip install py-nickel" in advice(result, "nickel")
    assert result.exit_code == 52


@pytest.mark.usefixtures("bare_python")
def test_broken_nickel_is_reported(run: Run, tools: Path) -> None:
    program(tools / "nickel", "#!/bin/sh\nexit 3\n")
    result = run()
    assert "cannot run" in failed(result)["nickel"]
    assert result.exit_code == 52


def test_state_directory_open_to_others_is_reported(run: Run, tmp_path: Path) -> None:
    state = tmp_path / "open"
    state.mkdir()
    state.chmod(0o777)
    result = run(f'[storage]\ndata_dir = "{state}"\n')
    assert list(failed(result)) == ["state directory"]
    assert advice(result, "state directory") == f"chmod 700 {state}"
    assert result.exit_code == 32


def test_broken_configuration_does_not_hide_other_problems(
    run: Run, tools: Path
) -> None:
    (tools / "nu").unlink()
    result = run("[sever]\n")
    assert list(failed(result)) == ["configuration", "nushell"]
    assert advice(result, "configuration") == "did you mean server?"
    assert result.exit_code == 2


def test_configured_library_must_exist(run: Run, tmp_path: Path) -> None:
    result = run('[nushell]\nprovisioning_lib = "lib"\n')
    assert "is not a readable folder" in failed(result)["library"]
    assert result.exit_code == 2
    (tmp_path / "lib").mkdir()
    assert failed(run('[nushell]\nprovisioning_lib = "lib"\n')) == {}


def test_clock_that_was_set_back_is_reported(run: Run, tmp_path: Path) -> None:
    state = tmp_path / "ahead"
    (state / "runs").mkdir(parents=True)
    state.chmod(0o700)
    later = 4_000_000_000
    os.utime(state / "runs", (later, later))
    result = run(f'[storage]\ndata_dir = "{state}"\n')
    assert "the clock was set back" in failed(result)["clock"]
    assert result.exit_code == 32
