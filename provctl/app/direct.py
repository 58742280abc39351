"""Owns direct mode: this process becomes the Nushell that runs a command."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Mapping, NoReturn

from provctl.app.environment import is_text
from provctl.errors import ToolMissing
from provctl.nushell.driver import Setting, direct_invocation

if TYPE_CHECKING:
    from provctl.nushell.driver import Values
    from provctl.nushell.index import Verb

__all__ = ["become"]


def become(
    verb: Verb,
    values: Values,
    *,
    setting: Setting,
    environ: Mapping[str, str],
    output: str,
) -> NoReturn:
    """Make a call in place of this process: its terminal, its exit code are Nushell's.

    `environ` is all of the environment, less what is not text; `output` is the format
    of what is returned. Raises UsageProblem for values that Nushell cannot be given,
    and ToolMissing if it does not start.
    """
    assert verb.signature is not None, verb
    # Keeps a number free for what is too large for the environment.
    place = os.open(os.devnull, os.O_RDONLY)
    apart = output != "table" and _only_results_to_stdout()
    invocation = direct_invocation(
        setting,
        verb.imports,
        (verb.module, verb.signature.command),
        values,
        env={name: value for name, value in environ.items() if is_text(value)},
        input_path=f"/dev/fd/{place}",
        output=output,
        output_path=apart or None,
    )
    if invocation.input is not None:
        _hold(invocation.input, place)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(setting.nu, invocation.argv, invocation.env)  # noqa: S606
    except OSError as problem:
        message = f"{setting.nu} does not run: {problem.strerror}"
        raise ToolMissing(message) from problem


def _only_results_to_stdout() -> str:
    """Have all that is printed on stderr; return a path to stdout for the result.

    Empty, and all is as it was, where stdout cannot be opened anew: a socket, or a
    pipe of another user.
    """
    results = os.dup(1)
    path = f"/dev/fd/{results}"
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    except OSError:
        return ""
    os.set_inheritable(results, True)
    os.dup2(2, 1)
    return path


def _hold(content: bytes, place: int) -> None:
    """Have `content` as the open file `place`: without a name, it leaves nothing."""
    from tempfile import TemporaryFile

    with TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        os.dup2(file.fileno(), place)
