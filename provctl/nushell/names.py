"""Owns what may stand in Nushell source: checked names and generated literals.

Everything else a workflow contains is data and travels as JSON.
"""

from __future__ import annotations

import os.path
import re
from pathlib import PurePosixPath

from provctl.errors import UsageProblem

__all__ = ["check_command", "check_flag", "is_word", "module_path", "nu_literal"]

_WORD = r"[a-z][a-z0-9_-]*"
_CONTROL = r"[\x00-\x1f\x7f-\x9f]"


def is_word(text: str) -> bool:
    """Whether `text` may stand in Nushell source as a name."""
    return re.fullmatch(_WORD, text) is not None


def check_command(name: str) -> str:
    """Return `name` if it can name a command: lower-case words, "list" or "server list".

    Raises UsageProblem otherwise.
    """
    if all(map(is_word, name.split(" "))):
        return name
    message = f"{name!r} cannot be the name of a Nushell command"
    raise UsageProblem(
        message, hint="lower-case letters, digits, - and _, for example create-server"
    )


def check_flag(name: str) -> str:
    """Return `name` if it can name a flag, without its dashes.

    "help" is refused: it would print the help text and succeed. Raises UsageProblem.
    """
    if is_word(name) and name != "help":
        return name
    message = f"{name!r} cannot be the name of a flag"
    raise UsageProblem(
        message, hint="the long name without dashes, for example zone for --zone"
    )


def module_path(library: str, module: str) -> str:
    """Return the absolute path of `module`, which must lie below `library`.

    Raises UsageProblem for an empty or absolute path, or one with "..".
    """
    parts = PurePosixPath(module).parts
    if not parts or module.startswith("/") or ".." in parts or "\0" in module:
        message = f"{module!r} is not a path below the Nushell library"
        raise UsageProblem(
            message, hint="a path below the library, for example servers/create.nu"
        )
    return os.path.join(os.path.abspath(library), *parts)  # noqa: PTH100, PTH118


def nu_literal(text: str) -> str:
    """Return `text` as a double-quoted Nushell string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        escaped = re.sub(_CONTROL, lambda c: f"\\u{{{ord(c.group()):x}}}", escaped)
    return f'"{escaped}"'
