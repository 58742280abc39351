"""Events made of reports and requests: outcomes, reasons, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

import pytest

from provctl.core.engine import events as ev
from provctl.core.engine.observe import observe
from provctl.core.engine.requests import Cancel, ExitedReport, ResolveTask, admit
from provctl.core.model.attempt_result import AttemptResult
from provctl.core.model.workflow import Command, NushellCall, Script
from provctl.errors import NotFound, RequestRejected, UsageError
from tests.support.engine_driver import Dialogue, picture
from tests.support.workflows import a_workflow, group, output, task

if TYPE_CHECKING:
    from provctl.core.model.status import ExitCause


def one_running() -> Dialogue:
    dialogue = Dialogue()
    dialogue.submit(a_workflow(task("a")))
    return dialogue


def nest(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("report", "outcome", "reason"),
    [
        ({}, "succeeded", ""),
        ({"exit_code": 3}, "failed", "exit code 3"),
        ({"exit_code": None, "signal": 9}, "failed", "killed by signal 9"),
        ({"problem": "no such program"}, "failed", "no such program"),
        ({"cause": "timeout"}, "timed_out", "it exceeded its timeout"),
        ({"cause": "stop"}, "failed", "stopped by another process"),
        (
            {"output": float("nan")},
            "failed",
            "its output contains a number that JSON cannot represent",
        ),
        (
            {"output": {"a": [1e999]}},
            "failed",
            "its output contains a number that JSON cannot represent",
        ),
        (
            {"output": nest(5000)},
            "failed",
            "its output is nested more than 100 levels deep",
        ),
        ({"output": nest(99)}, "succeeded", ""),
    ],
)
def test_report_sets_outcome_and_reason(
    report: Dict[str, Any], outcome: str, reason: str
) -> None:
    dialogue = one_running()
    dialogue.report(dialogue.ended("a", **report))
    assert (dialogue.task("a").outcome, dialogue.task("a").reason) == (outcome, reason)


def test_only_a_successful_task_has_an_output() -> None:
    dialogue = one_running()
    dialogue.report(dialogue.ended("a", exit_code=1, output={"ip": "10.0.0.1"}))
    assert dialogue.task("a").output is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"error": "quota exceeded"}, "quota exceeded"),
        ({}, "it returned success: false"),
        ({"error": " \n"}, "it returned success: false"),
        ({"error": "", "message": "busy"}, "busy"),
        ({"error": {"code": 7}}, '{"code": 7}'),
        ({"error": "two\nlines\x1b[31m"}, "two lines [31m"),
        ({"error": "x" * 1000}, "x" * 300 + "..."),
    ],
)
def test_call_that_returned_success_false_fails_with_its_own_reason(
    said: Dict[str, Any], reason: str
) -> None:
    dialogue = one_running()
    output = {"success": False, **said}
    dialogue.report(dialogue.ended("a", exit_code=1, output=output))
    task = dialogue.task("a")
    assert (task.outcome, task.reason, task.result.exit_code) == ("failed", reason, 1)
    assert task.output == output


@pytest.mark.parametrize("output", [{"success": 0}, {"success": True}, False, [], None])
def test_other_output_of_a_failed_task_is_ignored(output: Any) -> None:
    dialogue = one_running()
    dialogue.report(dialogue.ended("a", exit_code=1, output=output))
    assert dialogue.task("a").reason == "exit code 1"
    assert dialogue.task("a").output is None


def test_exit_record_is_journaled_completely() -> None:
    dialogue = one_running()
    report = ExitedReport(
        "r",
        "a",
        1,
        "exit",
        result=AttemptResult(
            0,
            started_at=5.0,
            finished_at=7.0,
            cpu_s=0.25,
            max_rss_bytes=4096,
            survivors=2,
            log_dropped_bytes=9,
        ),
        output={"ip": "10.0.0.1"},
    )
    assert observe(dialogue.state, report, 9.0, 0.0) == [
        ev.AttemptFinished(
            "r",
            9.0,
            "a",
            1,
            "succeeded",
            result=AttemptResult(
                0,
                started_at=5.0,
                finished_at=7.0,
                cpu_s=0.25,
                max_rss_bytes=4096,
                survivors=2,
                log_dropped_bytes=9,
            ),
            output={"ip": "10.0.0.1"},
        )
    ]


@pytest.mark.parametrize(
    ("cause", "told_of"), [("exit", 2), ("stop", 0), ("timeout", 0)]
)
def test_processes_killed_with_a_stopped_task_are_no_survivors(
    cause: ExitCause, told_of: int
) -> None:
    dialogue = one_running()
    dialogue.report(dialogue.ended("a", cause=cause, exit_code=1, survivors=2))
    assert dialogue.task("a").result.survivors == told_of


@pytest.mark.parametrize(
    "change",
    [{"run": "other"}, {"task": "other"}, {"attempt": 0}, {"attempt": 2}],
    ids=str,
)
def test_report_about_an_unknown_attempt_is_ignored(change: Dict[str, Any]) -> None:
    dialogue = one_running()
    fields = {**vars(dialogue.ended("a")), **change}
    assert observe(dialogue.state, ExitedReport(**fields), 1.0, 0.0) == []


def test_outdated_report_is_ignored() -> None:
    dialogue = one_running()
    report = dialogue.ended("a")
    dialogue.report(report)
    assert observe(dialogue.state, report, 1.0, 0.0) == []


@pytest.mark.parametrize("request_", [Cancel("x"), ResolveTask("x", "a", "rerun")])
def test_request_for_a_run_of_another_owner_is_refused(request_: Any) -> None:
    with pytest.raises(NotFound, match="this process does not own run x"):
        admit(one_running().state, request_, 1.0)


def test_only_a_held_task_can_be_resolved() -> None:
    dialogue = one_running()
    with pytest.raises(RequestRejected, match="task a is running, not held"):
        dialogue.request(ResolveTask("r", "a", "rerun"))
    with pytest.raises(NotFound, match="run r has no task b"):
        dialogue.request(ResolveTask("r", "b", "rerun"))
    dialogue.hear("a is lost")
    with pytest.raises(
        UsageError, match="unknown decision forget: use one of rerun, accept, fail"
    ):
        dialogue.request(ResolveTask("r", "a", "forget"))


def test_finished_run_refuses_requests() -> None:
    dialogue = one_running()
    dialogue.hear("a exits 0")
    before = picture(dialogue.state)
    with pytest.raises(RequestRejected, match="run r has already finished"):
        dialogue.hear("cancel")
    assert picture(dialogue.state) == before


def test_reasons_are_kept_up_to_a_maximum_length() -> None:
    dialogue = one_running()
    dialogue.hear("a is lost")
    dialogue.request(ResolveTask("r", "a", "rerun", reason="x" * 5000))
    dialogue.request(Cancel("r", reason="y" * 5000))
    reasons = [getattr(event, "reason", "") for event in dialogue.history]
    assert "x" * 1000 in reasons
    assert "y" * 1000 in reasons


def test_launch_has_every_expression_resolved() -> None:
    ip = output("a", "ip")
    actions = (
        Command(("ping", ip)),
        Script("x", {"ip": ip}),
        NushellCall("servers/create.nu", "create", (ip,), {"ip": ip}),
    )
    dialogue = Dialogue()
    dialogue.submit(
        a_workflow(
            task("a"),
            *(
                task(f"b{n}", ["a"], action=action, env={"IP": ip})
                for n, action in enumerate(actions)
            ),
        )
    )
    dialogue.hear('a returns {"ip": "10.0.0.1"}')
    assert [launch.action for launch in dialogue.launches[1:]] == [
        Command(("ping", "10.0.0.1")),
        Script("x", {"ip": "10.0.0.1"}),
        NushellCall("servers/create.nu", "create", ("10.0.0.1",), {"ip": "10.0.0.1"}),
    ]
    assert [launch.env for launch in dialogue.launches[1:]] == [{"IP": "10.0.0.1"}] * 3


def test_output_of_a_group_has_the_outputs_of_its_tasks() -> None:
    dialogue = Dialogue()
    dialogue.submit(
        a_workflow(
            group("g"),
            task("g/x"),
            group("g/h"),
            task("g/h/y"),
            task("z", ["g"], env={"ALL": output("g")}),
        )
    )
    dialogue.hear("g/x returns 1")
    dialogue.hear("g/h/y returns 2")
    assert dialogue.launches[-1].env == {"ALL": {"x": 1, "h": {"y": 2}}}


@pytest.mark.parametrize(
    ("ending", "story"),
    [
        ("exits 1", "a has no output: it failed"),
        ("times out", "a has no output: it timed out"),
    ],
)
def test_missing_value_names_its_task(ending: str, story: str) -> None:
    dialogue = Dialogue()
    dialogue.submit(
        a_workflow(task("a"), task("b", [("a", "done")], env={"A": output("a")}))
    )
    assert dialogue.hear(f"a {ending}")[0] == "refuse b"
    assert dialogue.task("b").reason == story
