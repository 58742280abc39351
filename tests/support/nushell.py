"""Nushell at a terminal: typed commands outside a task."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, Optional

from provctl.nushell.binary import find_nu
from provctl.nushell.library.scan import SHIPPED

if TYPE_CHECKING:
    from tests.support.installed import Provctl

__all__ = ["outside"]


def outside(
    provctl: Provctl, text: str, env: Optional[Mapping[str, str]] = None
) -> subprocess.CompletedProcess[str]:
    """Run Nushell as at a terminal, with the shipped modules on its path."""
    program = Path(provctl.program).parent
    environ = {
        **provctl.environ,
        "PATH": f"{program}:{os.environ['PATH']}",
        "NU_LIB_DIRS": str(SHIPPED),
        **(env or {}),
    }
    return subprocess.run(
        [find_nu("nu", os.environ["PATH"]), "--no-config-file", "-c", text],
        env=environ,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
