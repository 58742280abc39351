"""`./install.sh` on a machine without provctl, as an ordinary user."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from tests.support.attempts import wait_until
from tests.support.fresh_machine import (
    PROGRAMS,
    FreshMachine,
    check_namespaces,
    python_there,
)
from tests.support.installed import ROOT

# A single file, as far as the script sees it. `doctor` ends as the home says.
FILE = """#!/bin/sh
case $1 in
    --version) echo provctl VERSION; [ ! -e "$HOME/slow" ] || exec sleep 600 ;;
    completion) echo "# _PROVCTL_COMPLETE of ${0##*/} for $2" ;;
    doctor) [ ! -e "$HOME/doctor" ] || { cat "$HOME/doctor"; exit 52; } ;;
    *) echo "did: $*" ;;
esac
"""
LINKS = (".local/bin/provctl", ".local/bin/provisioning-orchestrator")


@pytest.fixture
def machine(tmp_path: Path) -> FreshMachine:
    check_namespaces()
    machine = FreshMachine(tmp_path / "files")
    return ready(machine)


def ready(machine: FreshMachine) -> FreshMachine:
    checkout = machine.files / "checkout"
    shutil.copy(ROOT / "install.sh", checkout)
    shutil.copytree(ROOT / "examples", checkout / "examples")
    put_file(machine, "1.0")
    return machine


def put_file(machine: FreshMachine, version: str) -> None:
    machine.put(
        machine.files / "checkout" / "provctl", FILE.replace("VERSION", version)
    )


def environments(machine: FreshMachine) -> int:
    return len(list(machine.data.glob("env.*")))


# --- from the checkout, with all that it gets ------------------------------------------


def test_first_command_of_the_readme_installs_provctl(tmp_path: Path) -> None:
    check_namespaces()
    machine = FreshMachine(tmp_path / "files")
    python_there(machine)
    check_indexes(tmp_path)
    checkout = machine.files / "checkout"
    for name in ("provctl", "examples"):
        shutil.copytree(ROOT / name, checkout / name)
    for name in ("install.sh", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```sh\n(.*?)\n", readme, re.MULTILINE)
    assert block is not None
    before = sorted(checkout.rglob("*"))
    done = machine("sh", "-c", block[1], within_s=600)
    assert done.code == 0, done.out
    *_, run, path = done.out.splitlines()
    assert run.endswith(": 7 succeeded"), done.out
    assert path.endswith('export PATH="$HOME/.local/bin:$PATH"'), done.out
    assert "warn" not in done.out.lower(), done.out
    assert sorted(checkout.rglob("*")) == before
    state = machine.home / ".local/state"
    assert len(list((state / "provisioning/servers").iterdir())) == 5
    nu = machine.data / "bin" / "nu"
    assert nu.stat().st_size > 1_000_000
    link = "/mnt/a home/.local/bin/provctl"
    doctor = machine(link, "doctor")
    assert "/mnt/a home/.local/share/provctl/bin/nu" in doctor.out
    assert doctor.code == 0, doctor.out
    runs = {path for path in machine.listing() if path.startswith(".local/state")}
    assert machine("./install.sh", "--uninstall").code == 0
    assert not machine.data.exists()
    assert runs <= {*machine.listing()}


def check_indexes(folder: Path) -> None:
    """Skip the test if npm is missing, or if no package index answers."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not here, and is no package of Python's")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d"]
    asked = [*pip, str(folder / "asked"), "click"]
    if subprocess.run(asked, capture_output=True).returncode:
        pytest.skip("no index of Python packages answers")


# --- what it makes, from a file that stands for provctl -----------------------------------


def test_metadata_names_the_licence(tmp_path: Path) -> None:
    """`pip show` prints this metadata; the installed setuptools builds it."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(str(ROOT / name), str(tmp_path))
    (tmp_path / "provctl").mkdir()
    build = "from setuptools import build_meta as b; b.prepare_metadata_for_build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=str(tmp_path), check=True)
    (metadata,) = tmp_path.glob("*.dist-info/METADATA")
    lines = metadata.read_text(encoding="utf-8").splitlines()
    assert "License: MIT" in lines
    assert (tmp_path / "LICENSE").read_text().startswith("MIT License\n")


def test_install_makes_links_and_completion_and_prints_the_path_line(
    machine: FreshMachine,
) -> None:
    done = machine("./install.sh", "provctl")
    assert done.code == 0, done.out
    assert done.out.splitlines() == [
        "installed: provctl 1.0, as /mnt/a home/.local/bin/provctl",
        "$ provctl run examples/multi-cloud-deployment.ncl",
        "did: workflow run examples/multi-cloud-deployment.ncl",
        "provctl is not on PATH yet. Run this line, and add it to ~/.profile:"
        '  export PATH="$HOME/.local/bin:$PATH"',
    ]
    assert {*LINKS} <= {*machine.listing()}
    assert done.local == "total 0\n"
    bin = "/mnt/a home/.local/bin"
    words = ("./install.sh", "--no-example", "provctl")
    again = machine(*words, path=f"{bin}:{PROGRAMS}")
    assert again.code == 0
    assert "PATH" not in again.out
    assert "did:" not in again.out
    machine.put(machine.programs / "provctl", FILE)
    again = machine(*words, path=f"{PROGRAMS}:{bin}")
    assert "there is another provctl first: /mnt/programs/provctl" in again.out


def test_root_installs_commands_for_all_users(tmp_path: Path) -> None:
    check_namespaces()
    machine = ready(FreshMachine(tmp_path / "files", root=True))
    done = machine("./install.sh", "--provisioning", "provctl")
    assert done.code == 0, done.out
    data = "/mnt/a home/.local/share/provctl/current/bin"
    for name in ("provctl", "provisioning-orchestrator"):
        assert f"{name} -> {data}/{name}\n" in done.local
    assert f" provisioning -> {data}/provctl\n" in done.local
    assert not (machine.home / ".local/bin").exists()


def test_second_install_upgrades(machine: FreshMachine) -> None:
    machine("./install.sh", "--provisioning", "provctl")
    put_file(machine, "2.0")
    done = machine("./install.sh", "provctl")
    assert "installed: provctl 2.0" in done.out
    for name in ("provctl", "provisioning"):
        done = machine(f"/mnt/a home/.local/bin/{name}", "--version")
        assert done.out == "provctl 2.0\n"
    assert environments(machine) == 1


def test_install_adds_completion_for_the_name_of_the_platform(
    machine: FreshMachine,
) -> None:
    machine("./install.sh", "provctl")
    assert not [path for path in machine.listing() if path[-12:] == "provisioning"]
    machine("./install.sh", "--provisioning", "provctl")
    file = machine.home / ".local/share/bash-completion/completions/provisioning"
    assert file.read_text() == "# _PROVCTL_COMPLETE of provisioning for bash\n"


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_interrupted_install_changes_nothing(
    machine: FreshMachine, signum: signal.Signals
) -> None:
    machine("./install.sh", "provctl")
    (machine.home / "slow").touch()
    put_file(machine, "2.0")
    with subprocess.Popen(
        machine.command("./install.sh", "provctl"),
        env=machine.variables(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        wait_until(lambda: environments(machine) == 2, "a second environment")
        wait_until(
            lambda: b"sleep\x00600" in _commands_of(process.pid), "it is looked at"
        )
        os.killpg(process.pid, signum)
    (machine.home / "slow").unlink()
    done = machine("/mnt/a home/.local/bin/provctl", "--version")
    assert done.out == "provctl 1.0\n"
    assert environments(machine) == (2 if signum == signal.SIGKILL else 1)
    done = machine("./install.sh", "provctl")
    assert "installed: provctl 2.0" in done.out
    assert environments(machine) == 1


def _commands_of(group: int) -> bytes:
    """The command lines of all processes of a group."""
    found = b""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(path.name)) == group:
                found += (path / "cmdline").read_bytes()
        except OSError:
            continue
    return found


def test_upgrade_keeps_an_installation_that_still_runs(machine: FreshMachine) -> None:
    machine("./install.sh", "provctl")
    (environment,) = machine.data.glob("env.*")
    # In the namespace of another one: what runs is seen by its command line.
    command = ["sh", "-c", "read line", f"/mnt/x/{environment.name}/bin/provctl"]
    seen = f"/mnt/a home/.local/share/provctl/{environment.name}/bin/provctl"
    command[-1] = seen
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        put_file(machine, "2.0")
        done = machine("./install.sh", "provctl")
        assert "the earlier version still runs" in done.out
        assert environment.exists()
        refused = machine("./install.sh", "--uninstall")
        assert refused.code == 1
        assert refused.out.startswith("error: provctl still runs from")
        assert {*LINKS} <= {*machine.listing()}
        process.communicate(b"\n", timeout=60)
    machine("./install.sh", "provctl")
    assert environments(machine) == 1
    assert not environment.exists()


def test_uninstall_removes_only_what_install_made(machine: FreshMachine) -> None:
    kept = [".local/state/provctl/runs/x", ".local/share/provctl/mine", ".bashrc"]
    for name in kept:
        (machine.home / name).parent.mkdir(parents=True, exist_ok=True)
        (machine.home / name).write_text("mine")
    machine.own(machine.home)
    machine("./install.sh", "--provisioning", "provctl")
    assert len(machine.listing()) > len(kept) + 5
    link = machine.home / ".local/bin/provctl"
    link.unlink()
    link.write_text("somebody else's")
    done = machine("./install.sh", "--uninstall")
    assert done.code == 0
    assert machine.listing() == sorted([*kept, ".local/bin/provctl"])
    assert link.read_text() == "somebody else's"


@pytest.mark.parametrize("kind", ["file", "link", "folder", "dangling link"])
def test_install_does_not_overwrite_foreign_files(
    machine: FreshMachine, kind: str
) -> None:
    place = machine.home / ".local/bin/provctl"
    place.parent.mkdir(parents=True)
    if kind == "file":
        place.write_text("mine")
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to("/bin/sh" if kind == "link" else "/nowhere")
    machine.own(machine.home)
    before = machine.listing()
    done = machine("./install.sh", "provctl")
    assert done.code == 1
    assert done.out.splitlines() == [
        "error: /mnt/a home/.local/bin/provctl is there,"
        " and this script has not made it",
        "help:  move it away, then run this again",
    ]
    assert machine.listing() == before


# --- what cannot be had --------------------------------------------------------------


def test_install_skips_the_example_without_nushell(machine: FreshMachine) -> None:
    (machine.home / "doctor").write_text("x  nushell  no npm\n")
    done = machine("./install.sh", "provctl")
    assert done.code == 1
    assert "x  nushell  no npm\n" in done.out
    assert done.out.splitlines()[-2:] == [
        "error: provctl is installed, but the example needs what is missing above",
        "help:  install what is missing and run this again; command tasks need no Nushell",
    ]
    assert "did:" not in done.out
    assert machine("/mnt/a home/.local/bin/provctl", "--version").code == 0


@pytest.mark.parametrize(
    ("judged", "error", "advice"),
    [
        ("bare", "without its module venv", "apt-get install python3-venv"),
        ("old", "older than 3.8", "install a newer Python, or uv"),
        ("", "Python not found", "install Python 3.11 to 3.13, or uv"),
    ],
)
def test_install_refuses_an_unsuitable_python(
    machine: FreshMachine, judged: str, error: str, advice: str
) -> None:
    checkout = machine.files / "checkout"
    (checkout / "provctl").unlink()
    (checkout / "provctl").mkdir()
    (checkout / "pyproject.toml").touch()
    for python in ("python", "python3", *(f"python3.{n}" for n in range(8, 14))):
        machine.put(machine.programs / python, "#!/bin/sh\nexit 1\n")
    if judged:
        machine.put(machine.programs / "python3.9", f"#!/bin/sh\necho {judged}\n")
    done = machine("./install.sh")
    assert done.code == 1
    first, second = done.out.splitlines()
    assert first.startswith("error: ")
    assert error in first
    assert advice in second
    assert machine.listing() == []


def test_install_refuses_an_unwritable_home(machine: FreshMachine) -> None:
    (machine.home / ".local").write_text("a file")
    done = machine("./install.sh", "provctl")
    assert done.code == 1
    assert done.out.startswith("error: cannot write into /mnt/a home/.local/share")
    assert len(done.out.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--fast"], "unknown option --fast"),
        (["gone.whl"], "file gone.whl not found"),
        ([], "/mnt/checkout is not a checkout of provctl"),
    ],
)
def test_wrong_usage_changes_nothing(
    machine: FreshMachine, words: List[str], error: str
) -> None:
    done = machine("./install.sh", *words)
    assert done.code == 1
    assert done.out.splitlines()[0] == f"error: {error}"
    assert machine.listing() == []
