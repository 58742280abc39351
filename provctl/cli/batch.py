"""`provctl batch`: one or more runs submitted together, under one id."""

from __future__ import annotations

from copy import copy
from inspect import cleandoc
from typing import Any, Dict, List, Optional, Tuple

import click

from provctl.cli.commands.cancel import cancel
from provctl.cli.commands.monitor import monitor
from provctl.cli.commands.pause import pause
from provctl.cli.commands.resume import resume
from provctl.cli.commands.retry import retry
from provctl.cli.commands.rollback import rollback
from provctl.cli.completion.param_types import PLACE, RUNS, STATUS
from provctl.cli.options.global_options import SuggestingGroup
from provctl.cli.options.run_filters import RunFilter, label_option, run_filter_options
from provctl.cli.options.run_options import key_option, run_options
from provctl.cli.session import Session, emit, print_message
from provctl.cli.submission import submit_runs


@click.group(cls=SuggestingGroup)
def batch() -> None:
    """Submit several runs together, and manage them as one batch.

    A batch has an id of its own. In place of it, the id of a run works too.
    """


def _for_batches(command: click.Command, help: str) -> click.Command:
    """Return a command on runs as one on batches: the same, but for its help."""
    changed = copy(command)
    changed.help, changed.params = help, [*map(copy, command.params)]
    for param in changed.params:
        if isinstance(param, click.Argument) and param.metavar:
            param.metavar = param.metavar.replace("RUN", "BATCH")
    return changed


for _command, _help in (
    (
        monitor,
        """Watch the runs of batches until they finish; exit with their exit code.

        Ctrl-C stops watching; the runs continue.
        """,
    ),
    (
        cancel,
        """Cancel the runs of batches.

        Tasks that have not started never start. Running tasks are asked to stop
        (SIGTERM), and killed after the grace period. Finished runs are left as they are.
        """,
    ),
    (
        pause,
        """Pause the runs of batches: start no new tasks until `resume`.

        Running tasks continue until they finish. --freeze also suspends running tasks
        and their timeouts. The timeout of a run is always suspended.
        """,
    ),
    (resume, "Resume the paused runs of a batch."),
    (
        retry,
        """Retry the failed and unfinished tasks of a batch, in the background.

        This shows the plan first, and asks for confirmation at a terminal. See provctl
        retry --help for which tasks run again.
        """,
    ),
    (
        rollback,
        """Undo the tasks of the finished runs of a batch, in reverse order.

        This shows the plan first, and asks for confirmation; without a terminal it
        needs --yes. See provctl rollback --help for which tasks are undone.
        """,
    ),
):
    batch.add_command(_for_batches(_command, cleandoc(_help)))


@batch.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=PLACE)
@run_options
@key_option
@label_option
@click.pass_obj
def submit(
    session: Session,
    files: Tuple[str, ...],
    labels: Tuple[Tuple[str, str], ...],
    params: Tuple[str, ...],
    priority: int,
    jobs: Optional[int],
    fail_fast: bool,
    key: Optional[str],
) -> None:
    """Submit workflow files together and print the batch's id.

    All files are checked before any is submitted. The options apply to each of them. If
    the key was used before, the existing batch is returned.
    """
    from provctl.cli.load_workflow import load_all
    from provctl.runs.submit import SubmitOptions, new_id, run_id_for_key

    workflows = load_all(session, files, params)
    # The key includes the size: with more or fewer files it is another batch.
    name = new_id() if key is None else run_id_for_key(key, f"of {len(files)}")
    batch_id = f"batch-{name}"
    wishes = SubmitOptions(priority, batch_id, jobs, fail_fast, key, dict(labels))
    ids = [run.id for run in submit_runs(session, workflows, wishes)]
    if session.output == "table":
        for run_id, workflow in zip(ids, workflows):
            print_message(f"{run_id}  {workflow.name}")
        click.echo(f"Batch submitted: {batch_id}")
    else:
        emit(session, [{"id": batch_id, "runs": ids}], ("id",), name="id")


@batch.command()
@click.argument("batch_id", metavar="BATCH", type=RUNS)
@click.pass_obj
def status(session: Session, batch_id: str) -> None:
    """Show the runs of a batch and their tasks."""
    from provctl.cli.run_details import show_runs
    from provctl.runs.find import find_runs

    found = find_runs(session.folder, batch_id)
    show_runs(session, [run.id for run in found], many=True)


@batch.command("list")
@click.option(
    "--status",
    "wanted",
    metavar="WORD",
    type=STATUS,
    help="Only batches that have a run with this status or outcome.",
)
@run_filter_options
@click.pass_obj
def list_batches(session: Session, choice: RunFilter, wanted: Optional[str]) -> None:
    """List batches, latest last.

    With labels or times, only the matching runs of each batch are counted.
    """
    from provctl.api.records import summary_record
    from provctl.base.timefmt import format_iso, format_local
    from provctl.cli.run_list import wanted_words

    asked = None if wanted is None else wanted_words(wanted)
    batches: Dict[str, List[Any]] = {}
    for run in choice.of(session.accounts()):
        if run.batch:
            batches.setdefault(run.batch, []).append(run)
    rows = []
    for batch_id, runs in batches.items():
        words = [run.status_word for run in runs]
        if asked is not None and not asked & set(words):
            continue
        counts = {word: words.count(word) for word in dict.fromkeys(words)}
        summary = ", ".join(f"{count} {word}" for word, count in counts.items())
        first_at = runs[0].created_at
        row: Dict[str, Any] = {"id": batch_id, "status": summary}
        row["created_at"] = format_iso(first_at)
        if session.output == "table":
            row["created"] = format_local(first_at)
        else:
            row["runs"] = [summary_record(run) for run in runs]
        rows.append(row)
    emit(session, rows, ("id", "status", "created"), name="id")
