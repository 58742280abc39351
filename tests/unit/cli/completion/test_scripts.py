"""The shipped completion scripts are what `provctl completion` prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from provctl.cli.completion.shells import SHELLS
from provctl.cli.main import cli

SHIPPED = Path(__file__).parents[4] / "completions"
FILES = {
    "bash": "provctl.bash",
    "zsh": "_provctl",
    "fish": "provctl.fish",
    "nu": "provctl.nu",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_shipped_script_equals_the_printed_one(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert result.stdout == (SHIPPED / FILES[shell]).read_text(encoding="utf-8")
    assert "_PROVCTL_COMPLETE" in result.stdout


def test_no_other_script_is_shipped() -> None:
    assert {path.name for path in SHIPPED.iterdir()} == set(FILES.values())


def test_other_shells_are_refused() -> None:
    assert CliRunner().invoke(cli, ["completion", "tcsh"]).exit_code == 2
