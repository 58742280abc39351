"""The completion scripts that ship are what `provctl completion` prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from provctl.cli.completion import completion

SHIPPED = Path(__file__).parents[3] / "completions"


@pytest.mark.parametrize(
    ("shell", "name"),
    [("bash", "provctl.bash"), ("zsh", "_provctl"), ("fish", "provctl.fish")],
)
def test_the_shipped_script_is_the_printed_one(
    shell: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # no shell is needed to print a script
    result = CliRunner().invoke(completion, [shell])
    assert result.exit_code == 0
    assert result.stdout == (SHIPPED / name).read_text(encoding="utf-8")
    assert f"_PROVCTL_COMPLETE={shell}_complete" in result.stdout


def test_other_shells_are_refused() -> None:
    assert CliRunner().invoke(completion, ["tcsh"]).exit_code == 2
