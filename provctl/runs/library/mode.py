"""Chooses between direct and orchestrated for a command of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Optional

from provctl.errors import UsageError

if TYPE_CHECKING:
    from provctl.config.settings import Settings


DIRECT = "direct"
ORCHESTRATED = "orchestrated"


def choose_mode(settings: Settings, noun: str, verb: str, flag: Optional[str]) -> str:
    """Return `DIRECT` or `ORCHESTRATED`; `flag` is the mode of a flag, if one is given.

    In order of precedence: the flag, a scheduler that must not be used,
    `force_orchestrated`, `force_direct`, `default_mode`; "auto" is direct. Raises
    UsageError if the flag requires a scheduler that must not be used.
    """
    if flag == ORCHESTRATED and not settings.orchestrator.enabled:
        message = "--orchestrated: orchestrator.enabled is false"
        raise UsageError(message, hint="provctl config show tells where it is set")
    if flag is not None or not settings.orchestrator.enabled:
        return flag or DIRECT
    execution, name = settings.execution, f"{noun}.{verb}"
    if _matches(name, execution.force_orchestrated):
        return ORCHESTRATED
    if _matches(name, execution.force_direct):
        return DIRECT
    return ORCHESTRATED if execution.default_mode == ORCHESTRATED else DIRECT


def _matches(name: str, patterns: Iterable[str]) -> bool:
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern) for pattern in patterns)
