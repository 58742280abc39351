"""Owns what may stand in Nushell source: checked names and generated literals.

Everything else a workflow contains is data and travels as JSON.
"""

from __future__ import annotations

import os.path
import re
from pathlib import PurePosixPath

from provctl.core.names import is_command, is_flag, is_module
from provctl.errors import UsageProblem

__all__ = ["check_command", "check_flag", "main_name", "module_path", "nu_literal"]

_CONTROL = r"[\x00-\x1f\x7f-\x9f]"


def check_command(name: str) -> str:
    """Return `name` if it can name a command: "list" or "server list".

    Raises UsageProblem otherwise.
    """
    if is_command(name):
        return name
    message = f"{name!r} cannot be the name of a Nushell command"
    raise UsageProblem(
        message, hint="letters, digits, - and _, for example create-server"
    )


def check_flag(name: str) -> str:
    """Return `name` if it can name a flag, without its dashes.

    Raises UsageProblem otherwise.
    """
    if is_flag(name):
        return name
    message = f"{name!r} cannot be the name of a flag"
    raise UsageProblem(
        message, hint="the long name without dashes, for example zone for --zone"
    )


def module_path(library: str, module: str) -> str:
    """Return the absolute path of `module`, which must lie below `library`.

    Raises UsageProblem for an empty or absolute path, or one with "..".
    """
    if not is_module(module):
        message = f"{module!r} is not a path below the Nushell library"
        raise UsageProblem(
            message, hint="a path below the library, for example servers/create.nu"
        )
    parts = PurePosixPath(module).parts
    return os.path.join(os.path.abspath(library), *parts)  # noqa: PTH100, PTH118


def main_name(module: str) -> str:
    """Return the name by which Nushell knows the command "main" of a module.

    Raises UsageProblem for one that it would read as something else.
    """
    name = PurePosixPath(module).stem
    check_command(name.replace(".", "-"))
    return name


def nu_literal(text: str) -> str:
    """Return `text` as a double-quoted Nushell string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        escaped = re.sub(_CONTROL, lambda c: f"\\u{{{ord(c.group()):x}}}", escaped)
    return f'"{escaped}"'
