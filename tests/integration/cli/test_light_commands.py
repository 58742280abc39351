"""Reading commands start fast: they import only what they need."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, List, Set

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# Each takes longer to load than such a command may take.
HEAVY = ("asyncio", "pydantic", "rich", "nickel", "psutil", "provctl.workflow_files")


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["--help"],
        ["completion", "bash"],
        ["workflow", "list"],
        ["workflow", "list", "-o", "json"],
        ["list"],
        ["ps"],
        ["batch", "list"],
        ["schedule", "list"],
        ["config", "path"],
    ],
    ids=" ".join,
)
def test_light_command_imports_no_heavy_modules(words: List[str]) -> None:
    loaded = loaded_by(*words)
    assert "provctl.cli.main" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_status_and_logs_import_no_heavy_modules(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text('{"tasks": {"one": {"command": ["true"]}}}', encoding="utf-8")
    assert not loaded_by("run", str(file)).isdisjoint(HEAVY)
    for verb in ("status", "logs"):
        assert loaded_by("workflow", verb, "@last").isdisjoint(HEAVY)


def test_list_of_cached_runs_does_not_import_json(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text('{"tasks": {"one": {"command": ["true"]}}}', encoding="utf-8")
    loaded_by("run", str(file))
    assert "json" in loaded_by("workflow", "list")  # of one that has to be read
    assert "json" not in loaded_by("workflow", "list")


def loaded_by(*words: str) -> Set[str]:
    """The names of all modules that a command loads."""
    command = [sys.executable, "-X", "importtime", "-m", "provctl", *words]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
