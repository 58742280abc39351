"""What the README shows works as shown: every block of code in it is tried."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple

import pytest

from tests.support.installed import ROOT, Provctl

README = (ROOT / "README.md").read_text(encoding="utf-8")

# Slow enough for a whole session to happen while servers are being created.
SPEED = "4"

# What differs from one time to the next.
CHANGING = [
    (re.compile(r"\b[b-df-hj-np-tv-xz][b-df-hj-np-tv-xz2-9]{9}\b"), "RUN"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\bin [\d.]+s"), "in SECONDS"),
    (re.compile(r"\bprocess \d+"), "process ID"),
    (re.compile(r"\b\d+% [a-z].*"), ""),  # how far a task is, if it has said so yet
    (re.compile(r" +"), " "),
]


class Step(NamedTuple):
    """A command of a session, and the lines that the README shows it to print."""

    command: str
    shown: List[str]


def blocks(language: str) -> List[str]:
    """The blocks of code in one language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no block in {language}"
    return found


def steps(block: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield Step(command, [line for line in shown if line != "..."])


def steady(line: str) -> str:
    """A line without what differs from one time to the next."""
    for pattern, word in CHANGING:
        line = pattern.sub(word, line)
    return line.strip()


class Shell:
    """Runs lines in bash, in a checkout, with `programs` first on PATH."""

    def __init__(self, provctl: Provctl, programs: Path) -> None:
        self.checkout = provctl.folder / "checkout"
        path = os.pathsep.join([str(programs), provctl.environ["PATH"]])
        self.environ: Dict[str, str] = {**provctl.environ, "PATH": path}

    def __call__(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.checkout,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout


@pytest.fixture
def shell(provctl: Provctl) -> Shell:
    shell = Shell(provctl, Path(sys.executable).parent)
    shutil.copytree(ROOT / "examples", shell.checkout / "examples")
    return shell


def test_the_sessions_go_as_shown(shell: Shell) -> None:
    shell.environ["PROVISIONING_SPEED"] = SPEED
    for block in blocks("console"):
        for step in steps(block):
            said = shell(step.command)
            printed = [steady(line) for line in said.splitlines()]
            for line in step.shown:
                assert steady(line) in printed, f"$ {step.command}\n{said}"


def test_the_workflow_files_run(shell: Shell) -> None:
    for number, block in enumerate(blocks("nickel")):
        file = shell.checkout / f"{number}.ncl"
        file.write_text(block, encoding="utf-8")
        assert " succeeded in " in shell(f"provctl run {file}").splitlines()[-1]


def test_the_configuration_is_right(shell: Shell) -> None:
    for number, block in enumerate(blocks("toml")):
        file = shell.checkout / f"{number}.toml"
        file.write_text(block, encoding="utf-8")
        shell(f"provctl config check {file}")


def test_the_first_command_installs_and_runs(provctl: Provctl) -> None:
    (block,) = blocks("sh")
    install, _ = block.splitlines()
    programs = fresh_environment(provctl.folder / "fresh")
    shell = Shell(provctl, programs)
    for name in ("provctl", "examples"):
        shutil.copytree(ROOT / name, shell.checkout / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, shell.checkout / name)
    assert shell(install).splitlines()[-1].endswith(": 7 succeeded")
    assert shell("command -v provctl").strip() == str(programs / "provctl")
    made = Path(shell.environ["HOME"]) / ".local/state/provisioning/servers"
    assert len(list(made.iterdir())) == 5


def fresh_environment(folder: Path) -> Path:
    """Make an environment without provctl; return the folder of its programs.

    What pip would download for it is there already, taken from this one, so that
    nothing has to be.
    """
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True
    )
    (packages,) = folder.glob("lib/python*/site-packages")
    borrowed = "\n".join(site.getsitepackages()) + "\n"
    (packages / "borrowed.pth").write_text(borrowed, encoding="utf-8")
    pip = folder / "bin" / "pip"
    pip.write_text(
        f'#!/bin/sh\nexec {folder}/bin/python -m pip "$@" '
        "--no-index --no-deps --no-build-isolation\n",
        encoding="utf-8",
    )
    pip.chmod(0o755)
    return folder / "bin"


def test_the_second_command_tests() -> None:
    (block,) = blocks("sh")
    _, test = block.splitlines()
    asked = subprocess.run(
        ["bash", "-c", f"{test} --version"], cwd=ROOT, capture_output=True, check=True
    )
    assert re.match(rb"pytest \d+\.\d+\.\d+\n", asked.stdout.splitlines(True)[-1])
