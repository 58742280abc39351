"""Histories of requests: pause, retry, rollback; and of probes."""

from __future__ import annotations

from typing import Any

from provctl.core.model.workflow import (
    Command,
    RetryPolicy,
    Script,
    Task,
    Undo,
    Workflow,
)
from tests.support.history import History
from tests.support.workflows import a_workflow, chain, group, output, task

__all__ = ["PAUSES", "PROBES", "RERUNS", "ROLLBACKS"]

DELETE = Command(("delete",))
ASK = Command(("ask",))


def undoable(name: str, needs: Any = (), **fields: Any) -> Task:
    """A task with an undo."""
    undo = Undo(DELETE, **fields.pop("undo", {}))
    return task(name, needs, undo=undo, **fields)


def stack(**last: Any) -> Workflow:
    """Two servers on a network, and an application on both."""
    return a_workflow(
        undoable("net"),
        undoable("web", ["net"]),
        undoable("db", ["net"]),
        undoable("app", ["web", "db"], **last),
    )


def probed(policy: str, probe: Any = ASK, **fields: Any) -> Workflow:
    """A task with a probe, and one that uses its output."""
    first = task("a", on_interrupt=policy, probe=probe, **fields)
    return a_workflow(first, task("b", env={"N": output("a", "n")}, needs=["a"]))


PAUSES = {
    "a paused run starts and stops no task": History(
        chain(2),
        """
        submit      => start t0
        pause       =>
        pause       =>
        t0 exits 0  =>
        resume      => start t1
        t1 exits 0  => end succeeded
        """,
    ),
    "other runs use the slots of a paused run": History(
        a_workflow(task("a"), task("b"), task("c")),
        """
        submit     => start a
        pause      =>
        a exits 0  =>
        resume     => start b
        b exits 0  => start c
        c exits 0  => end succeeded
        """,
        slots=1,
    ),
    "frozen attempts are suspended until the run is resumed": History(
        a_workflow(task("a"), task("b"), task("c", ["a"])),
        """
        submit     => start a, start b
        freeze     => freeze a, freeze b
        freeze     =>
        resume     => thaw a, thaw b
        a exits 0  => start c
        b exits 0  =>
        c exits 0  => end succeeded
        """,
    ),
    "a paused run can be frozen": History(
        a_workflow(task("a")),
        """
        submit     => start a
        pause      =>
        freeze     => freeze a
        resume     => thaw a
        a exits 0  => end succeeded
        """,
    ),
    "a new owner freezes adopted attempts again": History(
        a_workflow(task("a")),
        """
        submit        => start a
        freeze        => freeze a
        a is adopted  => freeze a
        resume        => thaw a
        a is adopted  => thaw a
        a exits 0     => end succeeded
        """,
    ),
    "a frozen run can be cancelled": History(
        chain(2),
        """
        submit         => start t0
        freeze         => freeze t0
        cancel         => stop t0
        t0 is stopped  => end cancelled
        """,
    ),
    "a freeze suspends the timeout of the run": History(
        a_workflow(task("a"), timeout_s=10),
        """
        submit        => start a
        wait 6        =>
        pause         =>
        wait 100      =>
        resume        =>
        wait 3        =>
        wait 1        => cancel timeout, stop a
        a is stopped  => end timed_out
        """,
    ),
    "a freeze suspends the timeout of a group": History(
        a_workflow(group("g", timeout_s=10), task("g/a")),
        """
        submit          => open g, start g/a
        pause           =>
        wait 100        =>
        resume          =>
        wait 10         => overtime g, stop g/a
        g/a is stopped  => close g timed_out, end timed_out
        """,
    ),
    "a group that finishes during a pause does not time out": History(
        a_workflow(group("g", timeout_s=10), task("g/a"), task("b", ["g"])),
        """
        submit       => open g, start g/a
        pause        =>
        g/a exits 0  => close g succeeded
        resume       => start b
        wait 100     =>
        b exits 0    => end succeeded
        """,
    ),
    "a retry delay continues during a pause but no attempt starts": History(
        a_workflow(task("a", retry=RetryPolicy(2, 5))),
        """
        submit     => start a
        a exits 1  =>
        pause      =>
        wait 9     => retry a
        resume     => start a again
        a exits 0  => end succeeded
        """,
    ),
}

PROBES = {
    "a successful probe makes the task succeed": History(
        probed("hold"),
        """
        submit     => start a
        a is lost  => probe a
        a exits 0  => refuse b, end failed
        """,
    ),
    "the output of a probe is the output of the task": History(
        probed("hold", Script("ask")),
        """
        submit              => start a
        a is lost           => probe a
        a returns {"n": 3}  => start b
        b exits 0           => end succeeded
        """,
    ),
    "a failed probe applies the policy hold": History(
        probed("hold"),
        """
        submit     => start a
        a is lost  => probe a
        a exits 1  =>
        accept a   => refuse b, end failed
        """,
    ),
    "a probe script fails by returning false": History(
        probed("fail", Script("ask")),
        """
        submit           => start a
        a is lost        => probe a
        a returns false  => skip b, end lost
        """,
    ),
    "a failed probe applies the policy rerun": History(
        probed("rerun"),
        """
        submit            => start a
        a is interrupted  => probe a
        a exits 1         => retry a, start a again
        a is lost         => probe a
        a is void         => probe a
        a times out       => retry a, start a again
        a is lost         => probe a
        a exits 9         => skip b, end lost
        """,
    ),
    "a lost probe applies the policy": History(
        probed("hold"),
        """
        submit     => start a
        a is lost  => probe a
        a is lost  =>
        fail a     => skip b, end failed
        """,
    ),
    "a probe is stopped with its run": History(
        probed("fail"),
        """
        submit        => start a
        a is lost     => probe a
        cancel        => stop a
        a is stopped  => end cancelled
        """,
    ),
    "a discarded probe ends a cancelled run": History(
        probed("fail"),
        """
        submit     => start a
        a is lost  => probe a
        cancel     => stop a
        a is void  => end cancelled
        """,
    ),
    "a cancelled run starts no probe": History(
        probed("hold"),
        """
        submit     => start a
        cancel     => stop a
        a is lost  => end cancelled
        """,
    ),
    "a lost task with retry on lost is retried before it is held": History(
        a_workflow(task("a", retry=RetryPolicy(2, 5, on=("lost",)))),
        """
        submit     => start a
        a is lost  =>
        wait 5     => retry a, start a again
        a is lost  =>
        accept a   => end succeeded
        """,
    ),
    "only outcomes listed in retry on are retried": History(
        a_workflow(task("a", retry=RetryPolicy(9, on=("75", "timeout", "signal 9")))),
        """
        submit       => start a
        a exits 75   => retry a, start a again
        a times out  => retry a, start a again
        a exits 1    => end failed
        """,
    ),
}

RERUNS = {
    "a retry runs failed tasks and not successful ones": History(
        chain(3),
        """
        submit      => start t0
        t0 exits 0  => start t1
        t1 exits 1  => skip t2, end failed
        again       => start t1 again
        t1 exits 0  => start t2
        t2 exits 0  => end succeeded
        """,
    ),
    "a retried task has all its attempts again": History(
        a_workflow(task("a", retry=RetryPolicy(2))),
        """
        submit     => start a
        a exits 1  => retry a, start a again
        a exits 1  => end failed
        again      => start a again
        a exits 1  => retry a, start a again
        a exits 1  => end failed
        """,
    ),
    "a retry of a cancelled run continues it": History(
        chain(3),
        """
        submit         => start t0
        t0 exits 0     => start t1
        cancel         => stop t1
        t1 is stopped  => end cancelled
        again          => start t1 again
        t1 exits 0     => start t2
        t2 exits 0     => end succeeded
        """,
    ),
    "a retry downstream runs all dependents": History(
        a_workflow(task("a"), task("b", [("a", "done")]), task("c")),
        """
        submit            => start a, start c
        a exits 1         => start b
        b exits 0         =>
        c exits 0         => end failed
        again downstream  => start a again
        a exits 0         => start b again
        b exits 0         => end succeeded
        """,
    ),
    "a retry downstream keeps waiting tasks waiting for all dependencies": History(
        a_workflow(task("a"), task("b"), task("c", [("a", "done"), ("b", "done")])),
        """
        submit            => start a, start b
        b exits 1         =>
        again downstream  => start b again
        b exits 0         =>
        a exits 0         => start c
        c exits 0         => end succeeded
        """,
    ),
    "a retry of one task runs only it": History(
        chain(3),
        """
        submit      => start t0
        t0 exits 0  => start t1
        t1 exits 0  => start t2
        t2 exits 0  => end succeeded
        only t1     => start t1 again
        t1 exits 0  => end succeeded
        """,
    ),
    "a run with skipped dependents is still failed after a retry of one task": History(
        chain(3),
        """
        submit      => start t0
        t0 exits 1  => skip t1, skip t2, end failed
        only t0     => start t0 again
        t0 exits 0  => end failed
        again       => start t1
        t1 exits 0  => start t2
        t2 exits 0  => end succeeded
        """,
    ),
    "a run with cancelled tasks is still cancelled after a retry of one task": History(
        a_workflow(task("a"), task("b")),
        """
        submit      => start a, start b
        cancel      => stop a, stop b
        a is stopped  =>
        b is stopped  => end cancelled
        only a      => start a again
        a exits 0   => end cancelled
        """,
    ),
    "a task skipped by its dependency on failure does not fail the run": History(
        a_workflow(task("a"), task("b", [("a", "failure")])),
        """
        submit      => start a
        a exits 0   => skip b, end succeeded
        only a      => start a again
        a exits 0   => end succeeded
        """,
    ),
    "a retry from a task runs it and its dependents": History(
        chain(3),
        """
        submit      => start t0
        t0 exits 0  => start t1
        t1 exits 0  => start t2
        t2 exits 0  => end succeeded
        from t1     => start t1 again
        t1 exits 0  => start t2 again
        t2 exits 0  => end succeeded
        """,
    ),
    "a retried task is skipped again if its dependency failed": History(
        a_workflow(task("a"), task("b", ["a"]), task("c", ["b"])),
        """
        submit     => start a
        a exits 1  => skip b, skip c, end failed
        from b     => skip b, skip c, end failed
        """,
    ),
    "a retry inside a group reopens the group": History(
        a_workflow(group("g"), task("g/a"), task("g/b", ["g/a"]), task("z", ["g"])),
        """
        submit       => open g, start g/a
        g/a exits 0  => start g/b
        g/b exits 1  => close g failed, skip z, end failed
        again        => open g, start g/b again
        g/b exits 0  => close g succeeded, start z
        z exits 0    => end succeeded
        """,
    ),
    "a retry of a whole group": History(
        a_workflow(group("g"), task("g/a"), task("g/b", ["g/a"]), task("z", ["g"])),
        """
        submit       => open g, start g/a
        g/a exits 0  => start g/b
        g/b exits 0  => close g succeeded, start z
        z exits 0    => end succeeded
        from g       => open g, start g/a again
        g/a exits 0  => start g/b again
        g/b exits 0  => close g succeeded, start z again
        z exits 0    => end succeeded
        """,
    ),
    "a retry while the run is active": History(
        a_workflow(task("a"), task("b"), task("c", ["b", ("a", "done")])),
        """
        submit     => start a, start b
        a exits 1  =>
        again      => start a again
        b exits 0  =>
        a exits 0  => start c
        c exits 0  => end succeeded
        """,
    ),
    "a ready task waits again for a retried dependency": History(
        a_workflow(task("a"), task("b", [("a", "done")]), task("z")),
        """
        submit     => start a
        pause      =>
        a exits 1  =>
        again      =>
        resume     => start a again
        a exits 0  => start b
        b exits 0  => start z
        z exits 0  => end succeeded
        """,
        slots=1,
    ),
    "a retry inside an active group": History(
        a_workflow(group("g"), task("g/a"), task("g/b")),
        """
        submit       => open g, start g/a, start g/b
        g/a exits 1  =>
        again        => start g/a again
        g/b exits 0  =>
        g/a exits 0  => close g succeeded, end succeeded
        """,
    ),
    "a retrying task waits for a retried dependency": History(
        a_workflow(task("a"), task("b", ["a"], retry=RetryPolicy(2, 5))),
        """
        submit     => start a
        a exits 0  => start b
        b exits 1  =>
        only a     => start a again
        wait 5     => retry b
        a exits 0  => start b again
        b exits 0  => end succeeded
        """,
    ),
    "a retrying task is skipped if its retried dependency fails": History(
        a_workflow(task("a"), task("b", ["a"], retry=RetryPolicy(2, 5))),
        """
        submit     => start a
        a exits 0  => start b
        b exits 1  =>
        only a     => start a again
        a exits 1  =>
        wait 5     => retry b, skip b, end failed
        """,
    ),
    "held and discarded tasks wait for a retried dependency": History(
        a_workflow(task("a"), task("b", ["a"]), task("c", ["a"])),
        """
        submit     => start a
        a exits 0  => start b, start c
        b is lost  =>
        only a     => start a again
        rerun b    =>
        c is void  =>
        a exits 0  => start b again, start c again
        b exits 0  =>
        c exits 0  => end succeeded
        """,
    ),
    "fail fast refuses a retrying task and a retry runs it": History(
        a_workflow(task("a"), task("b"), task("c", retry=RetryPolicy(2, 5))),
        """
        submit     => start a, start b, start c
        c exits 1  =>
        a exits 1  => refuse c
        b exits 0  => end failed
        again      => start a again, start c again
        a exits 0  =>
        c exits 0  => end succeeded
        """,
        submit={"fail_fast": True},
    ),
    "a retry restarts the timeout of the run": History(
        a_workflow(task("a"), timeout_s=10),
        """
        submit        => start a
        wait 9        =>
        a exits 1     => end failed
        wait 50       =>
        again         => start a again
        wait 9        =>
        wait 1        => cancel timeout, stop a
        a is stopped  => end timed_out
        """,
    ),
}

ROLLBACKS = {
    "a rollback undoes in reverse order and in parallel": History(
        stack(),
        """
        submit       => start net
        net exits 0  => start web, start db
        web exits 0  =>
        db exits 0   => start app
        app exits 0  => end succeeded
        undo all     => undo app
        app exits 0  => undo web, undo db
        db exits 0   =>
        web exits 0  => undo net
        net exits 0  => end rolled_back
        """,
    ),
    "a failure rolls back if the task says so": History(
        stack(on_failure="rollback"),
        """
        submit       => start net
        net exits 0  => start web, start db
        web exits 0  =>
        db exits 0   => start app
        app exits 1  => roll back, undo web, undo db
        db exits 0   =>
        web exits 0  => undo net
        net exits 0  => end rolled_back
        """,
    ),
    "a rollback waits for running tasks and starts no others": History(
        a_workflow(
            undoable("a", on_failure="rollback"),
            undoable("b"),
            undoable("c", ["b"]),
            undoable("d", retry=RetryPolicy(3, 60)),
        ),
        """
        submit     => start a, start b, start d
        d exits 1  =>
        a exits 1  => skip c, refuse d
        b exits 0  => roll back, undo b
        b exits 0  => end rolled_back
        """,
    ),
    "a failure with on_failure continue rolls nothing back": History(
        a_workflow(
            group("g", on_failure="continue"), task("g/a", on_failure="rollback")
        ),
        """
        submit       => open g, start g/a
        g/a exits 1  => close g failed, end succeeded
        """,
    ),
    "a failed group rolls back if it says so": History(
        a_workflow(
            undoable("n"), group("g", ["n"], on_failure="rollback"), task("g/a")
        ),
        """
        submit       => start n
        n exits 0    => open g, start g/a
        g/a exits 1  => close g failed, roll back, undo n
        n exits 0    => end rolled_back
        """,
    ),
    "a rollback undoes started tasks if their undo says so": History(
        a_workflow(
            undoable("a", undo={"on": "begun"}, on_failure="rollback"),
            undoable("b", ["a"], undo={"on": "begun"}),
        ),
        """
        submit     => start a
        a exits 1  => skip b, roll back, undo a
        a exits 0  => end rolled_back
        """,
    ),
    "a task that could not start is not undone": History(
        a_workflow(
            undoable("n"),
            undoable("a", ["n"], undo={"on": "begun"}, on_failure="rollback"),
        ),
        """
        submit          => start n
        n exits 0       => start a
        a cannot start  => roll back, undo n
        n exits 0       => end rolled_back
        """,
    ),
    "a task with an earlier attempt is undone although it could not start": History(
        a_workflow(undoable("a", undo={"on": "begun"}, retry=RetryPolicy(2, 5))),
        """
        submit          => start a
        a exits 1       =>
        wait 5          => retry a, start a again
        a cannot start  => end failed
        undo all        => undo a
        a exits 0       => end rolled_back
        """,
    ),
    "an undo that never started can be requested again": History(
        a_workflow(undoable("a", undo={"on": "begun"})),
        """
        submit     => start a
        a exits 1  => end failed
        undo all   => undo a
        a is void  => undo a
        cancel     => stop a
        a is void  => end rollback_failed
        undo all   => undo a
        a exits 0  => end rolled_back
        """,
    ),
    "dependencies of a failed undo are not undone": History(
        stack(),
        """
        submit       => start net
        net exits 0  => start web, start db
        web exits 0  =>
        db exits 0   => start app
        app exits 0  => end succeeded
        undo all     => undo app
        app exits 0  => undo web, undo db
        web exits 1  =>
        db exits 0   => end rollback_failed
        undo all     => undo web
        web exits 0  => undo net
        net exits 0  => end rolled_back
        """,
    ),
    "an undo is retried": History(
        a_workflow(undoable("a", undo={"retry": RetryPolicy(2, 5)})),
        """
        submit     => start a
        a exits 0  => end succeeded
        undo all   => undo a
        a exits 1  =>
        wait 5     => retry a, undo a again
        a exits 0  => end rolled_back
        """,
    ),
    "a lost undo is held": History(
        a_workflow(undoable("n"), undoable("a", ["n"])),
        """
        submit     => start n
        n exits 0  => start a
        a exits 0  => end succeeded
        undo all   => undo a
        a is lost  =>
        rerun a    => undo a
        a is lost  =>
        fail a     => end rollback_failed
        undo all   => undo a
        a is lost  =>
        accept a   => undo n
        n is void  => undo n
        n exits 0  => end rolled_back
        """,
    ),
    "a lost idempotent undo runs again": History(
        a_workflow(undoable("a", undo={"idempotent": True})),
        """
        submit     => start a
        a exits 0  => end succeeded
        undo all   => undo a
        a is lost  => retry a, undo a again
        a is lost  => retry a, undo a again
        a is lost  => end rollback_failed
        """,
    ),
    "a rollback goes through a group": History(
        a_workflow(
            undoable("n"),
            group("g", ["n"]),
            undoable("g/a"),
            undoable("g/b", ["g/a"]),
            group("e", ["g"]),
            undoable("z", ["e"]),
        ),
        """
        submit       => start n
        n exits 0    => open g, start g/a
        g/a exits 0  => start g/b
        g/b exits 0  => close g succeeded, open e, close e succeeded, start z
        z exits 0    => end succeeded
        undo all     => undo z
        z exits 0    => undo g/b
        g/b exits 0  => undo g/a
        g/a exits 0  => undo n
        n exits 0    => end rolled_back
        """,
    ),
    "a failed undo in a group": History(
        a_workflow(undoable("n"), group("g", ["n"]), undoable("g/a"), undoable("g/b")),
        """
        submit       => start n
        n exits 0    => open g, start g/a, start g/b
        g/a exits 0  =>
        g/b exits 0  => close g succeeded, end succeeded
        undo all     => undo g/a, undo g/b
        g/a exits 1  =>
        g/b exits 0  => end rollback_failed
        """,
    ),
    "a rollback to a task keeps that task": History(
        stack(),
        """
        submit          => start net
        net exits 0     => start web, start db
        web exits 0     =>
        db exits 0      => start app
        app exits 0     => end succeeded
        undo after web  => undo app
        app exits 0     => end rolled_back
        undo after net  => undo web, undo db
        web exits 0     =>
        db exits 0      => end rolled_back
        """,
    ),
    "an undo with a missing value fails": History(
        a_workflow(
            task("a", undo=Undo(Command(("rm", output("a", "id"))))),
        ),
        """
        submit              => start a
        a returns {"x": 1}  => end succeeded
        undo all            => refuse a, end rollback_failed
        """,
    ),
    "the output of a task is available to its undo and afterwards": History(
        a_workflow(task("a", undo=Undo(Command(("rm", output("a", "id")))))),
        """
        submit               => start a
        a returns {"id": 7}  => end succeeded
        undo all             => undo a
        a exits 0            => end rolled_back
        """,
    ),
    "a cancelled rollback can be requested again": History(
        a_workflow(undoable("n"), undoable("a", ["n"])),
        """
        submit        => start n
        n exits 0     => start a
        a exits 0     => end succeeded
        undo all      => undo a
        cancel        => stop a
        a is stopped  => end rollback_failed
        undo all      => undo a
        a exits 0     => undo n
        n exits 0     => end rolled_back
        """,
    ),
}
