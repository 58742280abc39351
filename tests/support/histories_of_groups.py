"""Histories of nested workflows: start, end, failure, timeout."""

from __future__ import annotations

from typing import Any

from provctl.core.model.workflow import RetryPolicy, Task, Workflow
from tests.support.history import History
from tests.support.workflows import a_workflow, group, nested, task

__all__ = ["GROUPS"]


def cluster(*inner: Task, **fields: Any) -> Workflow:
    """A group g of these tasks, followed by z."""
    return a_workflow(group("g", **fields), *inner, task("z", ["g"]))


GROUPS = {
    "a group runs between its dependencies and its dependents": History(
        a_workflow(
            task("a"),
            group("g", ["a"]),
            task("g/x"),
            task("g/y", ["g/x"]),
            task("z", ["g"]),
        ),
        """
        submit       => start a
        a exits 0    => open g, start g/x
        g/x exits 0  => start g/y
        g/y exits 0  => close g succeeded, start z
        z exits 0    => end succeeded
        """,
    ),
    "a group fails with its task after its other tasks finished": History(
        cluster(task("g/x"), task("g/y")),
        """
        submit       => open g, start g/x, start g/y
        g/x exits 1  =>
        g/y exits 0  => close g failed, skip z, end failed
        """,
    ),
    "a task with on_failure continue does not fail its group": History(
        cluster(task("g/x", on_failure="continue"), task("g/y", ["g/x"])),
        """
        submit       => open g, start g/x
        g/x exits 1  => start g/y
        g/y exits 0  => close g succeeded, start z
        z exits 0    => end succeeded
        """,
    ),
    "a group with on_failure continue does not fail the run": History(
        cluster(task("g/x"), on_failure="continue"),
        """
        submit       => open g, start g/x
        g/x exits 1  => close g failed, start z
        z exits 0    => end succeeded
        """,
    ),
    "a group and its tasks are skipped if a dependency failed": History(
        a_workflow(task("a"), group("g", ["a"]), group("g/h"), task("g/h/x")),
        """
        submit     => start a
        a exits 1  => skip g, skip g/h, skip g/h/x, end failed
        """,
    ),
    "a group without tasks succeeds": History(
        cluster(),
        """
        submit     => open g, close g succeeded, start z
        z exits 0  => end succeeded
        """,
    ),
    "a group in a group": History(
        nested(3),
        """
        submit           => open g, open g/g, open g/g/g, start g/g/g/t
        g/g/g/t exits 1  => close g/g/g failed, close g/g failed, close g failed, end failed
        """,
    ),
    "fail fast ignores a group with on_failure continue": History(
        a_workflow(group("g", on_failure="continue"), task("g/x"), task("a", ["g"])),
        """
        submit       => open g, start g/x
        g/x exits 1  => close g failed, start a
        a exits 0    => end succeeded
        """,
        submit={"fail_fast": True},
    ),
    "the timeout of a group stops only its own tasks": History(
        a_workflow(
            group("g", timeout_s=60),
            task("g/x"),
            task("g/y", ["g/x"]),
            group("g/h", ["g/x"]),
            task("g/h/t"),
            task("a"),
            task("z", ["g"]),
        ),
        """
        submit          => open g, start g/x, start a
        wait 60         => overtime g, stop g/x
        g/x is stopped  => close g timed_out, skip z
        a exits 0       => end timed_out
        """,
    ),
    "no task of a timed out group is retried": History(
        cluster(
            task("g/a", retry=RetryPolicy(attempts=5)),
            task("g/b", retry=RetryPolicy(attempts=5, delay_s=99)),
            task("g/c", on_interrupt="rerun", idempotent=True),
            task("g/d", on_interrupt="hold"),
            task("g/e"),
            task("g/f", pools={"p": 1}),
            task("g/g", pools={"p": 1}),
            timeout_s=60,
        ),
        """
        submit         => open g, start g/a, start g/b, start g/c, start g/d, start g/e, start g/f
        g/b exits 1    =>
        wait 60        => overtime g, stop g/a, stop g/c, stop g/d, stop g/e, stop g/f
        g/a exits 1    =>
        g/c is lost    =>
        g/d is lost    =>
        g/e is void    =>
        g/f is stopped => close g failed, skip z, end failed
        """,
        capacity={"p": 1},
    ),
    "the timeout of a group ends its held task": History(
        cluster(task("g/x"), timeout_s=60),
        """
        submit       => open g, start g/x
        g/x is lost  =>
        wait 60      => overtime g, close g timed_out, skip z, end timed_out
        """,
    ),
    "cancel with now after the timeout of a group kills at once": History(
        cluster(task("g/x"), timeout_s=60),
        """
        submit          => open g, start g/x
        wait 60         => overtime g, stop g/x
        cancel          =>
        cancel now      => stop g/x now
        g/x is stopped  => close g cancelled, end cancelled
        """,
    ),
    "a group that finishes in time has no timeout": History(
        a_workflow(group("g", timeout_s=60), task("g/x"), task("a")),
        """
        submit       => open g, start g/x, start a
        g/x exits 0  => close g succeeded
        wait 60      =>
        a exits 0    => end succeeded
        """,
    ),
    "fail fast closes a group after its running tasks finished": History(
        a_workflow(group("g"), task("g/x"), task("g/y", ["g/x"]), task("a")),
        """
        submit       => open g, start g/x, start a
        a exits 1    => skip g/y
        g/x exits 0  => close g succeeded, end failed
        """,
        submit={"fail_fast": True},
    ),
}
