"""What the core does with what happens: each history is told from start to end.

Left of `=>` is what happens, right of it what the core wants done and the facts
it derives; `tests.support.dialogue` explains the words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping

import pytest

from provctl.core.model import Retry, Task, Workflow
from tests.support.dialogue import Dialogue, picture, replayed
from tests.support.workflows import a_workflow, chain, group, nested, output, task


@dataclass(frozen=True)
class History:
    """A workflow, how it is submitted and to whom, and what then happens."""

    workflow: Workflow
    script: str
    slots: int = 10
    capacity: Mapping[str, int] = field(default_factory=dict)
    submit: Mapping[str, Any] = field(default_factory=dict)


def pair(on: str, **first: Any) -> Workflow:
    """Task b after task a, and c after b whatever became of it."""
    return a_workflow(
        task("a", **first), task("b", [("a", on)]), task("c", [("b", "done")])
    )


def conditional(when: Any) -> Workflow:
    """Task b after a if `when`, and c after b."""
    return a_workflow(task("a"), task("b", ["a"], when=when), task("c", ["b"]))


def uncertain(policy: str, **fields: Any) -> Task:
    return task("a", on_interrupt=policy, **fields)


def cluster(*inner: Task, **fields: Any) -> Workflow:
    """A group g of these tasks, and z after it."""
    return a_workflow(group("g", **fields), *inner, task("z", ["g"]))


NEEDS = {
    "a chain goes from link to link": History(
        chain(3),
        """
        submit      => start t0
        t0 exits 0  => start t1
        t1 exits 0  => start t2
        t2 exits 0  => end succeeded
        """,
    ),
    "a task waits for all its needs": History(
        a_workflow(task("a"), task("b"), task("c", ["a", "b"])),
        """
        submit     => start a, start b
        b exits 0  =>
        a exits 0  => start c
        c exits 0  => end succeeded
        """,
    ),
    "a need is met by success": History(
        pair("success"),
        """
        submit     => start a
        a exits 0  => start b
        b exits 0  => start c
        c exits 0  => end succeeded
        """,
    ),
    "a need of success is not met by failure": History(
        pair("success"),
        """
        submit     => start a
        a exits 3  => skip b, start c
        c exits 0  => end failed
        """,
    ),
    "a need of failure is met by failure": History(
        pair("failure"),
        """
        submit     => start a
        a exits 3  => start b
        b exits 0  => start c
        c exits 0  => end failed
        """,
    ),
    "a need of failure is met by a timeout": History(
        pair("failure"),
        """
        submit       => start a
        a times out  => start b
        b exits 0    => start c
        c exits 0    => end timed_out
        """,
    ),
    "a need of failure is not met by success": History(
        pair("failure"),
        """
        submit     => start a
        a exits 0  => skip b, start c
        c exits 0  => end succeeded
        """,
    ),
    "a need of done is met by failure": History(
        pair("done"),
        """
        submit     => start a
        a exits 3  => start b
        b exits 0  => start c
        c exits 0  => end failed
        """,
    ),
    "a failure that may happen meets a need of success": History(
        pair("success", on_failure="continue"),
        """
        submit     => start a
        a exits 3  => start b
        b exits 0  => start c
        c exits 0  => end succeeded
        """,
    ),
    "and one of failure": History(
        pair("failure", on_failure="continue"),
        """
        submit     => start a
        a exits 3  => start b
        b exits 0  => start c
        c exits 0  => end succeeded
        """,
    ),
    "needs that exclude each other skip the task": History(
        a_workflow(task("a"), task("b", ["a", ("a", "failure")])),
        """
        submit     => start a
        a exits 0  => skip b, end succeeded
        """,
    ),
    "a failure does not touch what does not need it": History(
        a_workflow(task("a"), task("b"), task("c", ["a"]), task("d", ["b"])),
        """
        submit     => start a, start b
        a exits 1  => skip c
        b exits 0  => start d
        d exits 0  => end failed
        """,
    ),
    "a skip goes on down the graph": History(
        chain(4),
        """
        submit      => start t0
        t0 exits 1  => skip t1, skip t2, skip t3, end failed
        """,
    ),
    "with fail-fast what has not begun is skipped, what runs ends": History(
        a_workflow(task("a"), task("b"), task("c"), task("d", ["b"])),
        """
        submit     => start a, start b
        a exits 1  => skip c, skip d
        b exits 0  => end failed
        """,
        slots=2,
        submit={"fail_fast": True},
    ),
    "with fail-fast a failure that may happen stops nothing": History(
        a_workflow(task("a", on_failure="continue"), task("b")),
        """
        submit     => start a
        a exits 1  => start b
        b exits 0  => end succeeded
        """,
        slots=1,
        submit={"fail_fast": True},
    ),
    "with fail-fast a start that never was is not made up for": History(
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
    "a true condition": History(
        conditional({"$equals": [output("a", "n"), 1]}),
        """
        submit              => start a
        a returns {"n": 1}  => start b
        b exits 0           => start c
        c exits 0           => end succeeded
        """,
    ),
    "a false condition skips, and what needs it is skipped": History(
        conditional({"$equals": [output("a", "n"), 1]}),
        """
        submit              => start a
        a returns {"n": 2}  => skip b, skip c, end succeeded
        """,
    ),
    "plain false": History(
        a_workflow(task("a", when=False)),
        """
        submit  => skip a, end succeeded
        """,
    ),
    "a condition that cannot be decided is a failure": History(
        conditional({"$equals": [output("a", "x"), 1]}),
        """
        submit              => start a
        a returns {"n": 1}  => refuse b, skip c, end failed
        """,
    ),
    "a value that does not exist is a failure before any try": History(
        a_workflow(
            task("a"), task("b", ["a"], env={"N": output("a", "n")}), task("c", ["b"])
        ),
        """
        submit           => start a
        a returns [1,2]  => refuse b, skip c, end failed
        """,
    ),
    "such a failure may happen too": History(
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
    "a group's condition": History(
        cluster(task("g/x"), when=False),
        """
        submit  => skip g, skip g/x, skip z, end succeeded
        """,
    ),
}

RETRIES = {
    "a failed try is repeated after its wait": History(
        a_workflow(task("a", retry=Retry(attempts=3, delay_s=5))),
        """
        submit     => start a
        a exits 1  =>
        wait 4.9   =>
        wait 0.2   => retry a, start a again
        a exits 0  => end succeeded
        """,
    ),
    "after the last try it has failed": History(
        a_workflow(task("a", retry=Retry(attempts=2, delay_s=1)), task("b", ["a"])),
        """
        submit     => start a
        a exits 1  =>
        wait 1     => retry a, start a again
        a exits 1  => skip b, end failed
        """,
    ),
    "without a delay the next try follows at once": History(
        a_workflow(task("a", retry=Retry(attempts=2))),
        """
        submit       => start a
        a times out  => retry a, start a again
        a times out  => end timed_out
        """,
    ),
    "a task that waits for its next try leaves its slot": History(
        a_workflow(task("a", retry=Retry(attempts=2, delay_s=9)), task("b")),
        """
        submit     => start a
        a exits 1  => start b
        b exits 0  =>
        wait 9     => retry a, start a again
        a exits 0  => end succeeded
        """,
        slots=1,
    ),
    "a void try costs none": History(
        a_workflow(task("a", retry=Retry(attempts=2))),
        """
        submit     => start a
        a is void  => start a again
        a exits 1  => retry a, start a again
        a exits 1  => end failed
        """,
    ),
    "a cancelled run is not tried again": History(
        a_workflow(task("a", retry=Retry(attempts=9))),
        """
        submit     => start a
        cancel     => stop a
        a exits 1  => end cancelled
        """,
    ),
    "nor is a task that waits for its next try": History(
        a_workflow(task("a", retry=Retry(attempts=9, delay_s=60))),
        """
        submit     => start a
        a exits 1  =>
        cancel     => end cancelled
        """,
    ),
}

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
        cluster(task("g/x"), task("g/y", ["g/x"])),
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
        a_workflow(uncertain("hold", retry=Retry(attempts=2))),
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

HISTORIES: Dict[str, History] = {
    **NEEDS,
    **CONDITIONS,
    **RETRIES,
    **CANCELS,
    **GROUPS,
    **UNKNOWN,
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=list(HISTORIES))
def test_history(history: History) -> None:
    dialogue = Dialogue(slots=history.slots, capacity=history.capacity)
    told = []
    for line in history.script.strip().splitlines():
        news = line.partition("=>")[0].strip()
        if news == "submit":
            answer = dialogue.submit(history.workflow, **history.submit)
        else:
            answer = dialogue.hear(news)
        told.append((news, ", ".join(answer)))
    assert told == expected(history.script)
    assert dialogue.r.outcome is not None
    assert picture(dialogue.state) == picture(
        replayed(dialogue.history, dialogue.state)
    )


def expected(script: str) -> "list[tuple[str, str]]":
    halves = [line.partition("=>") for line in script.strip().splitlines()]
    return [(news.strip(), answer.strip()) for news, _, answer in halves]
