"""Prints a password of the keyring: a process by itself, for backends may wait for people.

    python -I keyring_child.py SERVICE USER

Imports nothing of provctl. The exit codes are those in `scheduler.secrets`.
"""

from __future__ import annotations

import sys


def main(service: str, user: str) -> int:
    """Print the password, without a newline at its end; return the exit code."""
    try:
        import keyring
    except ImportError:
        return 97
    try:
        value = keyring.get_password(service, user)
    except Exception as problem:  # noqa: BLE001 - backends raise what they like
        sys.stderr.write(f"{type(problem).__name__}: {problem}\n")
        return 1
    if value is None:
        return 98
    # One newline is removed from what is printed; this one is not of the value.
    binary = getattr(sys.stdout, "buffer")  # noqa: B009 - no stream of provctl's
    binary.write(value.encode("utf-8", "surrogateescape") + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
