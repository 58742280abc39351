"""Writes the exit record of an attempt that failed on its node before it had a shim."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from provctl.base.safe_open import open_own
from provctl.executors.local import exit_record
from provctl.executors.local.fence import pass_fence

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef


def store_failure(place: AttemptRef, problem: str) -> None:
    """Seal the record of a failure, unless the attempt has started. Raises OSError."""
    new = str(place.file("new"))
    record = open_own(new, os.O_RDWR | os.O_CREAT)
    try:
        exit_record.reserve(record)
        passed, _ = pass_fence(new, str(place.file("go")))
        if passed:
            now = time.time()  # noqa: TID251  as in a shim
            result = {"v": 1, "id": place.mark, "cause": "exit", "problem": problem}
            times = {"survivors": 0, "started_at": now, "finished_at": now}
            exit_record.store(record, {**result, **times})
    finally:
        os.close(record)
