"""Histories with other ends: cancelled, timed out, lost, held."""

from __future__ import annotations

from typing import Any

from provctl.core.model.workflow import RetryPolicy, Task
from tests.support.history import History
from tests.support.workflows import a_workflow, chain, group, task

__all__ = ["CANCELS", "UNKNOWN"]


def uncertain(policy: str, **fields: Any) -> Task:
    return task("a", on_interrupt=policy, **fields)


CANCELS = {
    "cancel stops running tasks and starts no others": History(
        a_workflow(task("a"), task("b"), task("c", ["a"])),
        """
        submit        => start a
        cancel        => stop a
        a is stopped  => end cancelled
        """,
        slots=1,
    ),
    "a second cancel with now stops again, a third changes nothing": History(
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
    "a task that finishes before its stop keeps its outcome": History(
        chain(2),
        """
        submit      => start t0
        cancel      => stop t0
        t0 exits 0  => end cancelled
        """,
    ),
    "cancel before any task has started": History(
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
    "cancel with a nested workflow": History(
        a_workflow(group("g"), task("g/x"), task("g/y", ["g/x"])),
        """
        submit          => open g, start g/x
        cancel          => stop g/x
        g/x is stopped  => close g cancelled, end cancelled
        """,
    ),
    "an adopted attempt is stopped again after a cancel": History(
        a_workflow(task("a")),
        """
        submit        => start a
        cancel now    => stop a now
        a is adopted  => stop a now
        a is adopted  => stop a now
        a is stopped  => end cancelled
        """,
    ),
    "an adopted attempt continues without a cancel": History(
        a_workflow(task("a")),
        """
        submit        => start a
        a is adopted  =>
        a exits 0     => end succeeded
        """,
    ),
    "an attempt stopped by another process has failed": History(
        chain(2),
        """
        submit         => start t0
        t0 is stopped  => skip t1, end failed
        """,
    ),
    "the timeout of a run stops its tasks": History(
        a_workflow(task("a"), task("b", ["a"]), timeout_s=60),
        """
        submit        => start a
        wait 59       =>
        wait 1        => cancel timeout, stop a
        a is stopped  => end timed_out
        """,
    ),
    "cancel with now after a timeout kills at once": History(
        a_workflow(task("a"), timeout_s=60),
        """
        submit        => start a
        wait 60       => cancel timeout, stop a
        cancel now    => stop a now
        a is stopped  => end timed_out
        """,
    ),
    "a cancelled run has no timeout": History(
        a_workflow(task("a"), timeout_s=60),
        """
        submit        => start a
        cancel        => stop a
        wait 100      =>
        a is stopped  => end cancelled
        """,
    ),
    "the timeout of a run counts from its first task": History(
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
    "a lost task is held for an operator": History(
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
    "an operator accepts a held task as done": History(
        a_workflow(uncertain("hold"), task("b", ["a"])),
        """
        submit     => start a
        a is lost  =>
        accept a   => start b
        b exits 0  => end succeeded
        """,
    ),
    "an operator marks a held task as failed": History(
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
    "a rerun by an operator exceeds the allowed attempts": History(
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
    "policy rerun repeats a lost task at most three times": History(
        a_workflow(uncertain("rerun", idempotent=True)),
        """
        submit            => start a
        a is lost         => retry a, start a again
        a is interrupted  => retry a, start a again
        a is lost         => end lost
        """,
    ),
    "policy rerun does not apply in a cancelled run": History(
        a_workflow(uncertain("rerun", idempotent=True)),
        """
        submit     => start a
        cancel     => stop a
        a is lost  => end cancelled
        """,
    ),
    "policy fail makes the run of an interrupted task lost": History(
        a_workflow(uncertain("fail"), task("b", [("a", "failure")])),
        """
        submit            => start a
        a is interrupted  => start b
        b exits 0         => end lost
        """,
    ),
    "a stopping task that is lost is not held": History(
        a_workflow(uncertain("hold")),
        """
        submit     => start a
        cancel     => stop a
        a is lost  => end cancelled
        """,
    ),
    "a held task is cancelled": History(
        a_workflow(uncertain("hold"), task("b", ["a"])),
        """
        submit     => start a
        a is lost  =>
        cancel     => end cancelled
        """,
    ),
    "the timeout of a run includes the time of a held task": History(
        a_workflow(uncertain("hold"), timeout_s=60),
        """
        submit     => start a
        a is lost  =>
        wait 60    => cancel timeout, end timed_out
        """,
    ),
}
