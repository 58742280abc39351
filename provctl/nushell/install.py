"""Installs Nushell from npm into a folder of provctl."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Callable, Mapping

from provctl.errors import MissingTool
from provctl.nushell.binary import native_program, nu_version

if TYPE_CHECKING:
    from pathlib import Path


NUSHELL_VERSION = "0.115.1"

_TIMEOUT_S = 900.0
_OTHERWISE = "or put Nushell 0.114 or newer on PATH"
# Whatever npm's settings of the account are: into this folder, with the package of this
# machine, which is optional. The package asks for a newer node, which does not matter:
# only its native program is used.
_FLAGS = (
    "--no-global",
    "--include=optional",
    "--no-engine-strict",
    "--ignore-scripts",
    "--no-package-lock",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--loglevel=error",
)


def fetch_nu(
    folder: Path, environ: Mapping[str, str], *, tell: Callable[[str], None]
) -> str:
    """Install Nushell into `folder`, completely or not at all, and return its path.

    `tell` gets a message before the slow part. Raises MissingTool.
    """
    npm = shutil.which("npm", path=environ.get("PATH", os.defpath))
    if npm is None:
        message = "Nushell not found, and npm, which could install it, is not installed"
        hint = f"install npm (on Debian, as root: apt-get install npm), {_OTHERWISE}"
        raise MissingTool(message, hint=hint)
    tell(f"installing Nushell {NUSHELL_VERSION} into {folder}")
    stage = folder / ".new"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two at once: the second one waits
            try:
                shutil.rmtree(stage, ignore_errors=True)  # of a killed install
                stage.mkdir()
                _install(npm, stage, environ)
                return _take(stage, folder / "nu")
            finally:
                shutil.rmtree(stage, ignore_errors=True)
    except OSError as problem:
        message = f"cannot install Nushell into {folder}: {problem.strerror}"
        hint = f"make that folder writable, {_OTHERWISE}"
        raise MissingTool(message, hint=hint) from problem


def _install(npm: str, stage: Path, environ: Mapping[str, str]) -> None:
    (stage / "package.json").write_text('{"private": true}', encoding="utf-8")
    package = f"nushell@{NUSHELL_VERSION}"
    try:
        done = subprocess.run(
            [npm, "install", *_FLAGS, "--prefix", str(stage), package],
            cwd=str(stage),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as problem:
        message = f"npm did not install {package} within {_TIMEOUT_S:g} s"
        raise MissingTool(message, hint=f"try again, {_OTHERWISE}") from problem
    if done.returncode:
        output = done.stdout.decode(errors="replace").strip().splitlines()
        message = "\n".join([f"npm could not install {package}", *output[:5]])
        hint = f"fix the problem, then: provctl doctor --fix; {_OTHERWISE}"
        raise MissingTool(message, hint=hint)


def _take(stage: Path, place: Path) -> str:
    """Move the program of a stage to its final path, if it runs here."""
    program = native_program(stage)
    if program is None:
        machine = os.uname().machine
        message = f"npm has no Nushell for this kind of machine ({machine})"
        hint = "build it: cargo install nu; then put it on PATH"
        raise MissingTool(message, hint=hint)
    nu_version(str(program))
    with program.open("rb") as file:
        os.fsync(file.fileno())  # otherwise a power cut could leave a part of it
    program.replace(place)
    return str(place)
