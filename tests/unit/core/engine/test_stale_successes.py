"""A success that depends on an undone or repeated task is stale."""

from __future__ import annotations

from typing import Any

import pytest

from provctl.core.analysis.explain import explain
from provctl.core.engine import events as ev
from provctl.core.engine.reopen import ran_on_failure, to_retry, why_stale
from provctl.core.engine.view import view
from provctl.core.model.workflow import RetryPolicy, Workflow
from provctl.errors import RequestRejected
from tests.support.engine_driver import Dialogue
from tests.support.histories_of_stale_tasks import MADE, on_a_server, server, user
from tests.support.workflows import a_workflow, group, output, task


def told(workflow: Workflow, *lines: str) -> Dialogue:
    """An owner that has processed these lines."""
    dialogue = Dialogue()
    dialogue.submit(workflow)
    for line in lines:
        dialogue.hear(line)
    return dialogue


DEPLOYED = (f"server returns {MADE}", "configure exits 0", "app exits 0")
GONE = (*DEPLOYED, "undo all", "server exits 0")


def deployed() -> Dialogue:
    return told(on_a_server(user("configure")), *DEPLOYED)


def gone() -> Dialogue:
    return told(on_a_server(user("configure")), *GONE)


def refusal(dialogue: Dialogue, line: str) -> str:
    with pytest.raises(RequestRejected) as caught:
        dialogue.hear(line)
    return f"{caught.value.message}; {caught.value.hint}"


def test_task_is_not_retried_alone_if_its_output_was_used() -> None:
    said = refusal(deployed(), "only server")
    assert "task server cannot be retried alone: configure depends on it" in said
    assert "provctl retry r --from server" in said


def test_undone_task_is_not_retried_alone_if_its_output_was_used() -> None:
    said = refusal(gone(), "only server")
    assert "task server cannot be retried alone: configure depends on it" in said


@pytest.mark.parametrize("line", ["only app", "from app", "only configure"])
def test_retry_that_would_use_an_undone_task_is_refused(line: str) -> None:
    assert "provctl retry r" in refusal(gone(), line)


def test_refusal_names_the_undone_task() -> None:
    assert (
        "app needs configure, but configure depends on server, which was undone"
        in refusal(gone(), "only app")
    )
    assert "configure needs server, but server was undone" in refusal(
        gone(), "only configure"
    )


def test_task_can_be_retried_with_everything_downstream() -> None:
    assert gone().hear("from server") == ["start server again"]
    assert deployed().hear("from server") == ["start server again"]


def test_task_can_be_retried_alone_if_its_dependents_did_not_run() -> None:
    dialogue = told(on_a_server(user("configure")), "server exits 1")
    assert dialogue.hear("only server") == ["start server again"]


def test_task_in_a_group_is_not_retried_alone_if_its_output_was_used() -> None:
    whole = task("b", ["g"], env={"N": output("g")})
    workflow = a_workflow(group("g"), task("g/a"), whole)
    dialogue = told(workflow, "g/a returns 1", "b exits 0")
    assert "b depends on it" in refusal(dialogue, "only g/a")


@pytest.mark.parametrize("line", ["only server", "from server"])
def test_task_is_not_retried_while_its_output_is_in_use(line: str) -> None:
    dialogue = told(on_a_server(user("configure")), f"server returns {MADE}")
    assert "task configure is running" in refusal(dialogue, line)
    dialogue.hear("configure is lost")
    assert "task configure is held" in refusal(dialogue, line)


def test_task_is_not_retried_while_its_failure_handler_runs() -> None:
    workflow = a_workflow(task("a"), task("alert", [("a", "failure")]))
    assert "task alert is running" in refusal(told(workflow, "a exits 1"), "again")


def test_task_that_depends_on_an_undone_task_is_stale() -> None:
    dialogue = gone()
    shown = {seen.id: seen.stale for seen in view(dialogue.r).tasks}
    stale = "depends on server, which was undone"
    assert shown == {"server": "", "configure": stale, "app": stale}
    because = [b.text for b in explain(dialogue.state, "r", "app", no_idea)]
    assert because == ["it succeeded", f"it {stale}: a retry runs it again"]
    assert not why_stale(deployed().r)
    assert not any(seen.stale for seen in view(deployed().r).tasks)


def test_group_with_an_undone_task_is_stale() -> None:
    workflow = a_workflow(group("g"), server("g/s"), task("z", ["g"]))
    dialogue = told(workflow, "g/s exits 0", "z exits 0", "undo all", "g/s exits 0")
    assert why_stale(dialogue.r) == {
        "g/s": "was undone",
        "g": "depends on g/s, which was undone",
        "z": "depends on g/s, which was undone",
    }
    assert "z needs g, but g depends on g/s" in refusal(dialogue, "only z")


def test_no_task_is_stale_after_the_retry() -> None:
    dialogue = gone()
    for line in ("again", *DEPLOYED):
        dialogue.hear(line)
    assert dialogue.r.outcome == "succeeded"
    assert not why_stale(dialogue.r)


def test_tasks_that_ran_because_of_a_failure_are_distinguished() -> None:
    workflow = a_workflow(task("a"), task("b", [("a", "failure")]), task("c", ["b"]))
    dialogue = told(workflow, "a exits 1", "b exits 0", "c exits 0")
    assert ran_on_failure(dialogue.r, "b")
    assert not ran_on_failure(dialogue.r, "c")
    assert list(to_retry(dialogue.r, (), downstream_too=False)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("tasks", "again"), [([], ["server"]), (["server"], ["server"])]
)
def test_retry_recorded_by_an_earlier_version_is_replayed_as_it_happened(
    tasks: Any, again: Any
) -> None:
    dialogue = gone()
    dialogue.settle([ev.RetryRequested("r", dialogue.now, tasks)])
    opened = [name for name, each in dialogue.r.tasks.items() if not each.outcome]
    assert opened == again


def test_earlier_version_did_not_shorten_retry_delays() -> None:
    workflow = a_workflow(task("a", retry=RetryPolicy(2, 3600)), task("b"))
    dialogue = told(workflow, "a exits 1", "b exits 1")
    dialogue.settle([ev.RetryRequested("r", dialogue.now, [])])
    assert dialogue.task("a").status == "retrying"
    assert dialogue.task("b").status == "running"


def no_idea(_run: Any, _task: Any) -> None:
    """No expected end."""
