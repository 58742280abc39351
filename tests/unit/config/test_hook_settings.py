"""Hooks are lists of words, in a file or a variable; never a shell command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import pytest

from provctl.config.load import LoadedSettings
from provctl.errors import InvalidConfig

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., LoadedSettings]


def test_hook_program_is_relative_to_the_file_and_arguments_are_unchanged(
    load: Load, machine: Path
) -> None:
    text = '[hooks]\non_run_finished = [["notify", "~", "a b"], ["./tell", ""]]'
    hooks = load(text).settings.hooks
    assert hooks.on_run_finished == (
        ("notify", "~", "a b"),
        (f"{machine}/tell", ""),
    )
    assert hooks.timeout_seconds == 30


def test_variable_holds_json(load: Load) -> None:
    environ = {"PROVCTL_HOOKS_ON_RUN_FINISHED": '[["notify", "--all"]]'}
    assert load(environ=environ).settings.hooks.on_run_finished == (
        ("notify", "--all"),
    )


@pytest.mark.parametrize(
    "value",
    ['"notify"', '["notify --all"]', "[[]]", "[[1]]", '[["a", 1]]', '[["a\\u0000"]]'],
)
def test_other_value_is_refused_with_an_example(load: Load, value: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(f"[hooks]\non_run_finished = {value}")
    assert 'each a list of words such as ["notify", "--all"]' in caught.value.message
