"""A bundle has what a bug report needs, but no values and no secrets."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Dict

from provctl.core.model.workflow import Command, NushellCall, Script, Undo
from provctl.runs.support_bundle import (
    Part,
    collect_run,
    collect_scheduler,
    redacted,
    secrets,
    write_archive,
)
from tests.support.run_folders import state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import RunDir

VALUE = "s3nsitive"
RICH = a_workflow(
    task("argv", action=Command(("curl", f"https://{VALUE}@x"))),
    task("script", action=Script(f"print {VALUE}", {"a": [VALUE]})),
    task(
        "call",
        action=NushellCall("a/b.nu", "make-it", (VALUE,), {"zone": VALUE}),
        env={"TOKEN": VALUE},
        when={"$equals": [VALUE, 1]},
        secrets={"KEY": "env:KEY_OF_TEST", "DB": f"cmd:pass-of-test show {VALUE}"},
        undo=Undo(NushellCall("a/b.nu", "unmake-it", (VALUE,))),
        probe=Command(("test", VALUE)),
    ),
    params={"password": VALUE},
    environment={"PROVISIONING_KEY": VALUE},
    description=VALUE,
)


def files(run: RunDir, *, with_inputs: bool = False) -> Dict[str, bytes]:
    return {
        part.name: part.content for part in collect_run(run, with_inputs=with_inputs)
    }


def test_values_are_left_out_but_names_are_kept(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), RICH)
    text = files(run)["run/workflow.json"].decode()
    assert VALUE not in text
    for name in (
        "make-it",
        "unmake-it",
        "password",
        "zone",
        "TOKEN",
        "KEY_OF_TEST",
        "pass-of-test",
    ):
        assert name in text
    assert '"curl"' in text
    assert [each["id"] for each in json.loads(text)["tasks"]] == [
        each.id for each in RICH.tasks
    ]


def test_values_are_included_if_asked(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), RICH)
    (run.attempts / "0.1.in").write_text(VALUE)
    (run.attempts / "0.1.go").write_text("{}")
    whole = files(run, with_inputs=True)
    assert whole["run/workflow.json"] == run.workflow.read_bytes()
    assert whole["run/attempts/0.1.in"] == VALUE.encode()
    assert "run/attempts/0.1.in" not in files(run)


def test_secrets_are_redacted_in_every_form(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    run = submit(folder, RICH)
    (folder.scheduler / "token").write_text("t0ken-of-the-api\n")
    known = secrets(run, folder, {"KEY_OF_TEST": 'k"ey/value'})
    assert known == ["t0ken-of-the-api", 'k"ey/value']
    part = Part("log", b'a t0ken-of-the-api k"ey/value k%22ey%2Fvalue z', "")
    assert redacted(part, known).content.replace(b"*", b"") == b"a    z"
    assert redacted(part, []) == part
    # Nor is the rest of one shown that overlaps with another.
    assert redacted(
        replace(part, content=b"abcdefghi"), ["abcdef", "defghi"]
    ).content == (b"*" * 9)


def test_damaged_run_can_be_bundled(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), RICH)
    run.journal.write_bytes(b"\x00not a journal")
    run.workflow.write_bytes(b"[[[")
    (run.attempts / "0.1.log").symlink_to("/etc/passwd")
    found = files(run)
    assert found["run/journal.jsonl"] == b"\x00not a journal"
    assert found["run/workflow.json"] == b"{}"
    assert "run/attempts/0.1.log" not in found


def test_logs_and_attempts_are_limited_and_failures_come_first(tmp_path: Path) -> None:
    run = submit(state_folder(tmp_path), RICH)
    for number in range(150):
        record = {"exit_code": 3 if number == 0 else 0}
        (run.attempts / f"{number}.1.go").write_text(json.dumps(record))
    (run.attempts / "0.1.log").write_bytes(b"x" * (1 << 20) + b"the end")
    found = files(run)
    assert len([name for name in found if name.endswith(".go")]) == 100
    log = found["run/attempts/0.1.log"]
    assert len(log) == 64 << 10
    assert log.endswith(b"the end")


def test_missing_state_directory_can_be_bundled(tmp_path: Path) -> None:
    from provctl.storage.layout import StateDir

    folder = StateDir(tmp_path / "nothing")
    assert secrets(None, folder, {}) == []
    assert all(part.name for part in collect_scheduler(folder))
    assert not folder.path.exists()


def test_archive_is_private() -> None:
    archive = write_archive([Part("a/b", b"content", "")], "root", 1000.0)
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        (entry,) = tar.getmembers()
        assert (entry.name, entry.mode, entry.mtime) == ("root/a/b", 0o600, 1000)
        content = tar.extractfile(entry)
        assert content is not None
        assert content.read() == b"content"
