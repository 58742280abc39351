"""Owns histories that end otherwise: cancelled, out of time, lost, held."""

from __future__ import annotations

from typing import Any

from provctl.core.model.workflow import RetryPolicy, Task
from tests.support.history import History
from tests.support.workflows import a_workflow, chain, group, task

__all__ = ["CANCELS", "UNKNOWN"]


def uncertain(policy: str, **fields: Any) -> Task:
    return task("a", on_interrupt=policy, **fields)


CANCELS = {
    "running tasks are told to end, the others never begin": History(
        a_workflow(task("a"), task("b"), task("c", ["a"])),
        """
        submit        => start a
        cancel        => stop a
        a is stopped  => end cancelled
        """,
        slots=1,
    ),
    "a second request, at once, is said again; a third is old news": History(
        a_workflow(task("a")),
        """
        submit        => start a
        cancel        => stop a
        cancel        =>
        cancel now    => stop a now
        cancel now    =>
        cancel        =>
        a is stopped  => end cancelled
        """,
    ),
    "a task that ends by itself meanwhile keeps its outcome": History(
        chain(2),
        """
        submit      => start t0
        cancel      => stop t0
        t0 exits 0  => end cancelled
        """,
    ),
    "before anything began": History(
        a_workflow(task("a", pools={"p": 1}), task("b", pools={"p": 1})),
        """
        submit     => start a
        a is void  => start a again
        a is void  => start a again
        cancel     => stop a
        a is void  => end cancelled
        """,
        capacity={"p": 1},
    ),
    "with a nested workflow": History(
        a_workflow(group("g"), task("g/x"), task("g/y", ["g/x"])),
        """
        submit          => open g, start g/x
        cancel          => stop g/x
        g/x is stopped  => close g cancelled, end cancelled
        """,
    ),
    "a try that outlived its owner is told again": History(
        a_workflow(task("a")),
        """
        submit        => start a
        cancel now    => stop a now
        a is adopted  => stop a now
        a is adopted  => stop a now
        a is stopped  => end cancelled
        """,
    ),
    "an adopted try that was told nothing goes on": History(
        a_workflow(task("a")),
        """
        submit        => start a
        a is adopted  =>
        a exits 0     => end succeeded
        """,
    ),
    "a try that nobody here told to end has failed": History(
        chain(2),
        """
        submit         => start t0
        t0 is stopped  => skip t1, end failed
        """,
    ),
    "the run's time is over": History(
        a_workflow(task("a"), task("b", ["a"]), timeout_s=60),
        """
        submit        => start a
        wait 59       =>
        wait 1        => cancel timeout, stop a
        a is stopped  => end timed_out
        """,
    ),
    "an operator may be more urgent than the timeout": History(
        a_workflow(task("a"), timeout_s=60),
        """
        submit        => start a
        wait 60       => cancel timeout, stop a
        cancel now    => stop a now
        a is stopped  => end timed_out
        """,
    ),
    "the timeout does not come after a request": History(
        a_workflow(task("a"), timeout_s=60),
        """
        submit        => start a
        cancel        => stop a
        wait 100      =>
        a is stopped  => end cancelled
        """,
    ),
    "the run's time counts from its first task": History(
        a_workflow(task("b", pools={"p": 1}), timeout_s=5),
        """
        submit     => start b
        b is void  => start b again
        wait 5     => cancel timeout, stop b
        b exits 0  => end timed_out
        """,
        capacity={"p": 1},
    ),
}

UNKNOWN = {
    "a lost task waits for an operator": History(
        a_workflow(uncertain("hold"), task("b", ["a"])),
        """
        submit      => start a
        a is lost   =>
        wait 99999  =>
        rerun a     => start a again
        a exits 0   => start b
        b exits 0   => end succeeded
        """,
    ),
    "an operator may say that it is done": History(
        a_workflow(uncertain("hold"), task("b", ["a"])),
        """
        submit     => start a
        a is lost  =>
        accept a   => start b
        b exits 0  => end succeeded
        """,
    ),
    "or that it is not": History(
        a_workflow(uncertain("hold"), task("b", ["a"])),
        """
        submit            => start a
        a is interrupted  =>
        fail a            => skip b, end failed
        """,
    ),
    "a held task does not stop the others": History(
        a_workflow(uncertain("hold"), task("b"), task("c", ["b"])),
        """
        submit     => start a, start b
        a is lost  =>
        b exits 0  => start c
        c exits 0  =>
        fail a     => end failed
        """,
    ),
    "a rerun by an operator is beyond the tries": History(
        a_workflow(uncertain("hold", retry=RetryPolicy(attempts=2))),
        """
        submit     => start a
        a exits 1  => retry a, start a again
        a is lost  =>
        rerun a    => start a again
        a exits 1  => retry a, start a again
        a exits 1  => end failed
        """,
    ),
    "policy rerun: again, three times at most": History(
        a_workflow(uncertain("rerun", idempotent=True)),
        """
        submit            => start a
        a is lost         => retry a, start a again
        a is interrupted  => retry a, start a again
        a is lost         => end lost
        """,
    ),
    "policy rerun: not in a cancelled run": History(
        a_workflow(uncertain("rerun", idempotent=True)),
        """
        submit     => start a
        cancel     => stop a
        a is lost  => end cancelled
        """,
    ),
    "policy fail: interrupted is lost for a run": History(
        a_workflow(uncertain("fail"), task("b", [("a", "failure")])),
        """
        submit            => start a
        a is interrupted  => start b
        b exits 0         => end lost
        """,
    ),
    "lost while it was told to end: nobody is asked": History(
        a_workflow(uncertain("hold")),
        """
        submit     => start a
        cancel     => stop a
        a is lost  => end cancelled
        """,
    ),
    "cancelled while it is held": History(
        a_workflow(uncertain("hold"), task("b", ["a"])),
        """
        submit     => start a
        a is lost  =>
        cancel     => end cancelled
        """,
    ),
    "the run's time does not stop for a held task": History(
        a_workflow(uncertain("hold"), timeout_s=60),
        """
        submit     => start a
        a is lost  =>
        wait 60    => cancel timeout, end timed_out
        """,
    ),
}
