"""Journals are cut and damaged while no process owns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Tuple
from zlib import crc32

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


@pytest.mark.parametrize("keep", [1, 40, -1])
def test_incomplete_last_record_is_dropped_and_the_run_continues(
    provctl: Provctl, keep: int
) -> None:
    run, journal, ran = _run_of_a_killed_scheduler(provctl)
    lines = journal.read_bytes().splitlines(keepends=True)
    whole, last = b"".join(lines[:-1]), lines[-1]
    assert b'"attempt_started"' in last
    journal.write_bytes(whole + last[:keep])
    provctl("scheduler", "start")
    (provctl.folder / "go").touch()
    provctl("wait", run)
    assert journal.read_bytes().startswith(whole)
    # The record that a torn write left behind is kept aside, for people.
    (torn,) = journal.parent.glob("journal.jsonl.torn-*")
    assert torn.read_bytes() == last[:keep]
    # Its start was written but never acted upon; so it is the one start that counts.
    assert ran.read_text().count("a\n") == 1


@pytest.mark.parametrize("record", [0, 1, 2])
def test_damaged_record_blocks_its_run_and_no_other(
    provctl: Provctl, record: int
) -> None:
    run, journal, _ = _run_of_a_killed_scheduler(provctl)
    provctl.kill_everything()
    lines = journal.read_bytes().splitlines(keepends=True)
    at = sum(map(len, lines[:record])) + len(lines[record]) // 2
    raw = journal.read_bytes()
    damaged = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
    journal.write_bytes(damaged)

    for verb in ("status", "outputs", "logs", "resume", "wait", "monitor"):
        said = provctl("workflow", verb, run, code=33).err
        assert str(journal) in said
        assert f"record {record + 1}" in said
    other = provctl.submit(provctl.file({"b": {"command": ["true"]}}))
    provctl("wait", other)
    assert run in (provctl.state / "scheduler" / "log").read_text()
    assert other in provctl("ps", "-o", "name").out
    assert run in provctl("ps", "-o", "name").out
    assert journal.read_bytes() == damaged


def test_journal_of_a_later_version_is_left_untouched(provctl: Provctl) -> None:
    run, journal, _ = _run_of_a_killed_scheduler(provctl)
    provctl.kill_everything()
    later = _with_later_format(journal.read_bytes())
    journal.write_bytes(later)
    for verb in ("status", "resume"):
        assert "version" in provctl("workflow", verb, run, code=31).err
    provctl("scheduler", "start")
    assert journal.read_bytes() == later


@pytest.mark.parametrize("name", ["journal.jsonl", "workflow.json"])
@pytest.mark.parametrize("how", ["empty", "missing", "garbage"])
def test_missing_or_changed_workflow_file_is_damage(
    provctl: Provctl, name: str, how: str
) -> None:
    run, journal, _ = _run_of_a_killed_scheduler(provctl)
    provctl.kill_everything()
    file = journal.parent / name
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if how == "empty" else b"\0\xff{}[\n" * 50)
    said = provctl("workflow", "resume", run, code=33).err
    assert str(file) in said
    other = provctl.submit(provctl.file({"b": {"command": ["true"]}}))
    provctl("wait", other)


def _run_of_a_killed_scheduler(provctl: Provctl) -> Tuple[str, Path, Path]:
    """A run of a dead owner; its last record is the start of its last task.

    The task runs until there is a file `go`.
    """
    ran = provctl.folder / "ran"
    script = f'echo "$PROVCTL_TASK" >> "{ran}"'
    wait = f'until [ -e "{provctl.folder}/go" ]; do sleep 0.02; done'
    tasks = {
        "first": {"command": ["true"]},
        "a": {"command": ["sh", "-c", f"{script}; {wait}"], "needs": ["first"]},
    }
    run = provctl.submit(provctl.file(tasks))
    provctl.wait_for_text(ran, "a")
    provctl.kill_scheduler()
    return run, provctl.state / "runs" / run / "journal.jsonl", ran


def _with_later_format(raw: bytes) -> bytes:
    """The same journal as a future version would write it."""
    lines, before = [], b"00000000"
    for line in raw.splitlines():
        body = line[:-18].replace(b'{"v":1,', b'{"v":99,', 1)
        body = body[: body.rindex(b'"prev":"')] + b'"prev":"' + before + b'"'
        before = b"%08x" % crc32(body)
        lines.append(body + b',"crc":"' + before + b'"}\n')
    return b"".join(lines)
