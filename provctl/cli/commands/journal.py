"""`provctl journal`: verify, read, export and repair the journals of runs."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import click

from provctl.base.text import plain
from provctl.base.timefmt import format_iso, format_local
from provctl.cli.completion.param_types import RUN
from provctl.cli.options.confirm import DECLINED, confirm, yes_option
from provctl.cli.options.global_options import SuggestingGroup
from provctl.cli.options.value_types import MOMENT, PAST
from provctl.cli.session import Session, emit, print_message

if TYPE_CHECKING:
    from provctl.errors import ProvctlError
    from provctl.storage.journal.file import JournalReader
    from provctl.storage.journal.inspect import Inspection
    from provctl.storage.journal.repair import RepairReport
    from provctl.storage.layout import RunDir


_LOOK_S = 0.1
_DAMAGED, _NEWER = 33, 31
# What a line does not say: it is for the chain alone, or said already.
_CHAIN = {"run", "time", "v", "seq", "dur", "prev", "crc", "digest"}
_UNSAID = _CHAIN | {"type", "at", "task", "started_at", "finished_at"}
_VALUE_MAX = 200


@click.group(cls=SuggestingGroup)
def journal() -> None:
    """Verify, read and repair the journals of runs.

    A journal lists all events of a run in order. Each record has a checksum, and refers
    to the record before it.
    """


@journal.command()
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=RUN)
@click.pass_context
def verify(ctx: click.Context, runs: Tuple[str, ...]) -> None:
    """Check the journals of RUN, or those of all runs and all schedules.

    This reads every record, checks its checksum and its link to the previous record,
    replays the run, and compares the journal with the exit records of the attempts.
    Nothing is changed.

    \b
    ok       intact
    torn     incomplete last record (crash while writing); ignored and cleaned up
             automatically
    damaged  records are missing or changed; see journal repair
    newer    written by a newer version of provctl

    Exits with 33 if a journal or schedule is damaged, or else with 31 if one is newer.
    """
    from provctl.runs.find import find_runs
    from provctl.runs.verify import verify as check
    from provctl.runs.verify import verify_schedule
    from provctl.storage.schedules import Schedules

    session: Session = ctx.obj
    ids = session.folder.run_ids()
    if runs:
        found = (run.id for name in runs for run in find_runs(session.folder, name))
        ids = list(dict.fromkeys(found))
    verdicts = [check(session.folder.run(run_id)) for run_id in ids]
    schedules = Schedules(session.folder)
    names = [] if runs else schedules.names()
    verdicts += [verify_schedule(schedules, name) for name in names]
    rows = [
        {
            "kind": verdict.kind,
            "id": verdict.run,
            "verdict": verdict.verdict,
            "records": verdict.records,
            "attempts": verdict.attempts,
            "file": verdict.file or None,
            "offset": verdict.offset if verdict.record else None,
            "record": verdict.record or None,
            "problem": verdict.problem or None,
            "mendable": verdict.mendable,
        }
        for verdict in verdicts
    ]
    columns = ("id", "verdict", "records", "attempts", "problem")
    emit(session, rows, ("kind", *columns) if names else columns, name="id")
    for verdict in verdicts:
        if verdict.mendable:
            repair_it = f"provctl journal repair {verdict.run} --dry-run"
            hint = session.called.with_flags(repair_it)
            print_message(f"to preview a repair: {hint}")
    words = {verdict.verdict for verdict in verdicts}
    ctx.exit(_DAMAGED if "damaged" in words else _NEWER if "newer" in words else 0)


@journal.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option(
    "-n",
    "--last",
    metavar="N",
    type=click.IntRange(0),
    help="Number of records to show (default: 20).",
)
@click.option(
    "-f", "--follow", is_flag=True, help="Follow the journal until the run finishes."
)
@click.option(
    "--since",
    type=PAST,
    metavar="TIME",
    help="Only records written at or after this time: 2h, 14:03.",
)
@click.option(
    "--until",
    type=MOMENT,
    metavar="TIME",
    help="Only records written at or before this time.",
)
@click.pass_obj
def tail(
    session: Session,
    run: str,
    last: Optional[int],
    follow: bool,
    since: Optional[float],
    until: Optional[float],
) -> None:
    """Show the last records of a journal; with -o jsonl, as they are stored.

    With --since or --until, all records of that time are shown. If the journal is
    damaged, the intact records are shown before the error.
    """
    from provctl.storage.journal.file import JournalReader

    folder = session.run_dir(run)
    reader = JournalReader(folder.journal, folder.id)
    found, problem = _read(folder, reader)
    ranged = since is not None or until is not None
    shown = [each for each in found if _is_between(each["at"], since, until)]
    count = last if last is not None else len(shown) if ranged else 20
    _show(session, shown[-count:] if count else [])
    try:
        while follow and problem is None and not _is_over(found):
            time.sleep(_LOOK_S)
            new, problem = _read(folder, reader)
            _show(session, new)
            found = new or found[-1:]
    except KeyboardInterrupt:
        return
    if problem is not None:
        raise problem


def _read(
    folder: RunDir, reader: JournalReader
) -> Tuple[List[Dict[str, Any]], Optional[ProvctlError]]:
    """What is new and whole, and what keeps from reading on."""
    from provctl.errors import JournalDamaged, JournalTooNew
    from provctl.storage.journal.inspect import records

    start = reader.position.offset
    problem: Optional[ProvctlError] = None
    try:
        reader.read_into([])
    except (JournalDamaged, JournalTooNew) as caught:
        problem = caught
    end = reader.position.offset
    if end == start:
        return [], problem
    return [_record(folder, each) for each in records(folder, start, end)], problem


def _is_between(at: float, since: Optional[float], until: Optional[float]) -> bool:
    return (since is None or at >= since) and (until is None or at <= until)


def _is_over(records: List[Dict[str, Any]]) -> bool:
    return bool(records) and records[-1]["type"] == "run_finished"


def _record(folder: RunDir, record: Dict[str, Any]) -> Dict[str, Any]:
    return {"run": folder.id, "time": format_iso(record["at"]), **record}


def _show(session: Session, records: List[Dict[str, Any]]) -> None:
    if session.output == "table":
        for record in records:
            click.echo(_line(record))
    else:
        emit(session, records, (), name="type")
    sys.stdout.flush()


def _line(record: Dict[str, Any]) -> str:
    """Number, time, type, task, and whatever else the record says."""
    begin = f"{record['seq']:>5}  {format_local(record['at'])}"
    words = [begin, f"{record['type']:<17}", record.get("task", "")]
    for name, value in record.items():
        if name not in _UNSAID:
            text = value if isinstance(value, str) else json.dumps(value)
            if len(text) > _VALUE_MAX:
                text = text[:_VALUE_MAX] + "..."
            words.append(f"{name}={text}" if " " not in text else f'{name}="{text}"')
    return plain("  ".join(filter(None, words[:3])) + "  " + " ".join(words[3:]))


@journal.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.pass_obj
def export(session: Session, run: str) -> None:
    """Print all intact records as JSON lines, or with -o json as a list.

    The run and the time are added to each record. If the journal is damaged, the
    records before the damage are printed, and then the error.
    """
    from provctl.storage.journal.inspect import inspect, records

    folder = session.run_dir(run)
    finding = inspect(folder)
    found = []
    if finding.events:
        found = [_record(folder, r) for r in records(folder, 0, finding.end.offset)]
    if session.output == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        for record in found:
            click.echo(json.dumps(record))
    if finding.problem is not None:
        raise finding.problem


@journal.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option(
    "--dry-run", is_flag=True, help="Show what would be done; change nothing."
)
@yes_option
@click.pass_obj
def repair(session: Session, run: str, dry_run: bool, yes: bool) -> None:
    """Cut off the damaged part of a journal, and keep a copy of the whole journal.

    The records before the damage are kept; the others are dropped and reported. The run
    can then continue. The files of its attempts show which tasks have run, so that no
    task runs twice. Decisions recorded after the damage (cancel, tasks on hold) have to
    be made again.

    The run must not have an owner. At a terminal you are asked to confirm; otherwise
    --yes is required.
    """
    from provctl.errors import RequestRejected
    from provctl.storage.journal.inspect import inspect
    from provctl.storage.journal.repair import dropped_records
    from provctl.storage.journal.repair import repair as mend
    from provctl.storage.lock import Lock

    folder = session.run_dir(run)
    lock = Lock.acquire(folder.lock)
    if lock is None:
        message = f"run {folder.id} has an owner, which is writing its journal"
        raise RequestRejected(message, hint="stop it first: provctl scheduler stop")
    try:
        finding = inspect(folder)
        if finding.problem is None:
            _nothing_to_do(finding)
            return
        if not finding.mendable:
            raise _beyond_repair(folder, finding)
        dropped = dropped_records(folder, finding)
        _account(session, folder, finding, dropped)
        if dry_run:
            return
        if not confirm(f"repair {folder.id}?", yes=yes):
            click.get_current_context().exit(DECLINED)
        copy = mend(folder, finding)
    finally:
        lock.release()
    click.echo(plain(f"copied to {copy}"))
    click.echo(f"repaired: {folder.id}")
    go_on = session.called.with_flags(f"provctl resume {folder.id}")
    print_message(f"to continue the run: {go_on}")


def _nothing_to_do(finding: Inspection) -> None:
    count = len(finding.events)
    if finding.torn:
        click.echo(
            f"nothing to repair: {count} records are intact; the next owner of the run"
            f" removes {finding.torn} bytes of an incomplete last record"
        )
    else:
        click.echo(f"nothing to repair: {count} records, all intact")


def _beyond_repair(folder: RunDir, finding: Inspection) -> ProvctlError:
    from provctl.errors import JournalDamaged, JournalTooNew

    problem = finding.problem
    assert problem is not None
    if isinstance(problem, JournalTooNew):
        return problem
    if finding.file == folder.workflow:
        digest = getattr(finding.events[0], "digest", "")
        hint = (
            "the file cannot be reconstructed: restore it (SHA-256"
            f" {digest}), or submit the workflow again and delete {folder.path}"
        )
    else:
        hint = (
            "a run cannot be recovered without its first record: restore the file from"
            f" a backup; or find out from {folder.attempts} what its tasks did, submit"
            f" the workflow again and delete {folder.path}"
        )
    return JournalDamaged(problem.message, hint=hint)


def _account(
    session: Session, folder: RunDir, finding: Inspection, dropped: RepairReport
) -> None:
    from provctl.runs.verify import unknown_attempts

    assert finding.problem is not None
    click.echo(plain(finding.problem.message))
    unreadable = dropped.records - len(dropped.readable)
    click.echo(
        f"drops {dropped.records} records, {dropped.size} bytes from offset"
        f" {dropped.offset}; {unreadable} of them cannot be read"
    )
    for record in dropped.readable:
        click.echo(f"  record {record.get('seq')}: {_line(record)}")
    click.echo(f"keeps {len(finding.events)} records")
    if dropped.cancelled:
        cancel = session.called.with_flags(f"provctl cancel {folder.id}")
        click.echo(f"a dropped record cancelled the run; to cancel it again: {cancel}")
    for task, attempt, word in unknown_attempts(folder, finding):
        click.echo(
            f"found in its attempt file: {plain(task)}, attempt {attempt}: {word}"
        )
