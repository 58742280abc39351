"""Owns histories of nested workflows: begin, end, failure, time."""

from __future__ import annotations

from typing import Any

from provctl.core.model.workflow import RetryPolicy, Task, Workflow
from tests.support.history import History
from tests.support.workflows import a_workflow, group, nested, task

__all__ = ["GROUPS"]


def cluster(*inner: Task, **fields: Any) -> Workflow:
    """A group g of these tasks, and z after it."""
    return a_workflow(group("g", **fields), *inner, task("z", ["g"]))


GROUPS = {
    "a nested workflow runs between what it needs and what needs it": History(
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
    "it fails with a task in it, after the others in it": History(
        cluster(task("g/x"), task("g/y")),
        """
        submit       => open g, start g/x, start g/y
        g/x exits 1  =>
        g/y exits 0  => close g failed, skip z, end failed
        """,
    ),
    "a failure in it that may happen does not fail it": History(
        cluster(task("g/x", on_failure="continue"), task("g/y", ["g/x"])),
        """
        submit       => open g, start g/x
        g/x exits 1  => start g/y
        g/y exits 0  => close g succeeded, start z
        z exits 0    => end succeeded
        """,
    ),
    "its own failure may happen": History(
        cluster(task("g/x"), on_failure="continue"),
        """
        submit       => open g, start g/x
        g/x exits 1  => close g failed, start z
        z exits 0    => end succeeded
        """,
    ),
    "what it needs failed: it is skipped, and all in it": History(
        a_workflow(task("a"), group("g", ["a"]), group("g/h"), task("g/h/x")),
        """
        submit     => start a
        a exits 1  => skip g, skip g/h, skip g/h/x, end failed
        """,
    ),
    "without tasks it succeeds": History(
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
    "with fail-fast a failure in a group that may fail stops nothing": History(
        a_workflow(group("g", on_failure="continue"), task("g/x"), task("a", ["g"])),
        """
        submit       => open g, start g/x
        g/x exits 1  => close g failed, start a
        a exits 0    => end succeeded
        """,
        submit={"fail_fast": True},
    ),
    "its time is over: what is left of it ends, the rest goes on": History(
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
    "nothing in it is tried again when its time is over": History(
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
    "a task that is held does not keep it beyond its time": History(
        cluster(task("g/x"), timeout_s=60),
        """
        submit       => open g, start g/x
        g/x is lost  =>
        wait 60      => overtime g, close g timed_out, skip z, end timed_out
        """,
    ),
    "cancelled at once after its time is over": History(
        cluster(task("g/x"), timeout_s=60),
        """
        submit          => open g, start g/x
        wait 60         => overtime g, stop g/x
        cancel          =>
        cancel now      => stop g/x now
        g/x is stopped  => close g cancelled, end cancelled
        """,
    ),
    "in time, and nothing comes after": History(
        a_workflow(group("g", timeout_s=60), task("g/x"), task("a")),
        """
        submit       => open g, start g/x, start a
        g/x exits 0  => close g succeeded
        wait 60      =>
        a exits 0    => end succeeded
        """,
    ),
    "with fail-fast a group ends once what runs in it has ended": History(
        a_workflow(group("g"), task("g/x"), task("g/y", ["g/x"]), task("a")),
        """
        submit       => open g, start g/x, start a
        a exits 1    => skip g/y
        g/x exits 0  => close g succeeded, end failed
        """,
        submit={"fail_fast": True},
    ),
}
