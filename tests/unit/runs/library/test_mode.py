"""Whether a library command runs directly or through the scheduler."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Optional

import pytest

from provctl.config.settings import Execution, Orchestrator, Settings
from provctl.errors import UsageError
from provctl.runs.library.mode import DIRECT, ORCHESTRATED, choose_mode

NEVER = Orchestrator(enabled=False)


def mode(name: str, flag: Optional[str] = None, **settings: Any) -> str:
    orchestrator = settings.pop("orchestrator", Orchestrator())
    execution = replace(Execution(), **settings)
    noun, verb = name.split(".")
    return choose_mode(
        Settings(orchestrator=orchestrator, execution=execution), noun, verb, flag
    )


def test_create_is_orchestrated_and_others_are_direct_by_default() -> None:
    assert mode("server.create") == ORCHESTRATED
    assert mode("server.list") == DIRECT
    assert mode("server.reboot") == DIRECT


def test_default_mode_applies_to_commands_without_a_pattern() -> None:
    assert mode("server.reboot", default_mode="orchestrated") == ORCHESTRATED
    assert mode("server.list", default_mode="orchestrated") == DIRECT
    assert mode("server.create", default_mode="direct") == ORCHESTRATED
    assert mode("server.reboot", default_mode="direct") == DIRECT


def test_force_orchestrated_overrides_force_direct() -> None:
    both: Dict[str, Any] = {
        "force_orchestrated": ("*.list",),
        "force_direct": ("server.*",),
    }
    assert mode("server.list", **both) == ORCHESTRATED
    assert mode("server.show", **both) == DIRECT


def test_flag_overrides_patterns() -> None:
    assert mode("server.create", DIRECT) == DIRECT
    assert mode("server.list", ORCHESTRATED) == ORCHESTRATED


def test_pattern_matches_the_whole_name_and_its_case() -> None:
    pattern: Dict[str, Any] = {
        "force_orchestrated": ("server.cre",),
        "force_direct": (),
    }
    assert mode("server.create", **pattern) == DIRECT
    assert mode("server.create", force_orchestrated=("Server.*",)) == DIRECT


def test_every_command_is_direct_without_a_scheduler() -> None:
    assert mode("server.create", orchestrator=NEVER) == DIRECT
    assert mode("server.create", DIRECT, orchestrator=NEVER) == DIRECT
    with pytest.raises(UsageError, match=r"orchestrator\.enabled"):
        mode("server.create", ORCHESTRATED, orchestrator=NEVER)
