"""The statuses and outcomes of runs and tasks, each with its meaning."""

from __future__ import annotations

from typing import Dict, Iterable, Tuple

from provctl.base.suggest import did_you_mean
from provctl.errors import UsageError

RUN_STATUSES: Dict[str, str] = {
    "queued": "submitted, waiting to start",
    "incomplete": "never fully submitted: the submitting process was killed",
    "running": "tasks are running, or waiting for other tasks of the run",
    "paused": "no new tasks start until it is resumed",
    "cancelling": "being cancelled: tasks are being stopped, or finalizers run",
    "held": "on hold until you decide: the result of a task is unknown",
    "rolling_back": "its tasks are being undone, or finalizers run afterwards",
    "finished": "all tasks have an outcome",
}
RUN_OUTCOMES: Dict[str, str] = {
    "succeeded": 'no task failed, or only tasks with on_failure = "continue"',
    "failed": 'at least one task failed (except on_failure = "continue")',
    "cancelled": "it was cancelled",
    "timed_out": "it exceeded its `timeout`",
    "lost": "the result of a task is unknown",
    "rolled_back": "all tasks with an `undo` were undone",
    "rollback_failed": "at least one undo failed; resources may remain",
}
TASK_STATUSES: Dict[str, str] = {
    "waiting": "its dependencies have not finished",
    "ready": "ready to start, waiting for a free slot or pool",
    "running": "an attempt is running",
    "retrying": "waiting for the delay before the next attempt",
    "held": "on hold until you decide: its result is unknown",
    "finished": "it has an outcome",
}
TASK_OUTCOMES: Dict[str, str] = {
    "succeeded": "it finished with exit code 0",
    "failed": "it finished with an error, or could not be started",
    "cancelled": "it was stopped by a cancel, or never started",
    "timed_out": "it exceeded its `timeout` and was stopped",
    "lost": "its result is unknown: its supervisor was killed",
    "interrupted": "its result is unknown: the machine rebooted",
    "skipped": "not run, because of its dependencies or its condition",
    "undone": "a rollback undid it",
    "undo_failed": "its undo failed; its resources may remain",
}


def run_words() -> Tuple[str, ...]:
    """Return every status and outcome that a list of runs can show."""
    return (*RUN_STATUSES, *RUN_OUTCOMES, "damaged")


def check_word(word: str, known: Iterable[str], option: str) -> str:
    """Return a word in lower case. Raises UsageError if it is not known."""
    small = word.lower().replace("-", "_")
    known = tuple(known)
    if small not in known:
        message = f"{option} {word}: no such status or outcome"
        hint = did_you_mean(small, known, f"one of {', '.join(known)}")
        raise UsageError(message, hint=hint)
    return small
