"""Histories of tasks: dependencies, conditions, retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provctl.core.model.workflow import RetryPolicy, Task, Workflow
from tests.support.history import History
from tests.support.workflows import a_workflow, chain, group, output, task

if TYPE_CHECKING:
    from provctl.core.model.status import DependencyOutcome

__all__ = ["CONDITIONS", "NEEDS", "RETRIES"]


def pair(on: DependencyOutcome, **first: Any) -> Workflow:
    """Task b after task a, and c after b whatever its outcome."""
    return a_workflow(
        task("a", **first), task("b", [("a", on)]), task("c", [("b", "done")])
    )


def conditional(when: Any) -> Workflow:
    """Task b after a if `when`, and c after b."""
    return a_workflow(task("a"), task("b", ["a"], when=when), task("c", ["b"]))


def conditional_on_outcome(outcome: str) -> Workflow:
    """Task b after a, if that finished so."""
    when = {"$equals": [{"$outcome": "a"}, outcome]}
    return a_workflow(task("a"), task("b", [("a", "done")], when=when))


def conditional_on_default() -> Workflow:
    """Task b after a, if that returned n = 1 or nothing."""
    value = {"$output": {"task": "a", "path": "n", "default": 1}}
    when = {"$equals": [value, 1]}
    return a_workflow(task("a"), task("b", [("a", "done")], when=when))


def cluster(*inner: Task, **fields: Any) -> Workflow:
    """A group g of these tasks, followed by z."""
    return a_workflow(group("g", **fields), *inner, task("z", ["g"]))


NEEDS = {
    "tasks of a chain run one after another": History(
        chain(3),
        """
        submit      => start t0
        t0 exits 0  => start t1
        t1 exits 0  => start t2
        t2 exits 0  => end succeeded
        """,
    ),
    "a task waits for all its dependencies": History(
        a_workflow(task("a"), task("b"), task("c", ["a", "b"])),
        """
        submit     => start a, start b
        b exits 0  =>
        a exits 0  => start c
        c exits 0  => end succeeded
        """,
    ),
    "a dependency is met by success": History(
        pair("success"),
        """
        submit     => start a
        a exits 0  => start b
        b exits 0  => start c
        c exits 0  => end succeeded
        """,
    ),
    "a dependency on success is not met by failure": History(
        pair("success"),
        """
        submit     => start a
        a exits 3  => skip b, start c
        c exits 0  => end failed
        """,
    ),
    "a dependency on failure is met by failure": History(
        pair("failure"),
        """
        submit     => start a
        a exits 3  => start b
        b exits 0  => start c
        c exits 0  => end failed
        """,
    ),
    "a dependency on failure is met by a timeout": History(
        pair("failure"),
        """
        submit       => start a
        a times out  => start b
        b exits 0    => start c
        c exits 0    => end timed_out
        """,
    ),
    "a dependency on failure is not met by success": History(
        pair("failure"),
        """
        submit     => start a
        a exits 0  => skip b, start c
        c exits 0  => end succeeded
        """,
    ),
    "a dependency on done is met by failure": History(
        pair("done"),
        """
        submit     => start a
        a exits 3  => start b
        b exits 0  => start c
        c exits 0  => end failed
        """,
    ),
    "a failure with on_failure continue meets a dependency on success": History(
        pair("success", on_failure="continue"),
        """
        submit     => start a
        a exits 3  => start b
        b exits 0  => start c
        c exits 0  => end succeeded
        """,
    ),
    "a failure with on_failure continue meets a dependency on failure": History(
        pair("failure", on_failure="continue"),
        """
        submit     => start a
        a exits 3  => start b
        b exits 0  => start c
        c exits 0  => end succeeded
        """,
    ),
    "dependencies that exclude each other skip the task": History(
        a_workflow(task("a"), task("b", ["a", ("a", "failure")])),
        """
        submit     => start a
        a exits 0  => skip b, end succeeded
        """,
    ),
    "a failure does not affect independent tasks": History(
        a_workflow(task("a"), task("b"), task("c", ["a"]), task("d", ["b"])),
        """
        submit     => start a, start b
        a exits 1  => skip c
        b exits 0  => start d
        d exits 0  => end failed
        """,
    ),
    "a skip passes down the graph": History(
        chain(4),
        """
        submit      => start t0
        t0 exits 1  => skip t1, skip t2, skip t3, end failed
        """,
    ),
    "fail fast skips waiting tasks and lets running ones finish": History(
        a_workflow(task("a"), task("b"), task("c"), task("d", ["b"])),
        """
        submit     => start a, start b
        a exits 1  => skip c, skip d
        b exits 0  => end failed
        """,
        slots=2,
        submit={"fail_fast": True},
    ),
    "fail fast ignores a failure with on_failure continue": History(
        a_workflow(task("a", on_failure="continue"), task("b")),
        """
        submit     => start a
        a exits 1  => start b
        b exits 0  => end succeeded
        """,
        slots=1,
        submit={"fail_fast": True},
    ),
    "fail fast does not restart a discarded attempt": History(
        a_workflow(task("a"), task("b")),
        """
        submit     => start a, start b
        a exits 1  =>
        b is void  => skip b, end failed
        """,
        submit={"fail_fast": True},
    ),
    "a workflow without tasks succeeds": History(
        a_workflow(),
        """
        submit  => end succeeded
        """,
    ),
}

CONDITIONS = {
    "a condition on the outcome of a task that failed": History(
        conditional_on_outcome("failed"),
        """
        submit     => start a
        a exits 3  => start b
        b exits 0  => end failed
        """,
    ),
    "a condition on another outcome than the task has": History(
        conditional_on_outcome("failed"),
        """
        submit     => start a
        a exits 0  => skip b, end succeeded
        """,
    ),
    "a condition with a default, after a task that failed": History(
        conditional_on_default(),
        """
        submit     => start a
        a exits 3  => start b
        b exits 0  => end failed
        """,
    ),
    "a condition with a default, after a task that returned another value": History(
        conditional_on_default(),
        """
        submit              => start a
        a returns {"n": 2}  => skip b, end succeeded
        """,
    ),
    "a default is not for a field that the output does not have": History(
        conditional_on_default(),
        """
        submit              => start a
        a returns {"m": 1}  => refuse b, end failed
        """,
    ),
    "a task with a true condition runs": History(
        conditional({"$equals": [output("a", "n"), 1]}),
        """
        submit              => start a
        a returns {"n": 1}  => start b
        b exits 0           => start c
        c exits 0           => end succeeded
        """,
    ),
    "a false condition skips the task and its dependents": History(
        conditional({"$equals": [output("a", "n"), 1]}),
        """
        submit              => start a
        a returns {"n": 2}  => skip b, skip c, end succeeded
        """,
    ),
    "the condition false skips the task": History(
        a_workflow(task("a", when=False)),
        """
        submit  => skip a, end succeeded
        """,
    ),
    "a condition that cannot be decided fails the task": History(
        conditional({"$equals": [output("a", "x"), 1]}),
        """
        submit              => start a
        a returns {"n": 1}  => refuse b, skip c, end failed
        """,
    ),
    "a missing value fails the task before any attempt": History(
        a_workflow(
            task("a"), task("b", ["a"], env={"N": output("a", "n")}), task("c", ["b"])
        ),
        """
        submit           => start a
        a returns [1,2]  => refuse b, skip c, end failed
        """,
    ),
    "a missing value with on_failure continue does not fail the run": History(
        a_workflow(
            task("a"),
            task("b", ["a"], env={"N": output("a", "n")}, on_failure="continue"),
            task("c", ["b"]),
        ),
        """
        submit           => start a
        a returns [1,2]  => refuse b, start c
        c exits 0        => end succeeded
        """,
    ),
    "a group has a condition": History(
        cluster(task("g/x"), when=False),
        """
        submit  => skip g, skip z, skip g/x, end succeeded
        """,
    ),
}

RETRIES = {
    "a failed attempt is retried after its delay": History(
        a_workflow(task("a", retry=RetryPolicy(attempts=3, delay_s=5))),
        """
        submit     => start a
        a exits 1  =>
        wait 4.9   =>
        wait 0.2   => retry a, start a again
        a exits 0  => end succeeded
        """,
    ),
    "a task has failed after its last attempt": History(
        a_workflow(
            task("a", retry=RetryPolicy(attempts=2, delay_s=1)), task("b", ["a"])
        ),
        """
        submit     => start a
        a exits 1  =>
        wait 1     => retry a, start a again
        a exits 1  => skip b, end failed
        """,
    ),
    "without a delay the next attempt starts at once": History(
        a_workflow(task("a", retry=RetryPolicy(attempts=2))),
        """
        submit       => start a
        a times out  => retry a, start a again
        a times out  => end timed_out
        """,
    ),
    "a retrying task releases its slot": History(
        a_workflow(task("a", retry=RetryPolicy(attempts=2, delay_s=9)), task("b")),
        """
        submit     => start a
        a exits 1  => start b
        b exits 0  =>
        wait 9     => retry a, start a again
        a exits 0  => end succeeded
        """,
        slots=1,
    ),
    "a discarded attempt does not count": History(
        a_workflow(task("a", retry=RetryPolicy(attempts=2))),
        """
        submit     => start a
        a is void  => start a again
        a exits 1  => retry a, start a again
        a exits 1  => end failed
        """,
    ),
    "a task of a cancelled run is not retried": History(
        a_workflow(task("a", retry=RetryPolicy(attempts=9))),
        """
        submit     => start a
        cancel     => stop a
        a exits 1  => end cancelled
        """,
    ),
    "a retrying task of a cancelled run is cancelled": History(
        a_workflow(task("a", retry=RetryPolicy(attempts=9, delay_s=60))),
        """
        submit     => start a
        a exits 1  =>
        cancel     => end cancelled
        """,
    ),
}
