"""The tools that tests need: without them a test is skipped with the reason.

The tools, and how each is found and installed, are in `.ci/tools`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Dict

import pytest

__all__ = ["BUILDING", "need", "need_localhost"]

# What the single file is built with.
BUILDING = ("gcc", "strip", "libc.a", "libz.a", "libpython")

_TABLE = Path(__file__).parents[2] / ".ci" / "tools"


def need(*tools: str) -> None:
    """Skip the test if one of the tools of `.ci/tools` is missing.

    With TESTS_MAY_NOT_SKIP_TOOLS the test fails: that variable says that all are
    installed.
    """
    packages = _packages()
    missing = [tool for tool in tools if packages[tool]]
    if not missing:
        return
    install = " ".join(dict.fromkeys(packages[tool] for tool in missing))
    reason = f"missing: {', '.join(missing)} (apt-get install {install})"
    if os.environ.get("TESTS_MAY_NOT_SKIP_TOOLS"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def need_localhost() -> None:
    """Skip the test if the name `localhost` is unknown, as in an empty root."""
    try:
        socket.getaddrinfo("localhost", None)
    except OSError:
        pytest.skip("the name localhost is not in /etc/hosts")


@lru_cache(maxsize=None)
def _packages() -> Dict[str, str]:
    """Debian's package of each missing tool; an empty text if it is installed."""
    done = subprocess.run(
        ["bash", str(_TABLE), "--list"],
        env={**os.environ, "PYTHON": sys.executable},
        check=True,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    found = {}
    for line in done.stdout.splitlines():
        tool, package, state = line.split()
        found[tool] = package if state == "missing" else ""
    return found
