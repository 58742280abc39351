"""Owns `provctl completion`: the script that makes a shell complete provctl's words."""

from __future__ import annotations

import click

__all__ = ["completion", "completion_script"]

_SHELLS = ("bash", "zsh", "fish")
_PROGRAM = "provctl"
_VARIABLE = "_PROVCTL_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    Put it where the shell looks for completions, or load it now:
    eval "$(provctl completion bash)"
    """
    click.echo(completion_script(shell), nl=False)


def completion_script(shell: str) -> str:
    """Return the completion script for "bash", "zsh" or "fish"."""
    from click.shell_completion import ShellComplete, get_completion_class

    source = get_completion_class(shell)
    assert source is not None, shell
    completer = source(completion, {}, _PROGRAM, _VARIABLE)
    # Not `completer.source()`: for bash that starts bash, to look at its version.
    return ShellComplete.source(completer)
