"""The Markdown summary of a run: outcome, graph, tasks and failures."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Dict, List, Mapping, Sequence, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.core.engine.reopen import why_stale
from provctl.core.engine.view import task_view, view
from provctl.core.model.status import NEEDS_ATTENTION
from provctl.core.model.workflow import SubWorkflow
from provctl.render.text import (
    counts_of,
    describe_task,
    duration,
    format_counts,
    format_mib,
    humanize,
    run_finished,
    sanitize,
)
from provctl.runs.log_tail import last_lines

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.engine.state import RunState, TaskState
    from provctl.render.markdown import TaskRow
    from provctl.runs.history.attempts import Attempt
    from provctl.storage.layout import RunDir


MOST = 1 << 20  # bytes that GitHub accepts for the summaries of one step

_ROWS = 200
_FAILURES = 10
_LOG_LINES = 30
_NODES = 200  # more nodes are unreadable in a picture
# The limits of mermaid in GitHub and GitLab.
_EDGES = 500
_DRAWN = 50_000  # characters
_TEXT_LINES = 100


@light_dataclass
class RunSummaryReport:
    """A run as it is on disk, with all its attempts, up to `now`.

    `program` is the prefix of commands about it. `unattended` is the state of running
    tasks of an orphaned run.
    """

    folder: RunDir
    run: RunState
    attempts: Sequence[Attempt]
    now: float
    program: str = "provctl"
    unattended: Mapping[str, str] = field(default_factory=dict)


def summaries_of(session: Session, run_ids: Sequence[str]) -> List[RunSummaryReport]:
    """Read runs. Raises JournalDamaged, JournalTooNew."""
    from provctl.cli.run_graph import now_of
    from provctl.runs.follow import Follower
    from provctl.runs.history.attempts import attempts_of

    found = []
    for run_id in run_ids:
        folder = session.folder.run(run_id)
        follower = Follower(folder)
        attempts = attempts_of(follower.read())
        left, now = follower.unattended(), now_of(follower)
        attempts = [
            replace(each, reason=left.get(each.task, "")) if not each.outcome else each
            for each in attempts
        ]
        program = session.called.program
        found.append(
            RunSummaryReport(folder, follower.run, attempts, now, program, left)
        )
    return found


def markdown_of(courses: Sequence[RunSummaryReport], most: int = MOST) -> str:
    """Return the summary of runs, in at most so many bytes of UTF-8."""
    from provctl.render.markdown import as_markdown

    parts: List[str] = []
    for course in courses:
        parts += _parts(course)
    return as_markdown(parts, most)


def _parts(course: RunSummaryReport) -> List[str]:
    """The separate parts of the summary, the most important first."""
    from provctl.render import markdown

    run, now = course.run, course.now
    picture = view(run, rows=0)
    outcome = run.outcome or run.status
    good = None if run.outcome is None else outcome == "succeeded"
    took = "" if run.started_at is None else duration(now - run.started_at)
    title = f"{run.submitted.name} {humanize(outcome)}" + (
        f" after {took}" if took else ""
    )
    facts = f"Run {course.folder.id}: {format_counts(counts_of(picture))}."
    parts = [markdown.heading(title, good=good), markdown.text(facts)]
    parts += [_drawn(course), markdown.table(_rows(course), len(run.tasks) - _ROWS)]
    parts += [markdown.text(_critical(run, now))]
    parts += [
        markdown.log(f"{name}: {why}", log) for name, why, log in _failures(course)
    ]
    parts += [
        markdown.command(line.strip())
        for line in run_finished(picture, course.program)
        if f": {course.program} " in line and not line.startswith("    ")
    ]
    return parts


def _drawn(course: RunSummaryReport) -> str:
    from provctl.cli.run_graph import picture_of_run
    from provctl.render.graph.text import as_mermaid, as_text
    from provctl.render.markdown import fenced

    picture = picture_of_run(course.run, course.now, course.unattended)
    if len(picture.nodes) <= _NODES and len(picture.edges) <= _EDGES:
        drawn = as_mermaid(picture)
        if len(drawn) <= _DRAWN:
            return fenced("mermaid", drawn.splitlines())
    lines = as_text(picture).splitlines()
    if len(lines) > _TEXT_LINES:
        lines[_TEXT_LINES:] = [f"... and {len(lines) - _TEXT_LINES} more"]
    return fenced("text", [sanitize(line, limit=200) for line in lines])


def _rows(course: RunSummaryReport) -> List[TaskRow]:
    """The tasks: failed ones first, then retried ones, then in file order."""
    from provctl.render.markdown import TaskRow

    used: Dict[str, Tuple[float, int]] = {}
    for each in course.attempts:
        cpu_s, memory = used.get(each.task, (0.0, 0))
        used[each.task] = (
            cpu_s + each.result.cpu_s,
            max(memory, each.result.max_rss_bytes),
        )
    tasks = [
        task
        for task in course.run.tasks.values()
        if not isinstance(task.task.action, SubWorkflow)
    ]
    tasks.sort(
        key=lambda task: (
            task.outcome not in NEEDS_ATTENTION,
            task.counted_attempts < 2,
        )
    )
    rows = []
    why = {**why_stale(course.run), **course.unattended}
    for task in tasks[:_ROWS]:
        cpu_s, memory = used.get(task.task.id, (0.0, 0))
        rows.append(
            TaskRow(
                task=task.task.id,
                outcome=humanize(task.outcome or task.status),
                attempts=task.counted_attempts,
                took=_took(task),
                cpu=duration(cpu_s) if cpu_s else "",
                memory=format_mib(memory),
                why=task.reason or why.get(task.task.id, ""),
                good=task.outcome not in NEEDS_ATTENTION,
            )
        )
    return rows


def _took(task: TaskState) -> str:
    if task.started_at is None or task.finished_at is None:
        return ""
    return duration(task.finished_at - task.started_at)


def _critical(run: RunState, now: float) -> str:
    """Name the critical path and its duration."""
    from provctl.runs.history.estimates import critical_path_of_run

    chart = critical_path_of_run(run, now)
    shown = [
        f"{name} {duration(chart.took_s[name])}"
        for name in chart.path
        if run.tasks[name].started_at is not None
    ]
    if len(shown) > 20:
        shown[10:-10] = ["..."]
    whole = duration(sum(chart.took_s[name] for name in chart.path))
    return f"Critical path, {whole}: {', then '.join(shown)}." if shown else ""


def _failures(course: RunSummaryReport) -> List[Tuple[str, str, List[str]]]:
    """Task, reason, and the end of its log, for failed and held tasks."""
    found: List[Tuple[str, str, List[str]]] = []
    for task in course.run.tasks_needing_attention()[:_FAILURES]:
        path = course.folder.log_of(task.task.index, task.attempt)
        log = [sanitize(line, limit=300) for line in last_lines(path, _LOG_LINES)]
        why = describe_task(task_view(task), now=0.0, took=_took(task))
        found.append((task.task.id, why, log))
    return found
