"""The exit codes: which there are, what they mean, and what runs end with."""

from __future__ import annotations

from typing import Dict, List, Optional

EXIT_CODES: Dict[int, str] = {
    0: "success",
    1: "a bug, or the output could not be written",
    2: "wrong usage: a flag, an argument, the configuration; or `--yes` is missing",
    10: "the run failed",
    11: "the run was cancelled",
    12: "the run timed out",
    13: "how a task ended cannot be known: the run is held, or lost",
    14: "the run was rolled back: what could be undone is",
    15: "it was rolled back, and an undo failed: something stands",
    30: "no scheduler, and none could be started",
    31: "the journal was written by a newer version; it is left untouched",
    32: "the state directory cannot be used",
    33: "a journal, or a schedule, is damaged",
    40: "no such run, batch, task or schedule, or several",
    41: "refused: the run is in the wrong status, or has another owner",
    42: "the key of the submission is taken by other content",
    50: "the workflow file, or a template, is invalid",
    52: "a needed tool is missing: `nu` or `nickel`; or the library does not fit",
    124: "the `--timeout` of `wait` or `monitor` is over; the run goes on",
    129: "the terminal of a run in the foreground has gone; the run goes on in the background",
    130: "Ctrl-C while watching, or `detach`: stopped watching; the run goes on",
    141: "whoever read the output has gone; a run in the foreground goes on in the background",
    143: "SIGTERM: it stopped watching; a run in the foreground goes on in the background",
}

# Exit code of a finished run; of a run that is held, 13.
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
    """Return the exit code of runs that ended so (None: held); the worst of them."""
    codes = [HELD if outcome is None else ENDS[outcome] for outcome in outcomes]
    return next((worst for worst in (15, HELD, 14, 10, 12, 11) if worst in codes), 0)
