"""Runs that were submitted together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.installed import Provctl

ID = re.compile(r"[bcdfghjkmnpqrstvwxz][bcdfghjkmnpqrstvwxz2-9]{9}")


def test_batch_is_found_by_its_id_and_by_its_runs(provctl: Provctl) -> None:
    good = provctl.file({"a": {"command": ["true"]}}, name="good")
    bad = provctl.ends_badly()
    done = provctl("batch", "submit", good, bad)
    batch = done.last_word
    assert re.fullmatch(rf"Batch submitted: batch-{ID.pattern}\n", done.out)
    runs = [line.split()[0] for line in done.err.splitlines()]
    assert len(runs) == 2
    provctl("batch", "monitor", batch, code=10)
    told = provctl("batch", "status", batch, "-o", "json").json()
    assert [run["id"] for run in told] == runs
    assert [run["outcome"] for run in told] == ["succeeded", "failed"]
    assert {run["batch"] for run in told} == {batch}
    (row,) = provctl("batch", "list", "-o", "json").json()
    assert row["id"] == batch
    assert [run["id"] for run in row["runs"]] == runs
    # A run's id is valid where a batch's is, and the start of each.
    (one,) = provctl("batch", "status", runs[0], "-o", "json").json()
    assert one["id"] == runs[0]
    assert provctl("batch", "status", batch[:10], "-o", "name").out.split() == runs
    assert provctl("batch", "status", "@last", "-o", "name").out.split() == runs
    provctl("wait", batch, code=10)
    provctl("batch", "status", "batch-zzz", code=40)


def test_batch_cancel_cancels_all_its_runs(provctl: Provctl) -> None:
    short = provctl.file({"a": {"command": ["true"]}})
    submitted = provctl("batch", "submit", short, *[provctl.endless()] * 2)
    runs = [line.split()[0] for line in submitted.err.splitlines()]
    provctl("wait", runs[0])
    for run in runs[1:]:
        provctl.until_ready(run)
    provctl("batch", "cancel", submitted.last_word)
    provctl("batch", "monitor", submitted.last_word, code=11)
    told = provctl("batch", "status", submitted.last_word, "-o", "json").json()
    outcomes = [run["outcome"] for run in told]
    assert outcomes == ["succeeded", "cancelled", "cancelled"]
    provctl("batch", "cancel", submitted.last_word, code=41)


def test_batch_pause_and_resume_apply_to_all_its_runs(provctl: Provctl) -> None:
    files = [provctl.endless(), provctl.endless()]
    batch = provctl("batch", "submit", *files).last_word
    provctl("batch", "pause", batch)
    told = provctl("batch", "status", batch, "-o", "json").json()
    assert [run["status"] for run in told] == ["paused", "paused"]
    said = provctl("batch", "resume", batch).err
    assert said == "".join(f"resumed: {run['id']}\n" for run in told)
    told = provctl("batch", "status", batch, "-o", "json").json()
    assert {run["status"] for run in told} == {"running"}
    assert "is paused" in provctl("batch", "resume", batch, code=41).err
    provctl("batch", "cancel", batch, "--now")


def test_batch_submit_reports_all_mistakes_and_submits_nothing(
    provctl: Provctl,
) -> None:
    wrong = [
        provctl.file({"a": {"command": ["true"], "needs": [needed], "x": 1}})
        for needed in ("b", "c")
    ]
    missing = provctl.folder / "missing.json"
    files = [wrong[0], provctl.ends_badly(), missing, wrong[1]]
    told = provctl("batch", "submit", *files, code=50).err
    for file in (*wrong, missing):
        assert f"{file}" in told
    assert told.count("`x`") == 2
    assert "`b`" in told
    assert "`c`" in told
    assert provctl.runs() == []


def test_missing_tool_does_not_hide_mistakes_in_other_files(provctl: Provctl) -> None:
    files = [
        provctl.file({"a": {"script": "1"}}),
        provctl.file({"a": {"command": ["true"], "needs": ["b"]}}),
    ]
    for verb in (["batch", "submit"], ["workflow", "validate"]):
        without = {"PROVCTL_NUSHELL_BINARY": "/nowhere/nu"}
        assert "`b`" in provctl(*verb, *files, code=50, env=without).err
        assert "/nowhere/nu" in provctl(*verb, files[0], code=52, env=without).err
    assert provctl.runs() == []
