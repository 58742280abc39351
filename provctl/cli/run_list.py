"""Words of lists of runs: statuses to filter by, labels in a line."""

from __future__ import annotations

from typing import Mapping, Optional, Set


def wanted_words(text: str) -> Set[Optional[str]]:
    """Return the statuses and outcomes that a text names. Raises UsageError."""
    from provctl.cli.status_words import check_word, run_words

    return {check_word(word, run_words(), "--status") for word in text.split(",")}


def labels_line(labels: Mapping[str, str]) -> str:
    """Return labels as people write them, in one line."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
