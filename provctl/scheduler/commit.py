"""Owns making the journals of many runs durable at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Sequence

from provctl.errors import StateUnusable

if TYPE_CHECKING:
    from provctl.journal.log import Journal

__all__ = ["commit_all"]

_MANY = 16  # from which on threads cost less than what they save
_SYNCS = 16  # at a time: a disk syncs many files in little more time than one


def commit_all(journals: Mapping[str, Journal]) -> Dict[str, StateUnusable]:
    """Commit each journal; return by their names those that cannot be, and why."""
    found = _found(list(journals.values()))
    return {name: problem for name, problem in zip(journals, found) if problem}


def _found(journals: Sequence[Journal]) -> List[Optional[StateUnusable]]:
    if len(journals) >= _MANY:
        with suppress(RuntimeError), ThreadPoolExecutor(_SYNCS) as pool:
            return list(pool.map(_commit, journals))
        # No thread was to be had for some of them; what is written stays so.
    return [_commit(journal) for journal in journals]


def _commit(journal: Journal) -> Optional[StateUnusable]:
    try:
        journal.commit()
    except StateUnusable as problem:
        return problem
    return None
