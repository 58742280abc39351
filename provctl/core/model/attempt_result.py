"""`AttemptResult`: the result of an attempt and its resource usage, as measured.

It is passed on unchanged from the exit record through the journal to the views. A new
measure is a field here, a line in `executors.local.exit_record`, and where it is shown.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Optional

from provctl.base.light_dataclass import light_dataclass


@light_dataclass
class AttemptResult:
    """How one attempt ended. Times are seconds since the epoch.

    Either `exit_code` or `signal` is set if a process ran; `ran` is false if none could
    be started, so nothing was done and nothing is to be undone. `cpu_s` is user plus
    system time, `max_rss_bytes` the memory of the largest process, `read_bytes` and
    `written_bytes` what went from and to disks (not what caches answered). `survivors`
    counts processes that were killed after the main one had ended by itself, `stuck`
    those that hang in the kernel and live on, `log_dropped_bytes` what is missing from
    the middle of its log.
    """

    exit_code: Optional[int] = None
    signal: Optional[int] = None
    started_at: Optional[float] = None
    finished_at: Optional[float] = None
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    survivors: int = 0
    stuck: int = 0
    log_dropped_bytes: int = 0
    ran: bool = True


RESULT_FIELDS = tuple(field.name for field in fields(AttemptResult))

# Shown for every attempt under these names; its times are shown separately.
MEASURES = tuple(
    name for name in RESULT_FIELDS if name not in ("started_at", "finished_at", "ran")
)

NO_RESULT = AttemptResult()  # of an attempt that has not finished
