"""The allow-list of environment variables that tasks get from the submitter."""

from __future__ import annotations

from typing import Dict, Iterable, Mapping

# Variables that programs need to find files and to format text for users. No
# credentials, and nothing that changes how programs are loaded or shells behave.
_NAMES = frozenset(
    {
        "HOME",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "PATH",
        "SHELL",
        "SSH_AUTH_SOCK",
        "TERM",
        "TMPDIR",
        "TZ",
        "USER",
    }
)
_PREFIXES = ("LC_", "XDG_", "PROVISIONING_")


def task_environment(
    environ: Mapping[str, str], passthrough: Iterable[str]
) -> Dict[str, str]:
    """Return the allowed part of `environ`; `passthrough` names further variables.

    Values that are not text (not UTF-8) are left out.
    """
    allowed = _NAMES | set(passthrough)
    return {
        name: value
        for name, value in sorted(environ.items())
        if (name in allowed or name.startswith(_PREFIXES)) and is_text(value)
    }


def is_text(value: str) -> bool:
    """Return whether the value of an environment variable is UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
