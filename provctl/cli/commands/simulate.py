"""`simulate`: how long a run would take with so many jobs, and what decides it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
)

import click

from provctl.base.text import plain
from provctl.cli.completion.param_types import FILE_OR_RUN
from provctl.cli.options.run_options import params_option
from provctl.cli.session import Session, by_key, emit, plural, print_message
from provctl.errors import UsageError

if TYPE_CHECKING:
    from provctl.core.analysis.simulate import SimulationResult
    from provctl.runs.history.simulation_study import SimulationInput, SimulationStudy


_JOBS = "1,2,4,8,16,32"
_JOBS_MAX = 100_000
_PATH = "critical path"
_NAMED = 5  # tasks, in a line
_WIDTH_MAX = 120  # columns


class _Jobs(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # 8.1 has none
    """Numbers with commas between them."""

    name = "n,n,..."

    def convert(
        self,
        value: Any,
        param: Optional[click.Parameter],
        ctx: Optional[click.Context],
    ) -> Tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        words = str(value).split(",")
        if not all(word.strip().isdecimal() for word in words):
            self.fail(f"{plain(str(value))} is not of the form 4,8,16", param, ctx)
        numbers = tuple(dict.fromkeys(int(word) for word in words))
        if not all(1 <= number <= _JOBS_MAX for number in numbers):
            self.fail(f"jobs must be from 1 to {_JOBS_MAX}", param, ctx)
        return numbers


@click.command()
@click.argument("what", metavar="FILE|RUN", type=FILE_OR_RUN)
@params_option("Set a parameter of the workflow FILE.")
@click.option(
    "-j", "--jobs", type=_Jobs(), default=_JOBS, show_default=True,
    help="Maximum number of tasks in parallel; one result for each number.",
)  # fmt: skip
@click.option(
    "--pessimistic",
    is_flag=True,
    help="Use the 90th percentile of durations instead of the median.",
)
@click.option(
    "--duration", "durations", multiple=True, metavar="TASK=TIME",
    help="Assume this duration for a task: web-1=90s.",
)  # fmt: skip
@click.option(
    "--default-duration", metavar="TIME",
    help="Duration for tasks without history (default: the median of the others, or 1s).",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0),
    help="Let attempts fail as often as in earlier runs; the same seed gives the same result.",
)  # fmt: skip
@click.option(
    "--schedule", "--gantt", "schedule", is_flag=True,
    help="Show when each task runs, for the last number of jobs.",
)  # fmt: skip
@click.pass_obj
def simulate(
    session: Session,
    what: str,
    params: Tuple[str, ...],
    jobs: Tuple[int, ...],
    pessimistic: bool,
    durations: Tuple[str, ...],
    default_duration: Optional[str],
    seed: Optional[int],
    schedule: bool,
) -> None:
    """Estimate how long a workflow FILE, or a RUN again, would take, and why.

    This runs nothing. It simulates the real scheduler on a virtual clock, with
    dependencies, priorities and pools. Durations come from RUN, or the median of
    earlier runs. All conditions are taken as true and all attempts as successful;
    assumptions are listed.
    """
    from provctl.runs.history.simulation_study import SimulationOptions, play

    question = SimulationOptions(
        jobs,
        pessimistic,
        by_key("--duration", map(_duration, durations)),
        None if default_duration is None else _seconds(default_duration),
        seed,
    )
    trial = play(session.folder, _subject(session, what, params), question)
    for note in _notes(trial):
        print_message(f"note: {note}")
    if session.output == "json":
        click.echo(json.dumps(_record(trial, schedule=schedule), indent=2))
        return
    rows = [_row(trial, each, schedule=schedule) for each in trial.simulations]
    columns = ["jobs", "takes", "faster", "used", "decided by", "tail"]
    if seed is not None:
        columns.append("outcome")
    emit(session, rows, columns, name="jobs")
    if session.output == "table":
        for line in [*_conclusions(trial), *(_chart(trial) if schedule else ())]:
            click.echo(plain(line))


def _subject(session: Session, what: str, params: Sequence[str]) -> SimulationInput:
    from provctl.cli.load_workflow import is_file, load
    from provctl.runs.history.simulation_study import SimulationInput

    pools = session.loaded.settings.pools
    if is_file(what):
        return SimulationInput(load(session, what, params), pools)
    from provctl.runs.find import find_run
    from provctl.runs.follow import Follower

    if params:
        message = "-p sets parameters of a file, but a run already has its parameters"
        raise UsageError(message, hint="give the workflow file")
    follower = Follower(session.folder.run(find_run(session.folder, what)))
    follower.read_state()
    return SimulationInput(follower.run.workflow, pools, follower.run)


def _duration(text: str) -> Tuple[str, float]:
    task, equals, time = text.rpartition("=")
    if not equals or not task:
        message = f"--duration {text}: not of the form TASK=TIME"
        raise UsageError(message, hint="for example: --duration web-1=90s")
    return task, _seconds(time)


def _seconds(text: str) -> float:
    from provctl.base.timefmt import parse_duration

    try:
        return parse_duration(text)
    except ValueError as problem:
        message = f"{text}: {problem}"
        raise UsageError(message, hint="for example: 90s") from None


# -- what was taken for granted ------------------------------------------------------


def _notes(trial: SimulationStudy) -> Iterator[str]:
    from provctl.render.text import duration

    workflow = trial.subject.workflow
    if trial.assumed:
        each = duration(trial.assumed_s)
        yield f"no earlier runs, assumed duration {each}: {_some(trial.assumed)}"
    conditions = [task.id for task in workflow.tasks if task.when is not None]
    if conditions:
        yield f"conditions assumed true: {_some(conditions)}"
    if trial.without_limit.skipped:
        why = ", because no failures are assumed" if trial.question.seed is None else ""
        yield f"skipped{why}: {_some(trial.without_limit.skipped)}"
    pools = dict.fromkeys(name for task in workflow.tasks for name in task.pools)
    unknown = [name for name in pools if name not in trial.subject.capacity]
    if unknown:
        yield f"pools without a configured capacity are unlimited: {_some(unknown)}"
    limit = workflow.timeout_s
    late = [s for s in trial.simulations if limit is not None and s.makespan_s > limit]
    if limit is not None and late:
        jobs = ", ".join(str(each.slots) for each in late)
        yield f"the timeout of {duration(limit)} would be exceeded with {jobs} jobs"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


# -- the answer ----------------------------------------------------------------------


def _record(trial: SimulationStudy, *, schedule: bool) -> Dict[str, Any]:
    workflow = trial.subject.workflow
    return {
        "workflow": workflow.name,
        "run": trial.subject.run.submitted.run if trial.subject.run else None,
        "tasks": len(workflow.tasks),
        "work_s": trial.without_limit.work_s,
        "critical_path": {"took_s": trial.critical_s, "tasks": list(trial.critical)},
        "enough_jobs": trial.enough,
        "seed": trial.question.seed,
        "assumed": {
            "duration_s": trial.assumed_s if trial.assumed else None,
            "tasks": list(trial.assumed),
        },
        "conditions": [t.id for t in workflow.tasks if t.when is not None],
        "skipped": list(trial.without_limit.skipped),
        "simulations": [
            _figures(trial, each, schedule=schedule) for each in trial.simulations
        ],
    }


def _figures(
    trial: SimulationStudy, one: SimulationResult, *, schedule: bool
) -> Dict[str, Any]:
    first = trial.simulations[0]
    figures: Dict[str, Any] = {
        "jobs": one.slots,
        "makespan_s": one.makespan_s,
        "speedup": first.makespan_s / one.makespan_s if one.makespan_s else 1.0,
        "utilisation": one.utilisation,
        "bound": _bound(one, trial.critical_s),
        "tail_s": one.tail_s,
        "peak": one.peak,
        "outcome": one.outcome,
    }
    if schedule:
        figures["schedule"] = [asdict(span) for span in one.attempts]
    return figures


def _row(
    trial: SimulationStudy, one: SimulationResult, *, schedule: bool
) -> Dict[str, Any]:
    from provctl.render.text import duration

    figures = _figures(trial, one, schedule=schedule)
    return {
        **figures,
        "takes": duration(one.makespan_s),
        "faster": f"{figures['speedup']:.1f}x",
        "used": f"{100 * one.utilisation:.0f}%",
        "decided by": figures["bound"],
        "tail": duration(one.tail_s),
    }


def _bound(one: SimulationResult, critical_s: float) -> str:
    from provctl.core.analysis.simulate import lower_bound

    kind, _, name = lower_bound(one, critical_s).partition(":")
    words = {"needs": _PATH, "slots": "jobs", "run": "max_parallel"}
    return words.get(kind, f"{kind} {name}")


def _conclusions(trial: SimulationStudy) -> Iterator[str]:
    from provctl.render.text import duration

    if not trial.critical:
        return
    path = list(trial.critical)
    if len(path) > 2 * _NAMED:
        left_out = f"({len(path) - 2 * _NAMED} more)"
        path = [*path[:_NAMED], left_out, *path[-_NAMED:]]
    yield f"critical path, {duration(trial.critical_s)}: {' > '.join(path)}"
    then = _bound(trial.without_limit, trial.critical_s)
    jobs = "job does" if trial.enough == 1 else "jobs do"
    article = "the " if then == _PATH else ""
    yield f"more than {trial.enough} {jobs} not help: {article}{then} is the limit"


def _chart(trial: SimulationStudy) -> List[str]:
    from shutil import get_terminal_size

    from provctl.render.gantt import Bar, as_lines

    one, critical = trial.simulations[-1], set(trial.critical)
    bars = [
        Bar(span.task, span.start_s, span.end_s, "", "", span.task in critical)
        for span in one.attempts
    ]
    width = min(get_terminal_size((80, 24)).columns, _WIDTH_MAX)
    jobs = plural(one.slots, "job")
    return ["", f"with {jobs}; # marks the critical path", *as_lines(bars, width=width)]
