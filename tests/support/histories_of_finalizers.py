"""Owns histories of finalizers: they run once whatever happened, after all others."""

from __future__ import annotations

from typing import Any

from provctl.core.model.workflow import Command, RetryPolicy, Task, Undo
from tests.support.history import History
from tests.support.workflows import Needs, a_workflow, group, output, task

__all__ = ["FINALIZERS"]

UNDO = Undo(Command(("delete",)))
OUTCOME = {"$run": "outcome"}


def finalizer(name: str, needs: Needs = (), **fields: Any) -> Task:
    return task(name, needs, finalizer=True, **fields)


_ENDS = {
    "it waits for all tasks, whether they need one another or not": History(
        a_workflow(task("a"), task("b", ["a"]), task("c"), finalizer("f")),
        """
        submit     => start a, start c
        a exits 0  => start b
        b exits 0  =>
        c exits 0  => start f
        f exits 0  => end succeeded
        """,
    ),
    "it runs after a failure, and tasks that are skipped": History(
        a_workflow(task("a"), task("b", ["a"]), finalizer("f")),
        """
        submit     => start a
        a exits 1  => skip b, start f
        f exits 0  => end failed
        """,
    ),
    "one that fails makes of a success a failure": History(
        a_workflow(task("a"), finalizer("f"), finalizer("g", [("f", "done")])),
        """
        submit     => start a
        a exits 0  => start f
        f exits 1  => start g
        g exits 0  => end failed
        """,
    ),
    "one that times out fails the run, which has no timeout": History(
        a_workflow(task("a"), finalizer("f")),
        """
        submit       => start a
        a exits 0    => start f
        f times out  => end failed
        """,
    ),
    "one that fails changes no other outcome": History(
        a_workflow(task("a"), finalizer("f")),
        """
        submit        => start a
        a times out   => start f
        f exits 1     => end timed_out
        """,
    ),
    "one whose failure does not count": History(
        a_workflow(task("a"), finalizer("f", on_failure="continue")),
        """
        submit     => start a
        a exits 0  => start f
        f exits 1  => end succeeded
        """,
    ),
    "they may need one another": History(
        a_workflow(task("a"), finalizer("f"), finalizer("g", ["f"]), finalizer("h")),
        """
        submit     => start a
        a exits 0  => start f, start h
        f exits 1  => skip g
        h exits 0  => end failed
        """,
    ),
    "it has attempts, a delay between them, and a condition": History(
        a_workflow(
            task("a"),
            finalizer("f", retry=RetryPolicy(2, 5.0)),
            finalizer("g", when={"$equals": [OUTCOME, "succeeded"]}),
            finalizer("h", when={"$equals": [OUTCOME, "failed"]}),
        ),
        """
        submit     => start a
        a exits 1  => skip g, start f, start h
        f exits 1  =>
        h exits 0  =>
        wait 5     => retry f, start f again
        f exits 0  => end failed
        """,
    ),
    "an output that is not there fails it before it starts": History(
        a_workflow(
            task("a"),
            task("b", ["a"]),
            finalizer("f", env={"B": output("b")}),
            finalizer("g", env={"A": output("a")}),
        ),
        """
        submit       => start a
        a returns 1  => start b
        b exits 1    => refuse f, start g
        g exits 0    => end failed
        """,
    ),
    "one that is held holds the run": History(
        a_workflow(task("a"), finalizer("f")),
        """
        submit     => start a
        a exits 0  => start f
        f is lost  =>
        cancel     =>
        rerun f    => start f again
        f exits 0  => end cancelled
        """,
    ),
    "a run of which no task began": History(
        a_workflow(task("a", when=False), finalizer("f")),
        """
        submit  => skip a, skip f, end succeeded
        """,
    ),
    "a run without other tasks": History(
        a_workflow(finalizer("f")),
        """
        submit  => skip f, end succeeded
        """,
    ),
    "an attempt that never began is made again": History(
        a_workflow(task("a"), finalizer("f")),
        """
        submit     => start a
        a exits 0  => start f
        f is void  => start f again
        f exits 0  => end succeeded
        """,
    ),
}

_STOPS = {
    "a cancel ends the tasks, then it runs": History(
        a_workflow(task("a"), task("b", ["a"]), finalizer("f")),
        """
        submit        => start a
        cancel        => stop a
        a is stopped  => start f
        f exits 0     => end cancelled
        """,
    ),
    "a cancel at once neither": History(
        a_workflow(task("a"), finalizer("f")),
        """
        submit        => start a
        cancel now    => stop a now
        a is stopped  => start f
        f exits 0     => end cancelled
        """,
    ),
    "the second cancel skips what has not begun": History(
        a_workflow(task("a"), finalizer("f"), finalizer("g", [("f", "done")])),
        """
        submit        => start a
        cancel        => stop a
        cancel        =>
        a is stopped  => end cancelled
        """,
    ),
    "the second cancel stops what runs": History(
        a_workflow(task("a"), finalizer("f"), finalizer("g", [("f", "done")])),
        """
        submit        => start a
        cancel now    => stop a now
        a is stopped  => start f
        cancel        => stop f
        cancel        =>
        cancel now    => stop f now
        f is stopped  => end cancelled
        """,
    ),
    "a cancel while it runs lets it run": History(
        a_workflow(task("a"), finalizer("f"), finalizer("g", ["f"])),
        """
        submit        => start a
        a exits 0     => start f
        cancel        =>
        f exits 0     => start g
        cancel        => stop g
        g is stopped  => end cancelled
        """,
    ),
    "a cancel while it waits for its next attempt": History(
        a_workflow(task("a"), finalizer("f", retry=RetryPolicy(3, 5.0))),
        """
        submit        => start a
        a exits 0     => start f
        f exits 1     =>
        cancel        =>
        wait 5        => retry f, start f again
        f exits 1     =>
        cancel        => end cancelled
        """,
    ),
    "a cancel while it waits for room": History(
        a_workflow(task("a"), finalizer("f"), finalizer("g")),
        """
        submit        => start a
        a exits 0     => start f
        cancel        =>
        f exits 0     => start g
        g exits 0     => end cancelled
        """,
        slots=1,
    ),
    "the run's time is over": History(
        a_workflow(task("a"), finalizer("f"), timeout_s=60),
        """
        submit        => start a
        wait 60       => cancel timeout, stop a
        a is stopped  => start f
        wait 600      =>
        f exits 0     => end timed_out
        """,
    ),
    "the run's time is for the other tasks": History(
        a_workflow(task("a"), finalizer("f"), timeout_s=60),
        """
        submit     => start a
        a exits 0  => start f
        wait 600   =>
        f exits 0  => end succeeded
        """,
    ),
    "the first failure ends the run": History(
        a_workflow(task("a"), task("b"), task("c", ["b"]), finalizer("f")),
        """
        submit     => start a, start b
        a exits 1  => skip c
        b exits 0  => start f
        f exits 0  => end failed
        """,
        submit={"fail_fast": True},
    ),
    "paused, frozen and cancelled": History(
        a_workflow(task("a"), finalizer("f"), finalizer("g", ["f"])),
        """
        submit     => start a
        pause      =>
        a exits 0  =>
        resume     => start f
        freeze     => freeze f
        cancel     => thaw f
        f exits 0  => start g
        g exits 0  => end cancelled
        """,
    ),
}
_ROLLBACKS = {
    "tasks, rollback, finalizers": History(
        a_workflow(
            task("a", undo=UNDO),
            task("b", ["a"], on_failure="rollback"),
            finalizer("f"),
        ),
        """
        submit     => start a
        a exits 0  => start b
        b exits 1  => roll back, undo a
        a exits 0  => start f
        f exits 0  => end rolled_back
        """,
    ),
    "an undo that fails": History(
        a_workflow(
            task("a", undo=UNDO),
            task("b", ["a"], on_failure="rollback"),
            finalizer("f"),
        ),
        """
        submit     => start a
        a exits 0  => start b
        b exits 1  => roll back, undo a
        a exits 1  => start f
        f exits 1  => end rollback_failed
        """,
    ),
    "a cancel during the rollback": History(
        a_workflow(
            task("a", undo=UNDO),
            task("b", ["a"], on_failure="rollback"),
            finalizer("f"),
        ),
        """
        submit        => start a
        a exits 0     => start b
        b exits 1     => roll back, undo a
        cancel        => stop a
        a is stopped  => start f
        f exits 0     => end rollback_failed
        """,
    ),
    "nothing to undo": History(
        a_workflow(task("b", on_failure="rollback"), finalizer("f")),
        """
        submit     => start b
        b exits 1  => roll back, start f
        f exits 0  => end rolled_back
        """,
    ),
    "a rollback by hand opens them again": History(
        a_workflow(task("a", undo=UNDO), finalizer("f"), finalizer("g", ["f"])),
        """
        submit     => start a
        a exits 0  => start f
        f exits 0  => start g
        g exits 1  => end failed
        undo all   => undo a
        a exits 0  => start f again
        f exits 0  => start g again
        g exits 0  => end rolled_back
        """,
    ),
    "a nested workflow's do not run again": History(
        a_workflow(
            group("n"),
            task("n/a", undo=UNDO),
            finalizer("n/f"),
            task("b", ["n"], on_failure="rollback"),
            finalizer("g"),
        ),
        """
        submit       => open n, start n/a
        n/a exits 0  => start n/f
        n/f exits 0  => close n succeeded, start b
        b exits 1    => roll back, undo n/a
        n/a exits 0  => start g
        g exits 0    => end rolled_back
        """,
    ),
    "a cancel rolls back": History(
        a_workflow(
            task("a", undo=UNDO),
            task("b", ["a"]),
            finalizer("f"),
            on_cancel="rollback",
        ),
        """
        submit        => start a
        a exits 0     => start b
        cancel        => stop b
        b is stopped  => roll back, undo a
        a exits 0     => start f
        f exits 0     => end rolled_back
        """,
    ),
    "the second cancel ends that rollback": History(
        a_workflow(
            task("a", undo=UNDO),
            task("b", ["a"]),
            finalizer("f"),
            on_cancel="rollback",
        ),
        """
        submit        => start a
        a exits 0     => start b
        cancel        => stop b
        b is stopped  => roll back, undo a
        cancel        => stop a
        a is stopped  => end rollback_failed
        """,
    ),
    "the second cancel comes before that rollback": History(
        a_workflow(task("a", undo=UNDO), task("b", ["a"]), on_cancel="rollback"),
        """
        submit        => start a
        a exits 0     => start b
        cancel        => stop b
        cancel now    => stop b now
        b is stopped  => end cancelled
        """,
    ),
    "a cancel rolls back, the timeout does not": History(
        a_workflow(task("a", undo=UNDO), timeout_s=9, on_cancel="rollback"),
        """
        submit        => start a
        wait 9        => cancel timeout, stop a
        a is stopped  => end timed_out
        """,
    ),
    "the timeout rolls back": History(
        a_workflow(
            task("a", undo=UNDO),
            task("b", ["a"]),
            timeout_s=9,
            on_timeout="rollback",
        ),
        """
        submit        => start a
        a exits 0     => start b
        wait 9        => cancel timeout, stop b
        b is stopped  => roll back, undo a
        a exits 0     => end rolled_back
        """,
    ),
}

_AGAIN = {
    "a retry runs them again at its end": History(
        a_workflow(task("a"), task("b", ["a"]), finalizer("f")),
        """
        submit     => start a
        a exits 0  => start b
        b exits 1  => start f
        f exits 0  => end failed
        again      => start b again
        b exits 0  => start f again
        f exits 0  => end succeeded
        """,
    ),
    "a retry of a finalizer alone": History(
        a_workflow(task("a"), finalizer("f"), finalizer("g"), timeout_s=60),
        """
        submit     => start a
        a exits 0  => start f, start g
        f exits 1  =>
        g exits 0  => end failed
        again      => start f again, start g again
        wait 100   =>
        f exits 0  =>
        g exits 0  => end succeeded
        """,
    ),
    "an attempt that never began, and a retry that times out": History(
        a_workflow(
            task("a", pools={"p": 1}),
            finalizer("f", pools={"p": 1}),
            timeout_s=60,
        ),
        """
        submit        => start a
        a exits 1     => start f
        f is void     => start f again
        f exits 0     => end failed
        again         => start a again
        wait 60       => cancel timeout, stop a
        a is stopped  => start f again
        f exits 0     => end timed_out
        """,
        capacity={"p": 1},
    ),
    "a retry of a paused run has them wait again": History(
        a_workflow(task("a"), finalizer("f"), timeout_s=60),
        """
        submit        => start a
        pause         =>
        a exits 1     =>
        again         =>
        resume        => start a again
        wait 60       => cancel timeout, stop a
        a is stopped  => start f
        f exits 0     => end timed_out
        """,
    ),
}

_NESTED = {
    "of a nested workflow, and of the run": History(
        a_workflow(
            group("n"),
            task("n/a"),
            finalizer("n/f"),
            task("b", ["n"]),
            finalizer("g"),
        ),
        """
        submit       => open n, start n/a
        n/a exits 1  => start n/f
        n/f exits 0  => close n failed, skip b, start g
        g exits 0    => end failed
        """,
    ),
    "one that fails fails its workflow": History(
        a_workflow(group("n"), task("n/a"), finalizer("n/f"), task("b", ["n"])),
        """
        submit       => open n, start n/a
        n/a exits 0  => start n/f
        n/f exits 1  => close n failed, skip b, end failed
        """,
    ),
    "a nested workflow that is skipped": History(
        a_workflow(
            task("a"), group("n", ["a"]), task("n/b"), finalizer("n/f"), finalizer("g")
        ),
        """
        submit     => start a
        a exits 1  => skip n, skip n/b, skip n/f, start g
        g exits 0  => end failed
        """,
    ),
    "a nested workflow that is cancelled before it began": History(
        a_workflow(
            task("a"), group("n", ["a"]), task("n/b"), finalizer("n/f"), finalizer("g")
        ),
        """
        submit        => start a
        cancel        => stop a, skip n/f
        a is stopped  => start g
        g exits 0     => end cancelled
        """,
    ),
    "a nested workflow that is cancelled while it runs": History(
        a_workflow(group("n"), task("n/a"), task("n/b", ["n/a"]), finalizer("n/f")),
        """
        submit          => open n, start n/a
        cancel          => stop n/a
        n/a is stopped  => start n/f
        n/f exits 0     => close n cancelled, end cancelled
        """,
    ),
    "a nested workflow whose time is over": History(
        a_workflow(
            group("n", timeout_s=9),
            task("n/a"),
            group("n/m", ["n/a"]),
            task("n/m/b"),
            finalizer("n/m/f"),
            finalizer("n/f"),
        ),
        """
        submit          => open n, start n/a
        wait 9          => overtime n, stop n/a, skip n/m/f
        n/a is stopped  => start n/f
        wait 9          =>
        n/f exits 0     => close n timed_out, end timed_out
        """,
    ),
    "a nested workflow without other tasks": History(
        a_workflow(group("n", timeout_s=9), finalizer("n/f")),
        """
        submit       => open n, start n/f
        wait 9       =>
        n/f exits 0  => close n succeeded, end succeeded
        """,
    ),
    "a retry inside runs those of all levels again": History(
        a_workflow(
            group("n", timeout_s=9), task("n/a"), finalizer("n/f"), finalizer("g")
        ),
        """
        submit       => open n, start n/a
        n/a exits 1  => start n/f
        n/f exits 0  => close n failed, start g
        g exits 0    => end failed
        again        => open n, start n/a again
        n/a exits 0  => start n/f again
        n/f exits 0  => close n succeeded, start g again
        g exits 0    => end succeeded
        """,
    ),
    "the first failure inside ends the run": History(
        a_workflow(
            group("n"),
            task("n/a"),
            finalizer("n/f", retry=RetryPolicy(2, 5.0)),
            task("b"),
            finalizer("g"),
        ),
        """
        submit       => open n, start n/a, start b
        n/a exits 0  => start n/f
        n/f exits 1  =>
        b exits 1    =>
        wait 5       => retry n/f, start n/f again
        n/f exits 0  => close n succeeded, start g
        g exits 0    => end failed
        """,
        submit={"fail_fast": True},
    ),
}
FINALIZERS = {
    f"finalizers: {name}": history
    for part in (_ENDS, _STOPS, _ROLLBACKS, _AGAIN, _NESTED)
    for name, history in part.items()
}
