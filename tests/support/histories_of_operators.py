"""Owns histories of what operators do: pause, retry by hand, roll back; and probes."""

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
    """A task that can be taken back."""
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
    """A task with a probe, and one that uses what it returns."""
    first = task("a", on_interrupt=policy, probe=probe, **fields)
    return a_workflow(first, task("b", env={"N": output("a", "n")}, needs=["a"]))


PAUSES = {
    "a paused run starts nothing, and ends nothing": History(
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
    "other runs take the room": History(
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
    "frozen tries stand still until it is resumed": History(
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
    "a pause can be made a freeze": History(
        a_workflow(task("a")),
        """
        submit     => start a
        pause      =>
        freeze     => freeze a
        resume     => thaw a
        a exits 0  => end succeeded
        """,
    ),
    "a new owner says again what stands still": History(
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
    "a paused run's timeout waits too": History(
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
    "and that of a nested workflow": History(
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
    "a nested workflow that ends meanwhile runs out of no time": History(
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
    "a wait for a retry goes on, the retry does not": History(
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
    "a probe that says yes ends the task": History(
        probed("hold"),
        """
        submit     => start a
        a is lost  => probe a
        a exits 0  => refuse b, end failed
        """,
    ),
    "what a probe returns is what the task returned": History(
        probed("hold", Script("ask")),
        """
        submit              => start a
        a is lost           => probe a
        a returns {"n": 3}  => start b
        b exits 0           => end succeeded
        """,
    ),
    "a probe that says no leaves it to the policy: hold": History(
        probed("hold"),
        """
        submit     => start a
        a is lost  => probe a
        a exits 1  =>
        accept a   => refuse b, end failed
        """,
    ),
    "a script says no with false": History(
        probed("fail", Script("ask")),
        """
        submit           => start a
        a is lost        => probe a
        a returns false  => skip b, end lost
        """,
    ),
    "rerun": History(
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
    "a probe whose end nobody knows": History(
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
    "a probe that never begins": History(
        probed("fail"),
        """
        submit     => start a
        a is lost  => probe a
        cancel     => stop a
        a is void  => end cancelled
        """,
    ),
    "a run that is told to end asks nothing": History(
        probed("hold"),
        """
        submit     => start a
        cancel     => stop a
        a is lost  => end cancelled
        """,
    ),
    "retry on lost is a decision too": History(
        a_workflow(task("a", retry=RetryPolicy(2, 5, on=("lost",)))),
        """
        submit     => start a
        a is lost  =>
        wait 5     => retry a, start a again
        a is lost  =>
        accept a   => end succeeded
        """,
    ),
    "only what is worth it is tried again": History(
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
    "what failed runs again, what succeeded does not": History(
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
    "with all the tries that it is allowed": History(
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
    "a cancelled run goes on where it was": History(
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
    "and all that is downstream": History(
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
    "while it runs, what is downstream and waits already still waits for all": History(
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
    "one task alone": History(
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
    "who waited for a task that is tried again alone is still missing": History(
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
    "so are those that a cancel ended": History(
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
    "who was skipped for good is not missing": History(
        a_workflow(task("a"), task("b", [("a", "failure")])),
        """
        submit      => start a
        a exits 0   => skip b, end succeeded
        only a      => start a again
        a exits 0   => end succeeded
        """,
    ),
    "from a task on": History(
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
    "what still cannot be is skipped again": History(
        a_workflow(task("a"), task("b", ["a"]), task("c", ["b"])),
        """
        submit     => start a
        a exits 1  => skip b, skip c, end failed
        from b     => skip b, skip c, end failed
        """,
    ),
    "inside a nested workflow, which opens again": History(
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
    "a whole nested workflow": History(
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
    "while the run goes on": History(
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
    "what was ready meanwhile waits again": History(
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
    "inside a nested workflow that goes on": History(
        a_workflow(group("g"), task("g/a"), task("g/b")),
        """
        submit       => open g, start g/a, start g/b
        g/a exits 1  =>
        again        => start g/a again
        g/b exits 0  =>
        g/a exits 0  => close g succeeded, end succeeded
        """,
    ),
    "what waits for its next try waits for what is open again": History(
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
    "and is skipped if that fails": History(
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
    "so does what is held, and what never began": History(
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
    "with fail-fast what was given up is not": History(
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
    "the time of the run begins anew": History(
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
    "in reverse order, in parallel where nothing orders it": History(
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
    "of a failure, when the task says so": History(
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
    "what runs ends first, what waits never begins": History(
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
    "a failure that may happen rolls nothing back": History(
        a_workflow(
            group("g", on_failure="continue"), task("g/a", on_failure="rollback")
        ),
        """
        submit       => open g, start g/a
        g/a exits 1  => close g failed, end succeeded
        """,
    ),
    "a failed group can roll back": History(
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
    "only what began is undone, if it is to be": History(
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
    "what could not be started did nothing that is to be undone": History(
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
    "what ran before it could not be started is undone": History(
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
    "an undo that never began can be asked for again": History(
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
    "a failed undo lets stand what it needs, and nothing else": History(
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
    "an undo is tried again": History(
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
    "an undo whose end nobody knows is held": History(
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
    "unless it may be tried again": History(
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
    "through a nested workflow": History(
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
    "a failed undo in a nested workflow": History(
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
    "down to a task, which stands": History(
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
    "what cannot be filled in fails": History(
        a_workflow(
            task("a", undo=Undo(Command(("rm", output("a", "id"))))),
        ),
        """
        submit              => start a
        a returns {"x": 1}  => end succeeded
        undo all            => refuse a, end rollback_failed
        """,
    ),
    "the output is there for its undo, and after it": History(
        a_workflow(task("a", undo=Undo(Command(("rm", output("a", "id")))))),
        """
        submit               => start a
        a returns {"id": 7}  => end succeeded
        undo all             => undo a
        a exits 0            => end rolled_back
        """,
    ),
    "a rollback can be cancelled, then done again": History(
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
