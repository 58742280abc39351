"""Plain lines about tasks and runs."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.engine.view import TaskView
from provctl.core.model.attempt_result import AttemptResult
from provctl.render import text as lines
from tests.support.run_views import done, failed, run_of, running, waiting

Golden = Callable[[str, str], None]

HELD = TaskView(
    "kubernetes", "held", outcome="lost", attempt=1, reason="its supervisor died"
)
RETRYING = TaskView(
    "server-2",
    "retrying",
    result=AttemptResult(75),
    attempt=1,
    attempts=3,
    retry_at=1004.2,
)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3.0, "0s"),
        (0.04, "0s"),
        (0.49, "0.4s"),
        (5.0, "5s"),
        (9.99, "9.9s"),
        (12.9, "12s"),
        (59.99, "59s"),
        (65.0, "1m05s"),
        (3599.9, "59m59s"),
        (7380.0, "2h03m"),
        (360_000.0, "100h00m"),
    ],
)
def test_duration_is_formatted(seconds: float, said: str) -> None:
    assert lines.duration(seconds) == said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("zażółć 漢字 ✔", "zażółć 漢字 ✔"),
        ("a\tb\r\nc\u2028d", "a b  c d"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b2Jkept", "kept"),
        ("\x1b]0;title\x07kept", "kept"),
        ("\x1b]52;c;c2VjcmV0\x1b\\kept", "kept"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\kept", "kept"),
        ("\x1b]52;c;never ended", "52;c;never ended"),
        ("\x1b(B\x1b7\x1bckept", "kept"),
        ("bell\x07 null\x00 delete\x7f", "bell null delete"),
        ("abc\u202etxt.exe\u2066\u200f", "abctxt.exe"),
        ("\udcff\ud800", "\ufffd\ufffd"),
        ("zero\u200bwidth", "zerowidth"),
        ("✔\ufe0f done", "✔ done"),
    ],
)
def test_sanitize_escapes_control_characters(text: str, shown: str) -> None:
    assert lines.sanitize(text) == shown


def test_sanitize_limits_the_length() -> None:
    assert lines.sanitize("x" * 5000, limit=10) == "xxxxxxx..."


@given(st.text(st.sampled_from("\x1b[]P;m\x07\\\x9b\x9d\x9c\x90(\r\n\u202eA")))
def test_sanitize_leaves_no_control_characters(text: str) -> None:
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", lines.sanitize(text))


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (running("a", 0, ""), "started"),
        (running("a", 0, "", attempt=2, attempts=3), "started (attempt 2/3)"),
        (running("a", 0, "", stopping=True), "stopping"),
        (RETRYING, "retrying in 5s (attempt 2/3): exit code 75"),
        (
            replace(RETRYING, result=AttemptResult(), retry_at=999.0),
            "retrying now (attempt 2/3)",
        ),
        (done("a", 12.0), "succeeded in 12s"),
        (failed("a"), "failed after 12s: exit code 1"),
        (failed("a", result=AttemptResult(signal=9)), "failed after 12s: SIGKILL"),
        (failed("a", result=AttemptResult(signal=45)), "failed after 12s: signal 45"),
        (
            failed("a", result=AttemptResult(0), reason="its output is not JSON"),
            "failed after 12s: its output is not JSON",
        ),
        (failed("a", reason="disk\nfull"), "failed after 12s: exit code 1, disk full"),
        (
            failed("a", reason="exit code 1: oops"),
            "failed after 12s: exit code 1: oops",
        ),
        (
            failed("a", result=AttemptResult(), outcome="timed_out"),
            "timed out after 12s",
        ),
        (
            failed("a", result=AttemptResult(), outcome="cancelled"),
            "cancelled after 12s",
        ),
        (
            TaskView("a", "finished", outcome="skipped", reason="server-1 failed"),
            "skipped: server-1 failed",
        ),
        (TaskView("a", "finished", outcome="cancelled"), "cancelled"),
        (
            HELD,
            "held (lost): its supervisor died; check its effects, then resolve it",
        ),
        (TaskView("a", "held"), "held; check its effects, then resolve it"),
        (running("a", 0, "", frozen=True), "frozen"),
        (running("a", 0, "", purpose="undo"), "undo started"),
        (running("a", 0, "", purpose="probe"), "probe started"),
        (
            replace(RETRYING, purpose="undo"),
            "retrying undo in 5s (attempt 2/3): exit code 75",
        ),
        (replace(done("a"), outcome="undone", purpose="undo"), "undone in 4s"),
        (
            failed("a", outcome="undo_failed", purpose="undo"),
            "undo failed after 12s: exit code 1",
        ),
        (
            replace(done("a"), purpose="undo", reason="the undo of b failed"),
            "not undone: the undo of b failed",
        ),
    ],
)
def test_task_line_describes_a_change_of_status(task: TaskView, said: str) -> None:
    line = lines.task_line(replace(task, id="server-1"), width=10, now=1000.0)
    assert line == f"server-1    {said}"


def test_run_started_names_the_run_and_its_tasks() -> None:
    run = run_of(done("a"), waiting("b"), id="01J", name="edge")
    assert lines.run_started(run) == "run 01J (edge) started: 2 tasks"
    one = run_of(waiting("a"), id="01J", name="edge", status="queued")
    assert lines.run_started(one) == "run 01J (edge) queued: 1 task"


def test_run_finished_reports_a_success() -> None:
    run = run_of(done("a"), status="finished", outcome="succeeded", finished_at=1065.0)
    title = "run 01J8ZQ4T6K (multi-cloud-deployment)"
    assert lines.run_finished(run) == [f"{title} succeeded in 1m05s: 1 succeeded"]


def test_run_finished_reports_a_failure(golden: Golden) -> None:
    run = run_of(
        done("server-1"),
        failed("server-2", "creating disk", "\x1b[31mError:\x1b[0m\tquota exceeded"),
        failed("cluster/etcd", result=AttemptResult(signal=9)),
        TaskView("dns", "finished", outcome="failed", reason="no output `ip`"),
        TaskView("apps", "finished", outcome="skipped", reason="server-2 failed"),
        status="finished",
        outcome="failed",
        finished_at=1065.0,
    )
    golden("ui/account-failed.txt", "\n".join(lines.run_finished(run)) + "\n")


def test_run_finished_reports_a_held_run(golden: Golden) -> None:
    run = run_of(done("server-1"), replace(HELD, log_tail=("joining",)), status="held")
    golden("ui/account-held.txt", "\n".join(lines.run_finished(run)) + "\n")


def test_run_finished_reports_a_failed_rollback(golden: Golden) -> None:
    undone = replace(done("web-1"), outcome="undone", purpose="undo", has_undo=True)
    stands = replace(
        done("network"),
        purpose="undo",
        has_undo=True,
        reason="the undo of web-2 failed",
    )
    undo_failed = failed("web-2", "quota", outcome="undo_failed", purpose="undo")
    run = run_of(
        stands,
        undone,
        replace(undo_failed, has_undo=True),
        done("log"),
        replace(done("disk"), has_undo=True),
        failed("apps"),
        TaskView("dns", "finished", outcome="skipped", reason="apps failed"),
        status="finished",
        outcome="rollback_failed",
        finished_at=1065.0,
    )
    account = "\n".join(lines.run_finished(run)) + "\n"
    golden("ui/account-rollback-failed.txt", account)


def test_run_finished_lists_a_limited_number_of_remaining_tasks() -> None:
    many = [done(f"t{i}") for i in range(500)]
    run = run_of(*many, status="finished", outcome="rolled_back", finished_at=1065.0)
    said = lines.run_finished(run)
    assert said[-1] == "  remains: and 480 more"
    assert len(said) == 1 + 20 + 1


def test_run_finished_reports_leftover_processes_and_dropped_output() -> None:
    run = run_of(
        replace(done("a"), result=AttemptResult(survivors=3, stuck=1)),
        replace(done("b"), result=AttemptResult(log_dropped_bytes=4096)),
        done("c"),
        status="finished",
        outcome="succeeded",
        finished_at=1065.0,
    )
    assert lines.run_finished(run)[1:] == [
        "  a: processes stuck in the kernel that cannot be killed: 1",
        "  a: 2 leftover processes killed",
        "  b: bytes dropped from its log: 4096",
    ]
    many = [
        replace(done(f"t{i}"), result=AttemptResult(survivors=1)) for i in range(50)
    ]
    said = lines.cleanup_notes(run_of(*many))
    assert said[20:] == ["  and 30 more"]


def test_run_finished_of_a_paused_run_has_a_resume_hint() -> None:
    said = lines.run_finished(run_of(waiting("b"), status="paused"))
    assert said[1:] == ["  resume it: provctl resume 01J8ZQ4T6K"]


def test_run_finished_of_an_active_run_says_that_it_continues() -> None:
    said = lines.run_finished(run_of(running("a", 1, ""), waiting("b")))
    assert said == [
        "run 01J8ZQ4T6K (multi-cloud-deployment) is running: 1 running, 1 waiting",
        "  the run continues; watch it: provctl monitor 01J8ZQ4T6K",
    ]


def test_run_finished_lists_a_limited_number_of_failures() -> None:
    tail = tuple(f"line {i}" for i in range(20))
    run = run_of(
        *(failed(f"t{i}", *tail) for i in range(500)),
        status="finished",
        outcome="failed",
        finished_at=1065.0,
    )
    said = lines.run_finished(run)
    assert said[-3] == "and 490 more: provctl status 01J8ZQ4T6K"
    assert len(said) == 1 + 10 * (1 + 1 + 20 + 1) + 2 + 2


def test_counts_are_computed_from_rows_if_the_view_has_none() -> None:
    run = run_of(done("a"), waiting("b"), counts=None)
    assert lines.format_counts(lines.counts_of(run)) == "1 waiting, 1 succeeded"


def test_plain_output_does_not_import_rich() -> None:
    code = "import sys, provctl.render.plain_view; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
