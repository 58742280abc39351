"""All histories, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict

from tests.support.histories_of_endings import CANCELS, UNKNOWN
from tests.support.histories_of_finalizers import FINALIZERS
from tests.support.histories_of_groups import GROUPS
from tests.support.histories_of_operators import PAUSES, PROBES, RERUNS, ROLLBACKS
from tests.support.histories_of_stale_tasks import EARLY, STALE
from tests.support.histories_of_tasks import CONDITIONS, NEEDS, RETRIES

if TYPE_CHECKING:
    from tests.support.history import History

__all__ = ["HISTORIES"]

HISTORIES: Dict[str, History] = {
    **NEEDS,
    **CONDITIONS,
    **RETRIES,
    **CANCELS,
    **GROUPS,
    **FINALIZERS,
    **UNKNOWN,
    **PAUSES,
    **PROBES,
    **RERUNS,
    **ROLLBACKS,
    **STALE,
    **EARLY,
}
