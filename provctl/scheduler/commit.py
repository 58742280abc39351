"""Owns making the journals of many runs durable at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Dict, Mapping, Optional

from provctl.errors import StateUnusable

if TYPE_CHECKING:
    from provctl.journal.log import Journal

__all__ = ["commit_all"]

_MANY = 16  # from which on threads cost less than what they save
_SYNCS = 16  # at a time: a disk syncs many files in little more time than one


def commit_all(journals: Mapping[str, Journal]) -> Dict[str, StateUnusable]:
    """Commit each journal; return by their names those that cannot be, and why."""
    if len(journals) < _MANY:
        found = list(map(_commit, journals.values()))
    else:
        with ThreadPoolExecutor(_SYNCS) as pool:
            found = list(pool.map(_commit, journals.values()))
    return {name: problem for name, problem in zip(journals, found) if problem}


def _commit(journal: Journal) -> Optional[StateUnusable]:
    try:
        journal.commit()
    except StateUnusable as problem:
        return problem
    return None
