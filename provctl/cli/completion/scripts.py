"""`provctl completion`: the script that makes a shell complete provctl's words.

The scripts, what they ask and what they are answered: `cli/completion/shells.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provctl.cli.completion.shells import COMPLETE_VAR, SHELLS

if TYPE_CHECKING:
    from provctl.cli.session import Session


@click.command()
@click.argument("shell", type=click.Choice([*SHELLS]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a completion script for SHELL, for the name that provctl was called by.

    Save it where the shell looks for completions, or load it now:

    \b
    bash   eval "$(provctl completion bash)"
    zsh    eval "$(provctl completion zsh)", after compinit
    fish   provctl completion fish | source
    nu     provctl completion nu | save -f ($nu.user-autoload-dirs.0 | path join provctl.nu)
    """
    session: Session = ctx.obj
    name = session.called.name
    script = SHELLS[shell](ctx.find_root().command, {}, name, COMPLETE_VAR)
    click.echo(script.source(), nl=False)
