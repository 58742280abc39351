"""Owns what a summary in Markdown says of a run: its end, graph, tasks and failures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Dict, List, Mapping, Sequence, Tuple

from provctl.app.log_end import last_lines
from provctl.core.model import Group
from provctl.core.selection import why_stale
from provctl.core.state import TROUBLES
from provctl.core.view import task_view, view
from provctl.ui.lines import (
    counts_of,
    duration,
    mebibytes,
    neutralise,
    run_finished,
    sentence,
    tally,
    words,
)

if TYPE_CHECKING:
    from provctl.app.tries import Try
    from provctl.cli.context import Session
    from provctl.core.state import RunState, TaskState
    from provctl.journal.folder import RunFolder
    from provctl.ui.markdown import Row

__all__ = ["MOST", "Course", "courses_of", "markdown_of"]

MOST = 1 << 20  # bytes of the summaries of one step that GitHub takes

_ROWS = 200
_FAILURES = 10
_LOG_LINES = 30
_NODES = 200  # that can be told apart in a picture
# What mermaid draws at most, as GitHub and GitLab have it.
_EDGES = 500
_DRAWN = 50_000  # characters
_TEXT_LINES = 100


@dataclass(frozen=True)
class Course:
    """How a run went: as it is on disk, with all its tries, up to `now`.

    `program` is what commands about it begin with. `unattended` says what became of
    running tasks if nobody owns it.
    """

    folder: RunFolder
    run: RunState
    tries: Sequence[Try]
    now: float
    program: str = "provctl"
    unattended: Mapping[str, str] = field(default_factory=dict)


def courses_of(session: Session, run_ids: Sequence[str]) -> List[Course]:
    """Read runs. Raises JournalDamaged, JournalTooNew."""
    from provctl.app.follow import Follower
    from provctl.app.tries import tries_of
    from provctl.cli.graph import now_of

    found = []
    for run_id in run_ids:
        folder = session.folder.run(run_id)
        follower = Follower(folder)
        tries = tries_of(follower.read())
        left, now = follower.unattended(), now_of(follower)
        tries = [
            replace(each, reason=left.get(each.task, "")) if not each.outcome else each
            for each in tries
        ]
        program = session.called.program
        found.append(Course(folder, follower.run, tries, now, program, left))
    return found


def markdown_of(courses: Sequence[Course], most: int = MOST) -> str:
    """Return the summary of runs, in at most so many bytes of UTF-8."""
    from provctl.ui.markdown import as_markdown

    parts: List[str] = []
    for course in courses:
        parts += _parts(course)
    return as_markdown(parts, most)


def _parts(course: Course) -> List[str]:
    """What there is to say, each part by itself, the most important first."""
    from provctl.ui import markdown

    run, now = course.run, course.now
    picture = view(run, rows=0)
    outcome = run.outcome or run.status
    good = None if run.outcome is None else outcome == "succeeded"
    took = "" if run.started_at is None else duration(now - run.started_at)
    title = f"{run.submitted.name} {words(outcome)}" + (
        f" after {took}" if took else ""
    )
    facts = f"Run {course.folder.id}: {tally(counts_of(picture))}."
    parts = [markdown.heading(title, good=good), markdown.text(facts)]
    parts += [_drawn(course), markdown.table(_rows(course), len(run.tasks) - _ROWS)]
    parts += [markdown.text(_critical(run, now))]
    parts += [
        markdown.log(f"{name}: {why}", log) for name, why, log in _failures(course)
    ]
    parts += [
        markdown.command(line.strip())
        for line in run_finished(picture, course.program)
        if f"{course.program} workflow" in line
    ]
    return parts


def _drawn(course: Course) -> str:
    from provctl.cli.graph import picture_of_run
    from provctl.ui.markdown import fenced
    from provctl.ui.picture_text import as_mermaid, as_text

    picture = picture_of_run(course.run, course.now, course.unattended)
    if len(picture.nodes) <= _NODES and len(picture.edges) <= _EDGES:
        drawn = as_mermaid(picture)
        if len(drawn) <= _DRAWN:
            return fenced("mermaid", drawn.splitlines())
    lines = as_text(picture).splitlines()
    if len(lines) > _TEXT_LINES:
        lines[_TEXT_LINES:] = [f"... and {len(lines) - _TEXT_LINES} more"]
    return fenced("text", [neutralise(line, limit=200) for line in lines])


def _rows(course: Course) -> List[Row]:
    """The tasks, what failed first, then what was tried again, then in file order."""
    from provctl.ui.markdown import Row

    used: Dict[str, Tuple[float, int]] = {}
    for each in course.tries:
        cpu_s, memory = used.get(each.task, (0.0, 0))
        used[each.task] = cpu_s + each.cpu_s, max(memory, each.max_rss_bytes)
    tasks = [
        task
        for task in course.run.tasks.values()
        if not isinstance(task.task.action, Group)
    ]
    tasks.sort(key=lambda task: (task.outcome not in TROUBLES, task.tries < 2))
    rows = []
    why = {**why_stale(course.run), **course.unattended}
    for task in tasks[:_ROWS]:
        cpu_s, memory = used.get(task.task.id, (0.0, 0))
        rows.append(
            Row(
                task=task.task.id,
                outcome=words(task.outcome or task.status),
                attempts=task.tries,
                took=_took(task),
                cpu=duration(cpu_s) if cpu_s else "",
                memory=mebibytes(memory),
                why=task.reason or why.get(task.task.id, ""),
                good=task.outcome not in TROUBLES,
            )
        )
    return rows


def _took(task: TaskState) -> str:
    if task.started_at is None or task.finished_at is None:
        return ""
    return duration(task.finished_at - task.started_at)


def _critical(run: RunState, now: float) -> str:
    """Say which chain of tasks decided how long it took."""
    from provctl.app.expected import chart_of_run

    chart = chart_of_run(run, now)
    shown = [
        f"{name} {duration(chart.took_s[name])}"
        for name in chart.path
        if run.tasks[name].started_at is not None
    ]
    if len(shown) > 20:
        shown[10:-10] = ["..."]
    whole = duration(sum(chart.took_s[name] for name in chart.path))
    return f"Critical path, {whole}: {', then '.join(shown)}." if shown else ""


def _failures(course: Course) -> List[Tuple[str, str, List[str]]]:
    """Task, why, and the end of its log, of what failed or is held."""
    found: List[Tuple[str, str, List[str]]] = []
    for task in course.run.troubled()[:_FAILURES]:
        path = course.folder.log_of(task.task.index, task.attempt)
        log = [neutralise(line, limit=300) for line in last_lines(path, _LOG_LINES)]
        why = sentence(task_view(task), now=0.0, took=_took(task))
        found.append((task.task.id, why, log))
    return found
