"""Detects files of the platform; a small module, because every file is checked."""

from __future__ import annotations

from typing import Any


def is_platform_file(value: Any) -> bool:
    """Whether a document is a workflow of the platform, and not one of ours."""
    if not isinstance(value, dict) or "tasks" in value:
        return False
    return any(key in value for key in ("batch_workflow", "operations", "nodes"))
