"""Installations of other versions, beside the tested one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

from provctl import __version__
from tests.support.installed import ROOT

if TYPE_CHECKING:
    from tests.support.installed import Provctl

__all__ = ["Installation"]


class Installation:
    """A copy of the package in its own virtual environment."""

    def __init__(self, provctl: Provctl, version: str) -> None:
        self._environ = provctl.environ
        self._folder = provctl.folder / f"provctl-{version}"
        venv = [sys.executable, "-m", "venv", "--without-pip", str(self._folder)]
        subprocess.run(venv, check=True)
        (site,) = self._folder.glob("lib/python*/site-packages")
        self._package = site / "provctl"
        shutil.copytree(ROOT / "provctl", self._package)
        dependencies = sysconfig.get_paths()["purelib"]
        (site / "dependencies.pth").write_text(dependencies + "\n")
        self.edit("__init__.py", f'"{__version__}"', f'"{version}"')
        # Isolated, or the package in the working folder would be what runs.
        python = str(self._folder / "bin" / "python")
        self.command = [python, "-I", "-m", "provctl"]

    def edit(self, module: str, old: str, new: str) -> None:
        """Change a module before anything runs."""
        path = self._package / module
        text = path.read_text()
        assert text.count(old) == 1, f"{old} in {path}"
        path.write_text(text.replace(old, new))

    def run(self, *args: object) -> subprocess.CompletedProcess[str]:
        """Run a command up to its end, whatever its exit code."""
        return subprocess.run(
            [*self.command, *map(str, args)],
            env=self._environ,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )

    def __call__(self, *args: object) -> str:
        """Run a command that must succeed; return its output."""
        done = self.run(*args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def remove(self) -> None:
        """Delete it, even if processes use it."""
        shutil.rmtree(str(self._folder))
