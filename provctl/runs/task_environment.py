"""The allow-list of environment variables that tasks get from the submitter."""

from __future__ import annotations

from typing import Dict, Iterable, Mapping

# What programs need to find things and people to read them; no credentials, and
# nothing that changes how programs are loaded or shells behave.
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
    """Return the allowed part of `environ`; `passthrough` names what else may go.

    A value that is not text (not UTF-8) is left out.
    """
    allowed = _NAMES | set(passthrough)
    return {
        name: value
        for name, value in sorted(environ.items())
        if (name in allowed or name.startswith(_PREFIXES)) and is_text(value)
    }


def is_text(value: str) -> bool:
    """Say whether a variable of the environment is UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
