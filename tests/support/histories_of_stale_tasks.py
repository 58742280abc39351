"""Histories of successes that depend on undone or repeated tasks."""

from __future__ import annotations

from provctl.core.model.workflow import Command, RetryPolicy, Task, Undo, Workflow
from tests.support.history import History
from tests.support.workflows import a_workflow, chain, group, output, task

__all__ = ["EARLY", "STALE"]

DELETE = Command(("delete",))


def server(name: str = "server", needs: tuple[str, ...] = ()) -> Task:
    """A task with an output and an undo."""
    return task(name, needs, undo=Undo(DELETE))


def user(name: str, of: str = "server", needs: tuple[str, ...] = ()) -> Task:
    """A task that uses the output of another one, and has no undo."""
    return task(name, [of, *needs], env={"ID": output(of, "id")})


def on_a_server(configure: Task) -> Workflow:
    """A server, its configuration, and an application on both that fails first."""
    return a_workflow(server(), configure, task("app", [configure.id]))


MADE = '{"id": 1}'

STALE = {
    "a retry repeats a task that used a repeated output": History(
        on_a_server(user("configure")),
        f"""
        submit                 => start server
        server returns {MADE}  => start configure
        configure exits 0      => start app
        app exits 1            => end failed
        undo all               => undo server
        server exits 0         => end rolled_back
        again                  => start server again
        server returns {MADE}  => start configure again
        configure exits 0      => start app again
        app exits 0            => end succeeded
        """,
    ),
    "a retry repeats a task that depends on an undone task": History(
        on_a_server(task("configure", ["server"])),
        """
        submit             => start server
        server exits 0     => start configure
        configure exits 0  => start app
        app exits 0        => end succeeded
        undo all           => undo server
        server exits 0     => end rolled_back
        again              => start server again
        server exits 0     => start configure again
        configure exits 0  => start app again
        app exits 0        => end succeeded
        """,
    ),
    "a retry after an automatic rollback repeats stale tasks": History(
        a_workflow(
            server(),
            user("configure"),
            task("app", ["configure"], on_failure="rollback"),
        ),
        f"""
        submit                 => start server
        server returns {MADE}  => start configure
        configure exits 0      => start app
        app exits 1            => roll back, undo server
        server exits 0         => end rolled_back
        again                  => start server again
        server returns {MADE}  => start configure again
        configure exits 0      => start app again
        app exits 0            => end succeeded
        """,
    ),
    "a retry after a failed undo repeats stale tasks": History(
        on_a_server(user("configure")),
        f"""
        submit                 => start server
        server returns {MADE}  => start configure
        configure exits 0      => start app
        app exits 1            => end failed
        undo all               => undo server
        server exits 1         => end rollback_failed
        again                  => start server again
        server returns {MADE}  => start configure again
        configure exits 0      => start app again
        app exits 0            => end succeeded
        """,
    ),
    "a retry after a rollback to a task repeats stale tasks": History(
        a_workflow(task("net"), server("server", ("net",)), user("configure")),
        f"""
        submit                 => start net
        net exits 0            => start server
        server returns {MADE}  => start configure
        configure exits 0      => end succeeded
        undo after net         => undo server
        server exits 0         => end rolled_back
        again                  => start server again
        server returns {MADE}  => start configure again
        configure exits 0      => end succeeded
        """,
    ),
    "a retry repeats a group that depends on an undone task": History(
        a_workflow(server(), group("g", ["server"]), task("g/a"), task("g/b", ["g/a"])),
        """
        submit          => start server
        server exits 0  => open g, start g/a
        g/a exits 0     => start g/b
        g/b exits 1     => close g failed, end failed
        undo all        => undo server
        server exits 0  => end rolled_back
        again           => start server again
        server exits 0  => open g, start g/a again
        g/a exits 0     => start g/b again
        g/b exits 0     => close g succeeded, end succeeded
        """,
    ),
    "a retry repeats a task that depends on a group with an undone task": History(
        a_workflow(group("g"), server("g/s"), task("g/a"), task("z", ["g"])),
        """
        submit       => open g, start g/s, start g/a
        g/s exits 0  =>
        g/a exits 0  => close g succeeded, start z
        z exits 0    => end succeeded
        undo all     => undo g/s
        g/s exits 0  => end rolled_back
        again        => open g, start g/s again
        g/s exits 0  => close g succeeded, start z again
        z exits 0    => end succeeded
        """,
    ),
    "a retry keeps tasks that do not depend on an undone task": History(
        a_workflow(server(), task("other"), task("z", ["other"])),
        """
        submit          => start server, start other
        server exits 0  =>
        other exits 0   => start z
        z exits 1       => end failed
        undo all        => undo server
        server exits 0  => end rolled_back
        again           => start server again, start z again
        z exits 0       =>
        server exits 0  => end succeeded
        """,
    ),
    "a run with an undone task is not successful": History(
        a_workflow(server(), task("other")),
        """
        submit          => start server, start other
        server exits 0  =>
        other exits 0   => end succeeded
        undo all        => undo server
        server exits 0  => end rolled_back
        only other      => start other again
        other exits 0   => end rolled_back
        again           => start server again
        server exits 0  => end succeeded
        """,
    ),
    "a retry decides again about tasks that ran because of a failure": History(
        a_workflow(
            task("a"), task("b", [("a", "failure")]), task("c", [("a", "done")])
        ),
        """
        submit     => start a
        a exits 1  => start b, start c
        b exits 0  =>
        c exits 0  => end failed
        again      => start a again
        a exits 1  => start b again, start c again
        b exits 0  =>
        c exits 0  => end failed
        only a     => start a again
        a exits 0  => skip b, start c again
        c exits 0  => end succeeded
        """,
    ),
    "a retry repeats tasks after a failure with on_failure continue": History(
        a_workflow(task("a", on_failure="continue"), task("b", ["a"])),
        """
        submit     => start a
        a exits 1  => start b
        b exits 0  => end succeeded
        again      => start a again
        a exits 0  => start b again
        b exits 0  => end succeeded
        """,
    ),
    "a retry of a task skipped by its condition repeats nothing else": History(
        a_workflow(task("a", when=False), task("b", [("a", "done")]), task("c")),
        """
        submit     => skip a, start b, start c
        b exits 0  =>
        c exits 1  => end failed
        again      => skip a, start c again
        c exits 0  => end succeeded
        """,
    ),
    "a task whose output was not used can be retried alone": History(
        chain(2),
        """
        submit      => start t0
        t0 exits 0  => start t1
        t1 exits 0  => end succeeded
        only t0     => start t0 again
        t0 exits 0  => end succeeded
        """,
    ),
}

EARLY = {
    "a retry starts a retrying task at once": History(
        a_workflow(task("a", retry=RetryPolicy(3, 3600))),
        """
        submit     => start a
        a exits 1  =>
        again      => start a again
        a exits 1  =>
        only a     => start a again
        a exits 0  => end succeeded
        """,
    ),
    "a retry starts a retrying task together with failed tasks": History(
        a_workflow(task("a", retry=RetryPolicy(2, 3600)), task("b"), task("c", ["a"])),
        """
        submit     => start a, start b
        a exits 1  =>
        b exits 1  =>
        again      => start a again, start b again
        b exits 0  =>
        a exits 0  => start c
        c exits 0  => end succeeded
        """,
    ),
    "a retry of another task alone keeps the retry delay": History(
        a_workflow(task("a", retry=RetryPolicy(2, 3600)), task("b")),
        """
        submit     => start a, start b
        a exits 1  =>
        b exits 1  =>
        only b     => start b again
        b exits 0  =>
        wait 3600  => retry a, start a again
        a exits 0  => end succeeded
        """,
    ),
    "a retrying task started by a retry waits for its repeated dependency": History(
        a_workflow(
            task("a", on_failure="continue"),
            task("b", ["a"], retry=RetryPolicy(2, 3600)),
        ),
        """
        submit     => start a
        a exits 1  => start b
        b exits 1  =>
        again      => start a again
        a exits 0  => start b again
        b exits 0  => end succeeded
        """,
    ),
    "a retrying task of a paused run starts when it is resumed": History(
        a_workflow(task("a", retry=RetryPolicy(2, 3600))),
        """
        submit     => start a
        a exits 1  =>
        pause      =>
        again      =>
        resume     => start a again
        a exits 0  => end succeeded
        """,
    ),
    "a retry starts a retrying undo at once": History(
        a_workflow(task("a", undo=Undo(DELETE, retry=RetryPolicy(3, 3600)))),
        """
        submit     => start a
        a exits 0  => end succeeded
        undo all   => undo a
        a exits 1  =>
        again      => undo a again
        a exits 1  =>
        only a     => undo a again
        a exits 0  => end rolled_back
        """,
    ),
    "a retry starts at once a task that waits after a failed probe": History(
        a_workflow(
            task(
                "a",
                probe=Command(("ask",)),
                idempotent=True,
                retry=RetryPolicy(2, 3600, on=("lost",)),
            )
        ),
        """
        submit     => start a
        a is lost  => probe a
        a exits 1  =>
        again      => start a again
        a exits 0  => end succeeded
        """,
    ),
}
