"""Calls the example library as tasks do: driver, process, output."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Mapping, Tuple

from provctl.nushell.binary import find_nu
from provctl.nushell.invocation import NushellConfig, call_invocation
from tests.support.installed import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.model.workflow import NushellCall

__all__ = ["LIBRARY", "Failed", "called"]

LIBRARY = ROOT / "examples/provisioning"
_WRAP = "\n  | "  # Nushell breaks long messages


class Failed(Exception):
    """A command of the library failed; the message is its log."""


def called(call: NushellCall, env: Mapping[str, str], output: Path) -> Tuple[Any, str]:
    """Make a call; return its output, read from that file, and its log.

    Raises Failed.
    """
    invocation = call_invocation(
        NushellConfig(nu=find_nu("nu", env["PATH"]), library=str(LIBRARY)),
        call,
        env=env,
        input_path=str(output.with_name("unused")),
        output_path=str(output),
    )
    done = subprocess.run(
        invocation.argv,
        env=invocation.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
    )
    if done.returncode != 0:
        raise Failed(done.stdout.replace(_WRAP, " "))
    return json.loads(output.read_bytes()), done.stdout
