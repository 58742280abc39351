"""Plain text about runs: event lines, the final report and hints.

No rich here, so it is fast to import. Task ids, messages, reasons and logs are
untrusted: all of them pass through `sanitize` before they are shown.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, List, Mapping, Optional

from provctl.core.model.status import FAILURES

if TYPE_CHECKING:
    from provctl.core.engine.view import RunView, TaskView


# The outcomes of tasks and runs, then all their states, in the order in which counts
# are shown.
OUTCOMES = (
    "undo_failed",
    "rollback_failed",
    "failed",
    "timed_out",
    "lost",
    "interrupted",
    "cancelled",
    "skipped",
    "undone",
    "rolled_back",
    "succeeded",
)
STATES = (
    "running",
    "retrying",
    "cancelling",
    "rolling_back",
    "paused",
    "held",
    "queued",
    "incomplete",
    "ready",
    "waiting",
    *OUTCOMES,
)

FAILED_TASKS_SHOWN = 10
_STANDING_SHOWN = 20

# Escape sequences: colours, cursor moves, titles, links, clipboard writes. A sequence
# without its terminator is shown, not dropped.
_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_SPACE = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]")
# Other control characters, and what changes the order, the width or nothing at all.
_INVISIBLE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe0f\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def sanitize(text: str, *, limit: int = 1000) -> str:
    """Make untrusted text safe to show on one line, at most `limit` characters of it.

    Escape sequences, control characters and bidirectional overrides are dropped,
    tabs and line ends become spaces, undecodable bytes a replacement character.
    """
    text = truncate_text(text, limit)
    if text.isprintable() and "\ufe0f" not in text:
        return text
    text = _ESCAPE_SEQUENCE.sub("", text)
    text = _SPACE.sub(" ", text)
    text = _INVISIBLE.sub("", text)
    return _SURROGATE.sub("\ufffd", text)


def truncate_text(text: str, limit: int) -> str:
    """Truncate a text to `limit` characters; "..." marks the cut."""
    return text if len(text) <= limit else text[: max(limit - 3, 0)] + "..."


def encodable(text: str, encoding: str) -> str:
    """Replace characters that an encoding does not have by question marks."""
    return text.encode(encoding, "replace").decode(encoding)


def duration(seconds: float) -> str:
    """Format a duration in at most two units: 0.4s, 5s, 12s, 1m05s, 2h03m."""
    tenths = int(max(seconds, 0.0) * 10)
    if tenths < 100 and tenths % 10:
        return f"{tenths / 10}s"
    minutes, whole_seconds = divmod(tenths // 10, 60)
    if not minutes:
        return f"{whole_seconds}s"
    if minutes < 60:
        return f"{minutes}m{whole_seconds:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"


def format_mib(size: int) -> str:
    """Format a size in bytes as MiB; "" for 0."""
    return f"{size / (1 << 20):.0f} MiB" if size else ""


def elapsed(
    started_at: Optional[float],
    finished_at: Optional[float],
    now: Optional[float] = None,
) -> str:
    """Format the time from start to finish, or to `now`; "" if unknown.

    A running time is shown in whole seconds, so that it does not flicker.
    """
    if started_at is None:
        return ""
    if finished_at is not None:
        return duration(finished_at - started_at)
    return duration(int(now - started_at)) if now is not None else ""


def state_of(task: TaskView) -> str:
    """Return the state under which a task is counted: its outcome, else its status."""
    if task.status == "finished" and task.outcome is not None:
        return task.outcome
    return task.status


def humanize(state: str) -> str:
    """Format a status or an outcome for people."""
    return state.replace("_", " ")


def counts_of(view: RunView) -> Mapping[str, int]:
    """Count the tasks by state, from the rows if the view has no counts."""
    return view.counts or Counter(map(state_of, view.tasks))


def format_counts(counts: Mapping[str, int]) -> str:
    """Format counts: "2 running, 1 failed, 12 succeeded"."""
    text = ", ".join(f"{counts[s]} {humanize(s)}" for s in STATES if counts.get(s))
    return text or "no tasks"


def describe_task(task: TaskView, *, now: float, took: str = "") -> str:
    """Describe the state of a task, its reason, and what to do.

    `took` is its duration; "" to leave it out.
    """
    state = state_of(task)
    if task.unattended:
        return task.unattended
    if state == "running":
        begun = _BEGUN.get(activity(task), activity(task))
        return begun + _attempt(task, task.attempt)
    if task.shortage:
        return f"{state}: {sanitize(task.shortage)}"
    if state in ("waiting", "ready"):
        return f"{state} to be undone" if task.purpose == "undo" else _waits(task)
    why = _cause(task)
    because = f": {why}" if why else ""
    if state == "retrying":
        wait = task.retry_at - now if task.retry_at is not None else 0.0
        soon = f"in {duration(math.ceil(wait))}" if wait > 0 else "now"
        again = "retrying undo" if task.purpose == "undo" else "retrying"
        return f"{again} {soon}{_attempt(task, task.attempt + 1)}{because}"
    if state == "held":
        doubt = f" ({task.outcome})" if task.outcome else ""
        return f"held{doubt}{because}; check its effects, then resolve it"
    if _stands(task):
        return f"not undone{because}"
    if took:
        joint = "in" if state in ("succeeded", "undone") else "after"
        return f"{humanize(state)} {joint} {took}{because}"
    if state == "failed" and task.started_at is None:
        return f"failed before it started{because}"
    return humanize(state) + because


def _waits(task: TaskView) -> str:
    """Describe briefly what a task is waiting for, if known."""
    if task.status == "ready" or not task.waits_for:
        return task.status
    names = ", ".join(map(sanitize, task.waits_for))
    more = f" and {task.waits_more} more" if task.waits_more else ""
    return f"waiting for {names}{more}"


def _stands(task: TaskView) -> bool:
    """Whether a rollback should have undone the task, but did not."""
    undoing = task.purpose == "undo" and task.status == "finished"
    return undoing and task.outcome not in ("undone", "undo_failed")


def activity(task: TaskView) -> str:
    """Return one word for the activity of a running task."""
    if task.stopping:
        return "stopping"
    if task.frozen:
        return "frozen"
    return {"undo": "undoing", "probe": "probing"}.get(task.purpose, "running")


# The words for the start of each activity.
_BEGUN = {"running": "started", "undoing": "undo started", "probing": "probe started"}


def task_line(task: TaskView, *, width: int, now: float) -> str:
    """Format a change of one task in one line; `width` is the width of the ids."""
    took = elapsed(task.started_at, task.finished_at)
    return f"{sanitize(task.id):<{width}}  {describe_task(task, now=now, took=took)}"


def run_started(view: RunView) -> str:
    """Format the start of a run."""
    began = "queued" if view.status == "queued" else "started"
    tasks = "1 task" if view.total == 1 else f"{view.total} tasks"
    return f"{_title(view)} {began}: {tasks}"


def run_changed(view: RunView) -> str:
    """Format a change of the run as a whole."""
    return (
        f"{_title(view)} is {humanize(view.status)}: {format_counts(counts_of(view))}"
    )


def run_finished(view: RunView, program: str = "provctl") -> List[str]:
    """Return the final report of a run: outcome, failures and next commands.

    `program` is the prefix of commands.

    For a run that continues elsewhere, this shows the command to watch it. The first
    failures are shown with the ends of their logs.
    """
    command = partial(_command, program)
    if view.status == "finished":
        ended = humanize(view.outcome or view.status)
        took = elapsed(view.started_at, view.finished_at)
        joint = "in" if view.outcome == "succeeded" else "after"
        outcome = f"{ended} {joint} {took}" if took else ended
        lines = [f"{_title(view)} {outcome}: {format_counts(counts_of(view))}"]
        lines += [*remaining_resources(view), *cleanup_notes(view)]
    else:
        lines = [run_changed(view)]
        if view.status == "paused":
            lines.append(f"  resume it: {command('resume', view.id)}")
        elif view.status != "held":
            lines.append(
                f"  the run continues; watch it: {command('monitor', view.id)}"
            )
    troubled = [task for task in view.tasks if task.needs_attention]
    for task in troubled[:FAILED_TASKS_SHOWN]:
        lines += ["", *_trouble(view, task, program)]
    unreported = len(troubled) - FAILED_TASKS_SHOWN
    if unreported > 0:
        lines += ["", f"and {unreported} more: {command('status', view.id)}"]
    if view.outcome in ("failed", "timed_out", "cancelled", "lost"):
        lines += ["", f"retry the unsuccessful tasks: {command('retry', view.id)}"]
    elif view.outcome == "rollback_failed":
        lines += ["", f"retry the rollback: {command('rollback', view.id)}"]
    return lines


def remaining_resources(view: RunView) -> List[str]:
    """List what remains, or may remain, after a rollback."""
    if view.outcome not in ("rolled_back", "rollback_failed"):
        return []
    began = [t for t in view.tasks if t.started_at is not None and not t.is_group]
    there = [t for t in began if t.outcome == "succeeded"]
    maybe = [t for t in began if t.outcome in (*FAILURES, "cancelled", "undo_failed")]
    lines = []
    for how, tasks in (("remains", there), ("may remain", maybe)):
        shown = tasks[:_STANDING_SHOWN]
        lines += [f"  {how}: {sanitize(t.id)} ({_why_it_stands(t)})" for t in shown]
        if len(tasks) > len(shown):
            lines.append(f"  {how}: and {len(tasks) - len(shown)} more")
    return lines


def cleanup_notes(view: RunView) -> List[str]:
    """List leftover processes and dropped log bytes of tasks."""
    lines = []
    for task in view.tasks:
        notes = []
        if task.result.stuck:
            notes.append(
                f"processes stuck in the kernel that cannot be killed: {task.result.stuck}"
            )
        if task.result.survivors > task.result.stuck:
            swept = task.result.survivors - task.result.stuck
            what = "process" if swept == 1 else "processes"
            notes.append(f"{swept} leftover {what} killed")
        if task.result.log_dropped_bytes:
            notes.append(f"bytes dropped from its log: {task.result.log_dropped_bytes}")
        lines += [f"  {sanitize(task.id)}: {note}" for note in notes]
    if len(lines) > _STANDING_SHOWN:
        unreported = len(lines) - _STANDING_SHOWN
        lines[_STANDING_SHOWN:] = [f"  and {unreported} more"]
    return lines


def progress_of(task: TaskView) -> str:
    """Format the progress of a running task; of a finished one the last message."""
    if task.status not in ("running", "finished"):
        return ""
    message = sanitize(task.progress.message)
    percent = task.progress.percent if task.status == "running" else None
    return " ".join(
        filter(None, ("" if percent is None else f"{percent:.0f}%", message))
    )


def _why_it_stands(task: TaskView) -> str:
    if task.outcome != "succeeded":
        return describe_task(task, now=0.0)
    if not task.has_undo:
        return "no undo"
    return _cause(task) or "not part of the rollback"


def _trouble(view: RunView, task: TaskView, program: str) -> List[str]:
    """Describe a failed or held task, with the end of its log."""
    task_id = sanitize(task.id)
    took = elapsed(task.started_at, task.finished_at)
    # A held task has no retry time, so any `now` works.
    lines = [f"{task_id} {describe_task(task, now=0.0, took=took)}"]
    lines += [f"    {sanitize(line)}" for line in task.log_tail]
    if task.attempt:
        lines.append(f"  full log: {_command(program, 'logs', view.id, task_id)}")
    if task.status == "held":
        lines += resolve_commands(view.id, task.id, program)
    return lines


def resolve_commands(run_id: str, task_id: str, program: str) -> List[str]:
    """The commands that resolve a held task."""
    decide = _command(program, "resume", run_id)
    task_id = sanitize(task_id)
    return [
        f"  rerun it:        {decide} --rerun {task_id}",
        f"  accept as done:  {decide} --accept {task_id}",
        f"  mark as failed:  {decide} --fail {task_id}",
    ]


def _title(view: RunView) -> str:
    return f"run {sanitize(view.id)} ({sanitize(view.name)})"


def _command(program: str, verb: str, *arguments: str) -> str:
    return " ".join([program, verb, *map(sanitize, arguments)])


def _attempt(task: TaskView, number: int) -> str:
    """Format the attempt number; "" for the first."""
    return f" (attempt {number}/{max(task.attempts, number)})" if number > 1 else ""


def _cause(task: TaskView) -> str:
    """Format why a task finished as it did: signal or exit code, then the reason."""
    reason = sanitize(task.reason or task.stale)
    code = ""
    if task.result.signal is not None:
        code = _signal_name(task.result.signal)
    elif task.result.exit_code:
        code = f"exit code {task.result.exit_code}"
    if code in reason:
        return reason
    return f"{code}, {reason}" if reason else code


def _signal_name(number: int) -> str:
    from signal import Signals

    try:
        return Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"
