"""Whether a file is one of the platform: asked of every file, so without the rest."""

from __future__ import annotations

from typing import Any


def is_platform_file(value: Any) -> bool:
    """Whether a document is a workflow of the platform, and none of ours."""
    if not isinstance(value, dict) or "tasks" in value:
        return False
    return any(key in value for key in ("batch_workflow", "operations", "nodes"))
