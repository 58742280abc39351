"""Prints a password from the keyring.

    python -I keyring_child.py SERVICE USER

A process of its own, because keyring backends may wait for user input. Imports nothing
from provctl. The exit codes are defined in `scheduler.secrets`.
"""

from __future__ import annotations

import sys


def main(service: str, user: str) -> int:
    """Print the password and a newline; return the exit code."""
    try:
        import keyring
    except ImportError:
        return 97
    try:
        value = keyring.get_password(service, user)
    except Exception as problem:  # noqa: BLE001 - backends may raise anything
        sys.stderr.write(f"{type(problem).__name__}: {problem}\n")
        return 1
    if value is None:
        return 98
    # The reader removes one newline; this one is not part of the value.
    binary = getattr(sys.stdout, "buffer")  # noqa: B009 - not a stream of provctl's
    binary.write(value.encode("utf-8", "surrogateescape") + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
