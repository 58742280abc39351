"""`explain`: why a run or a task is where it is, in words or as records."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional

import click

from provctl.base.text import plain
from provctl.base.timefmt import format_iso, time_of_day
from provctl.cli.completion.param_types import RUN_OR_TASK

if TYPE_CHECKING:
    from provctl.cli.session import Session
    from provctl.core.analysis.explain import Reason
    from provctl.core.engine.state import RunState, TaskState
    from provctl.core.engine.view import TaskView
    from provctl.runs.history.estimates import CriticalPathReport


_SHOWN = 20  # tasks of a run
_OF_EACH = 5  # of them for people, by status
_TAIL = 5  # lines of the log of what failed


@click.command()
@click.argument("run", metavar="RUN[/TASK]", type=RUN_OR_TASK)
@click.pass_obj
def explain(session: Session, run: str) -> None:
    """Explain why a run or task is waiting, failed or was skipped.

    For a run: what it is waiting for, or why it failed. For a task: why it has not
    started, or what its outcome is. If there are earlier runs, also the critical path
    and the slack of the other tasks.
    """
    from provctl.base.flock import is_locked
    from provctl.core.analysis.explain import explain as because_of
    from provctl.core.engine.reopen import why_stale
    from provctl.core.engine.requests import no_task
    from provctl.core.engine.view import task_view
    from provctl.runs.find import find_run
    from provctl.runs.follow import ownerless_status
    from provctl.runs.history.estimates import RunContext, held_elsewhere, shared_state

    name, _, task_id = run.partition("/")
    run_id = find_run(session.folder, name)
    settings = session.loaded.settings
    slots = settings.executor.max_concurrent_tasks
    folder = session.folder.run(run_id)
    owned = is_locked(folder.lock)
    state = shared_state(session.folder, run_id, slots=slots, capacity=settings.pools)
    about = state.runs[run_id]
    left = ownerless_status(folder, about, owned=owned)
    goes_on = owned or about.outcome is not None
    if task_id and task_id not in about.tasks:
        raise no_task(about, task_id)
    run_context = RunContext(session.folder, time.time())  # noqa: TID251  # for people only
    chosen = [task_id] if task_id else _select_tasks(about)
    # An orphaned run makes no progress, so estimates would be wrong.
    chart = run_context.chart(about) if goes_on else None
    others = held_elsewhere(session.folder, state, max(slots, state.slots))

    def reasons_of(each: str) -> List[Reason]:
        found = because_of(
            state,
            run_id,
            each,
            run_context.expected_end,
            unattended=left,
            elsewhere=others,
        )
        leeway = _leeway(chart, about, about.tasks[each]) if chart is not None else ()
        return [*found, *leeway]

    reasons = {each: reasons_of(each) for each in chosen}
    if session.output != "table":
        stale = why_stale(about)
        records = [
            _record(run_id, task_view(about.tasks[each], stale, left), because)
            for each, because in reasons.items()
        ]
        for line in _data(session, records):
            click.echo(line)
        return
    click.echo(_headline(session, about, goes_on=goes_on))
    _print(session, about, reasons, {} if task_id else _fold(about, reasons))


def _print(
    session: Session,
    about: RunState,
    reasons: Dict[str, List[Reason]],
    folded: Dict[str, int],
) -> None:
    """Print the reasons, for people."""
    for each, because in reasons.items():
        for line in _lines(session, about, about.tasks[each], because):
            click.echo(line)
    if folded:
        from provctl.render.text import format_counts

        one = session.called.with_flags(f"provctl explain {about.submitted.run}/TASK")
        click.echo(f"and {format_counts(folded)}; to explain one: {one}")
    if about.outcome is not None and not reasons:
        click.echo(f"  {_summary_lines(about)}")


def _fold(run: RunState, reasons: Dict[str, List[Reason]]) -> Dict[str, int]:
    """Keep a few tasks of each status of an active run; return how many were removed."""
    if run.outcome is not None:
        return {}
    shown: Dict[str, int] = {}
    for task_id in list(reasons):
        status = run.tasks[task_id].status
        shown[status] = shown.get(status, 0) + 1
        if shown[status] > _OF_EACH:
            del reasons[task_id]
    left = {
        each: run.counts.get(each, 0) - min(n, _OF_EACH) for each, n in shown.items()
    }
    return {status: count for status, count in left.items() if count > 0}


def _summary_lines(run: RunState) -> str:
    """Summarize a finished run that has no task to explain."""
    from provctl.core.engine.view import view
    from provctl.render.text import counts_of, elapsed, format_counts, humanize

    joint = "in" if run.outcome == "succeeded" else "after"
    took = elapsed(run.started_at, run.finished_at)
    outcome = f"{humanize(run.outcome or '')} {joint} {took}" if took else run.outcome
    return f"{outcome}: {format_counts(counts_of(view(run, rows=0)))}"


def _select_tasks(run: RunState) -> List[str]:
    """The tasks that explain a run best: active or waiting ones, or causes of failure."""
    from provctl.core.analysis.explain import root_causes

    if run.outcome is None:
        waiting = [t for t, task in run.tasks.items() if task.status == "ready"]
        return [*list(run.active)[:_SHOWN], *waiting[:_SHOWN]][:_SHOWN] or [
            t for t, task in run.tasks.items() if task.status != "finished"
        ][:_SHOWN]
    causes: Dict[str, None] = {}
    for failed in run.failed:
        for cause in root_causes(run, run.tasks[failed]):
            causes[cause.task.id] = None
    return list(causes)[:_SHOWN]


def _record(run_id: str, task: TaskView, reasons: List[Reason]) -> Dict[str, Any]:
    from provctl.api.records import task_record

    return {
        "run": run_id,
        **task_record(task),
        "because": [_reason_record(reason) for reason in reasons],
    }


def _leeway(
    chart: CriticalPathReport, run: RunState, task: TaskState
) -> Iterator[Reason]:
    """The slack of a task, if it is meaningful."""
    from provctl.core.analysis.explain import Reason
    from provctl.core.model.workflow import SubWorkflow
    from provctl.render.text import duration

    if task.outcome not in (None, "succeeded") or isinstance(
        task.task.action, SubWorkflow
    ):
        return
    spare = chart.timings[task.task.id].slack_s
    if task.task.id in chart.critical:
        text = "on the critical path: a delay of this task delays the run"
        if run.outcome is not None:
            text = "on the critical path: it determined the duration of the run"
        yield Reason("slack", text)
    elif spare >= _SPARE_S and (task.outcome is None or run.outcome is not None):
        yield Reason("slack", f"slack: {duration(spare)}")


_SPARE_S = 0.1


def _reason_record(reason: Reason) -> Dict[str, Any]:
    return {
        "kind": reason.kind,
        "text": reason.text,
        "tasks": [{"run": run, "task": task} for run, task in reason.tasks],
        "until": format_iso(reason.until),
    }


def _data(session: Session, records: List[Dict[str, Any]]) -> List[str]:
    if session.output == "name":
        return [f"{record['run']}/{record['id']}" for record in records]
    if session.output == "jsonl":
        return [json.dumps(record) for record in records]
    return [json.dumps(records, indent=2)]


def _headline(session: Session, run: RunState, *, goes_on: bool) -> str:
    from provctl.cli.run_details import as_submitted, ownerless_hint, run_title
    from provctl.core.engine.view import view

    picture = as_submitted(session, view(run, rows=0), owned=goes_on)
    headline = run_title(picture)
    if not goes_on:
        headline += f"\n{ownerless_hint(session, picture)}"
    return headline


def _lines(
    session: Session, run: RunState, task: TaskState, reasons: List[Reason]
) -> List[str]:
    own = run.submitted.run
    lines = [f"{plain(task.task.id)}: {task.outcome or task.status}"]
    for because in reasons:
        text = plain(because.text)
        if because.kind in _WITH_NAMES and because.tasks:
            named = (
                name if owner == own else f"{owner}/{name}"
                for owner, name in because.tasks
            )
            text += f": {plain(', '.join(named))}"
        lines.append(f"  {text}{_until(because.until)}")
        if because.kind in ("failed", "root_cause"):
            whose = because.tasks[0][1] if because.tasks else task.task.id
            lines += _tail_of(session, run, whose)
    return lines


_WITH_NAMES = ("slots", "pool", "run_limit", "behind", "running")


def _until(at: Optional[float]) -> str:
    if at is None:
        return ""
    from provctl.render.text import duration

    left = at - time.time()  # noqa: TID251  # for people only
    return f" (until about {time_of_day(at)}, in {duration(max(left, 0.0))})"


def _tail_of(session: Session, run: RunState, task_id: str) -> List[str]:
    """The last lines of the log of a failed task."""
    task = run.tasks[task_id]
    if not task.attempt:
        return []
    from provctl.render.ci_dialects import detect_ci_log_format
    from provctl.runs.log_tail import error_tail

    log = session.folder.run(run.submitted.run).log_of(task.task.index, task.attempt)
    harmless = detect_ci_log_format(session.environ).harmless
    return [harmless(f"    | {plain(line)}") for line in error_tail(log, _TAIL)]
