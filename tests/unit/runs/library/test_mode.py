"""Whether a command of the library runs here or through the scheduler."""

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


def test_by_default_what_creates_is_orchestrated_and_all_else_direct() -> None:
    assert mode("server.create") == ORCHESTRATED
    assert mode("server.list") == DIRECT
    assert mode("server.reboot") == DIRECT


def test_the_default_mode_is_for_what_no_pattern_names() -> None:
    assert mode("server.reboot", default_mode="orchestrated") == ORCHESTRATED
    assert mode("server.list", default_mode="orchestrated") == DIRECT
    assert mode("server.create", default_mode="direct") == ORCHESTRATED
    assert mode("server.reboot", default_mode="direct") == DIRECT


def test_to_force_orchestrated_beats_to_force_direct() -> None:
    both: Dict[str, Any] = {
        "force_orchestrated": ("*.list",),
        "force_direct": ("server.*",),
    }
    assert mode("server.list", **both) == ORCHESTRATED
    assert mode("server.show", **both) == DIRECT


def test_a_flag_beats_patterns() -> None:
    assert mode("server.create", DIRECT) == DIRECT
    assert mode("server.list", ORCHESTRATED) == ORCHESTRATED


def test_patterns_are_for_whole_names_and_their_case() -> None:
    pattern: Dict[str, Any] = {
        "force_orchestrated": ("server.cre",),
        "force_direct": (),
    }
    assert mode("server.create", **pattern) == DIRECT
    assert mode("server.create", force_orchestrated=("Server.*",)) == DIRECT


def test_without_a_scheduler_all_is_direct() -> None:
    assert mode("server.create", orchestrator=NEVER) == DIRECT
    assert mode("server.create", DIRECT, orchestrator=NEVER) == DIRECT
    with pytest.raises(UsageError, match=r"orchestrator\.enabled"):
        mode("server.create", ORCHESTRATED, orchestrator=NEVER)
