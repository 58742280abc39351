"""Rows of a list of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Set

from provctl.base.timefmt import format_iso, format_local

if TYPE_CHECKING:
    from provctl.storage.run_summary import RunSummary


def wanted_words(text: str) -> Set[Optional[str]]:
    """Return the statuses and outcomes that a text names. Raises UsageError."""
    from provctl.cli.status_words import check_word, run_words

    return {check_word(word, run_words(), "--status") for word in text.split(",")}


def labels_line(labels: Mapping[str, str]) -> str:
    """Return labels as people write them, in one line."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def run_rows(runs: List[RunSummary]) -> List[Dict[str, Any]]:
    """Return runs as records."""
    return [
        {
            "id": run.id,
            "name": run.name,
            "status": run.status,
            "outcome": run.outcome,
            "created_at": format_iso(run.created_at),
            "created": format_local(run.created_at),
            "finished_at": format_iso(run.finished_at),
            "tasks": run.tasks,
            "priority": run.priority,
            "batch": run.batch,
            "labels": dict(run.labels),
            "owned": run.owned,
            **({"damage": run.damage} if run.damage else {}),
        }
        for run in runs
    ]
