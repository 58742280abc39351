"""The exit codes, what they mean, and which one each outcome of a run has."""

from __future__ import annotations

from typing import Dict, List, Optional

EXIT_CODES: Dict[int, str] = {
    0: "success",
    1: "internal error (a bug), or the output could not be written",
    2: "usage error: an invalid option, argument or configuration, or `--yes` is missing",
    10: "the run failed",
    11: "the run was cancelled",
    12: "the run timed out",
    13: "a task's result is unknown; the run is on hold or lost",
    14: "the run was rolled back",
    15: "rollback incomplete: at least one undo failed and resources may remain",
    30: "no scheduler is running, and none could be started",
    31: "the journal was written by a newer version of provctl; it was not changed",
    32: "the state directory, or a node, cannot be used",
    33: "a journal or a schedule is damaged",
    40: "run, batch, task or schedule not found, or ambiguous",
    41: "refused: not possible in the current state, or another process owns the run",
    42: "idempotency key already used for a different workflow",
    50: "the workflow file or template is invalid",
    52: "a required tool (`nu` or `nickel`) is missing, or the library is not compatible",
    124: "the `--timeout` of `wait` or `monitor` expired; the run continues",
    129: "terminal closed (SIGHUP); a run in the foreground continues in the background",
    130: "interrupted by Ctrl-C or `detach`, or not confirmed; a watched run continues",
    141: "output pipe closed (SIGPIPE); a run in the foreground continues in the background",
    143: "terminated (SIGTERM); a run in the foreground continues in the background",
}

# Exit code of a finished run. A run on hold has 13.
ENDS: Dict[str, int] = {
    "succeeded": 0,
    "failed": 10,
    "cancelled": 11,
    "timed_out": 12,
    "lost": 13,
    "rolled_back": 14,
    "rollback_failed": 15,
}
HELD = 13
TIMEOUT = 124
INTERRUPTED = 130
READER_GONE = 141


def exit_code_of(outcomes: List[Optional[str]]) -> int:
    """Return the exit code for the outcomes of runs (None: on hold): that of the worst."""
    codes = [HELD if outcome is None else ENDS[outcome] for outcome in outcomes]
    return next((worst for worst in (15, HELD, 14, 10, 12, 11) if worst in codes), 0)
