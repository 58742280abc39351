"""The words for where runs and tasks are and how they ended, each with its meaning."""

from __future__ import annotations

from typing import Dict, Iterable, Tuple

from provctl.base.suggest import did_you_mean
from provctl.errors import UsageError

RUN_STATUSES: Dict[str, str] = {
    "queued": "on disk, waiting for its turn",
    "incomplete": "who submitted it was killed before it was queued",
    "running": "tasks run, or wait for others of it",
    "paused": "starts no further task until it is resumed",
    "cancelling": "was told to end; running tasks are being ended",
    "held": "waits for a decision: nobody can know how a task ended",
    "rolling_back": "what it made is being undone",
    "finished": "every task has an outcome",
}
RUN_OUTCOMES: Dict[str, str] = {
    "succeeded": "all went well",
    "failed": "a task failed that counts",
    "cancelled": "it was told to end",
    "timed_out": "it took longer than its `timeout`",
    "lost": "how a task ended cannot be known",
    "rolled_back": "what could be undone is undone",
    "rollback_failed": "an undo failed: something stands",
}
TASK_STATUSES: Dict[str, str] = {
    "waiting": "its needs have not ended",
    "ready": "it could start, and waits for room",
    "running": "an attempt is under way",
    "retrying": "the next attempt comes after a wait",
    "held": "waits for a decision: nobody can know how it ended",
    "finished": "it has an outcome",
}
TASK_OUTCOMES: Dict[str, str] = {
    "succeeded": "it ended with exit code 0",
    "failed": "it ended otherwise, or could not be started",
    "cancelled": "it was told to end, or never began",
    "timed_out": "it took longer than its `timeout`, and was ended",
    "lost": "its supervisor was killed: nobody can know how it ended",
    "interrupted": "the machine rebooted: nobody can know how it ended",
    "skipped": "what came before it, or its condition, ruled it out",
    "undone": "a rollback took back what it made",
    "undo_failed": "its undo failed: what it made stands",
}


def run_words() -> Tuple[str, ...]:
    """Return every status and outcome that a list of runs can show."""
    return (*RUN_STATUSES, *RUN_OUTCOMES, "damaged")


def check_word(word: str, known: Iterable[str], option: str) -> str:
    """Return a word in small letters. Raises UsageError if it is not known."""
    small = word.lower().replace("-", "_")
    known = tuple(known)
    if small not in known:
        message = f"{option} {word}: no status and no outcome is called that"
        hint = did_you_mean(small, known, f"one of {', '.join(known)}")
        raise UsageError(message, hint=hint)
    return small
