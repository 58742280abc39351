"""Nodes over ssh when something dies, doubles, or is not what it was: with controls."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any, Iterator, List

import pytest

from provctl.core.engine.requests import (
    AdoptedReport,
    ExitedReport,
    NeverStartedReport,
    UnknownReport,
)
from provctl.errors import JournalDamaged, StateDirError
from provctl.executors.local.attempt_file import is_running
from provctl.executors.remote import grants, messages
from provctl.executors.remote.grants import Grant, is_granted, read_grant, write_grant
from provctl.executors.remote.node import NodeStatus
from provctl.executors.remote.own_machine import OwnMachineExecutor
from provctl.runs.attempt_store import attempt_store
from tests.support.attempts import Bench, children_of, wait_until
from tests.support.nodes import NodeBench, agents_of

if TYPE_CHECKING:
    from tests.support.nodes import Nodes


def _gate(bench: Bench, code: int = 5) -> str:
    """A script that says ready and ends when the file `go-on` is there."""
    go = bench.folder / "go-on"
    wait = f'until [ -e "{go}" ]; do sleep 0.02; done'
    return f'echo ready; echo >> "{bench.folder}/begun"; {wait}; exit {code}'


def _begun(bench: Bench) -> int:
    """How many times a gated task has begun."""
    try:
        return len((bench.folder / "begun").read_text().splitlines())
    except FileNotFoundError:
        return 0


def _open_gate(bench: Bench) -> None:
    (bench.folder / "go-on").touch()


def _node(bench: NodeBench) -> Any:
    return bench.executor.nodes["web1"]  # type: ignore[attr-defined]


def _connect(bench: NodeBench) -> None:
    bench.do(_node(bench).connect)
    bench.until(lambda: _node(bench).status is NodeStatus.READY, "web1 is connected")


def _ssh_of(bench: NodeBench) -> int:
    return int(_node(bench)._link.pid)


@contextmanager
def _owner(bench: NodeBench, script: str) -> Iterator[Popen[bytes]]:
    """Another process that owns the attempt which the bench would order next."""
    folder, state = str(bench.folder), str(bench.nodes.folder)
    command = [sys.executable, "-m", "tests.support.node_owner"]
    root = Path(__file__).parents[3]
    with Popen(
        [*command, folder, state, bench.run_id, script], cwd=str(root), stderr=PIPE
    ) as owner:
        try:
            yield owner
        finally:
            owner.kill()


# -- owners that die --------------------------------------------------------------


def test_the_tasks_of_a_killed_owner_are_adopted(node_bench: NodeBench) -> None:
    bench = node_bench
    with _owner(bench, _gate(bench)) as owner:
        place = bench.order().place
        bench.until_ready(place)
        owner.kill()
        owner.wait()
        assert isinstance(bench.recover(place), AdoptedReport)
        _open_gate(bench)
        end = bench.end_of(place)
    assert (end.result.exit_code, _begun(bench)) == (5, 1)
    store = attempt_store()
    assert store.exit_report(place) == end
    record = place.file("go").read_bytes()
    assert record == bench.evidence(place).file("go").read_bytes()


def test_what_ended_without_an_owner_is_told_with_its_log(
    node_bench: NodeBench,
) -> None:
    bench = node_bench
    with _owner(bench, f"{_gate(bench)}; echo never") as owner:
        place = bench.order().place
        bench.until_ready(place)
        owner.kill()
        owner.wait()
        _open_gate(bench)
        wait_until(lambda: not is_running(bench.evidence(place)), "it ended")
        end = bench.recover(place)
    assert isinstance(end, ExitedReport)
    assert end.result.exit_code == 5
    assert bench.log(place) == "ready\n"


# -- grants -------------------------------------------------------------------------


def test_a_grant_that_nobody_heard_of_begins_nothing(node_bench: NodeBench) -> None:
    bench = node_bench
    _connect(bench)
    order = bench.order("sh", "-c", _gate(bench))
    node = _node(bench)
    # As an owner that was killed between its grant and its message.
    write_grant(order.place, Grant("web1", node.boot, node.root, 1))
    bench.change_owner()
    assert isinstance(bench.recover(order.place), NeverStartedReport)
    bench.executor.launch(order)
    bench.work(0.3)
    assert _begun(bench) == 0


def test_a_second_grant_is_refused_and_its_node_is_asked(
    node_bench: NodeBench,
) -> None:
    bench = node_bench
    order = bench.order("sh", "-c", _gate(bench))
    bench.executor.launch(order)
    bench.until_ready(order.place)
    with pytest.raises(grants.GrantExists):
        write_grant(order.place, Grant("web2", "b", "r", 9))
    bench.change_owner()
    bench.executor.launch(order)  # as after a journal that was cut back
    told = bench.reports.setdefault(order.place.task, [])
    bench.until(lambda: told, "what became of it")
    assert isinstance(told.pop(), AdoptedReport)
    _open_gate(bench)
    assert bench.end_of(order.place).result.exit_code == 5
    assert _begun(bench) == 1


def test_without_grants_and_fence_the_test_before_would_fail(
    node_bench: NodeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = node_bench
    monkeypatch.setattr(grants, "_NO_GRANT", True)
    order = bench.order("sh", "-c", _gate(bench))
    bench.executor.launch(order)
    bench.until_ready(order.place)
    bench.change_owner()
    # Another node, or the same one without its evidence.
    shutil.move(str(bench.evidence(order.place).folder), f"{bench.folder}/aside")
    bench.executor.launch(order)
    bench.until(lambda: _begun(bench) == 2, "it begins twice")
    _open_gate(bench)
    bench.until(lambda: bench.reports.get(order.place.task), "its end")


def test_a_message_that_comes_twice_begins_one_attempt(node_bench: NodeBench) -> None:
    bench = node_bench
    _connect(bench)
    node = _node(bench)
    sent: List[Any] = []
    send = node.send

    def twice(message: Any) -> None:
        send(message)
        if message["say"] == "launch":
            sent.append(message)
            send(message)

    node.send = twice
    place = bench.shell(_gate(bench))
    bench.until_ready(place)
    # And once more over another connection, as a late one.
    os.kill(_ssh_of(bench), signal.SIGKILL)
    bench.until(lambda: node.status is not NodeStatus.READY, "it is noticed")
    bench.until(lambda: node.status is NodeStatus.READY, "it is connected again")
    late = dict(sent[0], epoch=[sent[0]["epoch"][0], node.connection])
    send(late)
    bench.work(0.3)
    _open_gate(bench)
    assert bench.end_of(place).result.exit_code == 5
    assert _begun(bench) == 1


def test_a_damaged_grant_is_named_and_nothing_is_guessed(
    node_bench: NodeBench,
) -> None:
    bench = node_bench
    place = bench.order("true").place
    text = Grant("web1", "b", "r", 1).text
    place.file("grant").symlink_to(text.replace("web1", "web2"))
    with pytest.raises(JournalDamaged, match="no grant of this version"):
        bench.recover(place)
    place.file("grant").unlink()
    place.file("grant").symlink_to(text)
    assert read_grant(place) == Grant("web1", "b", "r", 1)  # the control


def test_grants_of_one_turn_share_one_sync(
    node_bench: NodeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = node_bench
    _connect(bench)
    first = bench.launch("true")  # the number of the owner is stored with it
    bench.end_of(first)
    synced: List[int] = []
    sync = os.fsync
    granted: List[int] = []

    def counted(fd: int) -> None:
        synced.append(fd)
        granted.append(len(list(bench.folder.glob("*.grant"))))
        sync(fd)

    monkeypatch.setattr(os, "fsync", counted)
    places = [bench.launch("sleep", "60") for _ in range(8)]
    bench.until(lambda: all(map(is_granted, places)), "all are granted")
    bench.until(lambda: granted, "they are synced")
    assert (len(synced), granted) == (1, [9])
    monkeypatch.undo()
    for place in places:
        bench.stop(place, now=True)
    for place in places:
        bench.end_of(place)


# -- agents, connections, disks --------------------------------------------------------


def test_a_killed_ssh_is_replaced_and_its_task_goes_on(node_bench: NodeBench) -> None:
    bench = node_bench
    place = bench.shell(_gate(bench))
    bench.until_ready(place)
    os.kill(_ssh_of(bench), signal.SIGKILL)
    bench.until(lambda: _node(bench).status is not NodeStatus.READY, "it is noticed")
    _open_gate(bench)
    assert bench.end_of(place).result.exit_code == 5
    assert _begun(bench) == 1


def test_a_killed_agent_is_replaced_and_its_task_goes_on(node_bench: NodeBench) -> None:
    bench = node_bench
    place = bench.shell(_gate(bench))
    bench.until_ready(place)
    for pid in agents_of(bench.nodes.state("web1")):
        os.kill(pid, signal.SIGKILL)
    bench.until(lambda: _node(bench).status is not NodeStatus.READY, "it is noticed")
    bench.until(lambda: _node(bench).status is NodeStatus.READY, "it is replaced")
    bench.stop(place)
    assert bench.end_of(place).cause == "stop"


def test_the_agent_of_a_connection_that_hangs_is_replaced(
    node_bench: NodeBench,
) -> None:
    bench = node_bench
    place = bench.shell(_gate(bench))
    bench.until_ready(place)
    (old,) = agents_of(bench.nodes.state("web1"))
    # It neither answers nor notices that nobody listens any more.
    os.kill(old, signal.SIGSTOP)
    bench.do(lambda: _node(bench)._drop("no answer"))
    bench.until(lambda: _node(bench).status is NodeStatus.READY, "it is replaced")
    bench.until(lambda: old not in agents_of(bench.nodes.state("web1")), "it is killed")
    bench.stop(place)  # a shim obeys signals only if its old parent is gone
    assert bench.end_of(place).cause == "stop"
    assert _begun(bench) == 1


def test_an_agent_refuses_an_owner_of_before(node_bench: NodeBench) -> None:
    bench = node_bench
    place = bench.shell(_gate(bench))
    bench.until_ready(place)
    before = NodeBench(bench.nodes, bench.folder, run=bench.run_id)
    before.executor._epochs[place.run] = 0  # type: ignore[attr-defined]
    refused = before.recover(place)
    assert isinstance(refused, UnknownReport)
    assert "a later owner of the run has it" in refused.reason
    before.close()
    _open_gate(bench)
    assert bench.end_of(place).result.exit_code == 5


def test_on_another_disk_what_was_given_is_lost_and_not_void(
    node_bench: NodeBench,
) -> None:
    bench = node_bench
    order = bench.order("sh", "-c", "echo ready; exec sleep 60")
    bench.executor.launch(order)
    bench.until_ready(order.place)
    bench.stop(order.place, now=True)
    bench.end_of(order.place)
    bench.reports.clear()
    bench.executor.close()
    order.place.file("go").unlink()  # as if it had not arrived
    shutil.rmtree(str(bench.nodes.state("web1")))
    bench.change_owner()
    end = bench.recover(order.place)
    assert isinstance(end, UnknownReport)
    assert end.outcome == "lost"
    assert "its folder is another one" in end.reason


def test_what_ran_on_a_node_that_rebooted_was_interrupted(
    node_bench: NodeBench,
) -> None:
    bench = node_bench
    _connect(bench)
    place = bench.order("true").place
    evidence = bench.evidence(place)
    evidence.folder.mkdir(parents=True, mode=0o700)
    evidence.folder.parent.chmod(0o700)
    for boot, outcome in (("earlier", "interrupted"), (_node(bench).boot, "lost")):
        # What is left of a task when the machine goes down under it; then the control.
        evidence.file("go").write_bytes(b"4711\n" + b"\0" * 4091)
        if is_granted(place):
            place.file("grant").unlink()
        write_grant(place, Grant("web1", boot, _node(bench).root, 1))
        bench.change_owner()
        end = bench.recover(place)
        assert isinstance(end, UnknownReport)
        assert end.outcome == outcome
        _connect(bench)


def test_a_node_of_another_version_is_refused_with_one_line(
    node_bench: NodeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = node_bench
    warnings: List[str] = []
    bench.executor.warn = warnings.append  # type: ignore[attr-defined]
    monkeypatch.setattr(messages, "PROTOCOL", messages.PROTOCOL + 1)
    place = bench.launch("true")
    bench.until(lambda: warnings, "it is said")
    bench.work(1.5)  # it is tried again meanwhile
    assert len(warnings) == 1
    assert "install the same version on both" in warnings[0]
    assert not is_granted(place)
    monkeypatch.undo()
    assert bench.end_of(place).result.exit_code == 0  # the control


def test_a_node_that_is_not_reached_loses_its_tasks_after_a_while(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "attempts"
    folder.mkdir()
    bench = NodeBench(nodes, folder, lost_after_s=1.0)
    place = bench.shell(_gate(bench))
    bench.until_ready(place)
    monkeypatch.setenv("PATH", "/nowhere")  # no ssh any more
    os.kill(_ssh_of(bench), signal.SIGKILL)
    end = bench.end_of(place)
    assert isinstance(end, UnknownReport)
    assert (end.outcome, "was not reached" in end.reason) == ("lost", True)
    monkeypatch.undo()
    bench.close()
    _open_gate(bench)
    wait_until(lambda: not is_running(bench.evidence(place)), "it ended")


# -- damage on the way ----------------------------------------------------------------


@pytest.mark.parametrize("what", ["record", "log"])
def test_what_arrives_damaged_is_asked_for_again(
    node_bench: NodeBench, what: str
) -> None:
    bench = node_bench
    _connect(bench)
    node = _node(bench)
    heard = node._callbacks.on_messages
    damaged: List[str] = []

    def changed(each: Any, arrived: Any) -> None:
        for message in arrived:
            wanted = {"record": "end", "log": "log"}[what]
            if message["say"] == wanted and not damaged:
                key = {"record": "record", "log": "data"}[what]
                damaged.append(message[key])
                message[key] = "?" + message[key][1:]
        heard(each, arrived)

    object.__setattr__(node._callbacks, "on_messages", changed)
    place = bench.shell("echo one; exit 3")
    end = bench.end_of(place)
    assert damaged
    assert (end.result.exit_code, bench.log(place)) == (3, "one\n")


def test_a_log_that_is_cut_on_its_node_is_cut_here(node_bench: NodeBench) -> None:
    bench = node_bench
    script = (
        "for i in $(seq 1 4000); do echo line number $i; done; sleep 0.5; seq 1 4000"
    )
    place = bench.shell(script, log_max=20_000)
    end = bench.end_of(place)
    assert end.result.log_dropped_bytes > 0
    text = bench.log(place)
    assert text.startswith("line number 1\n")
    assert text.endswith("\n4000\n")
    assert "bytes of this log were left out here" in text
    assert len(text) < 30_000


def test_secrets_are_masked_before_a_log_leaves_its_node(
    node_bench: NodeBench,
) -> None:
    bench = node_bench
    script = f"echo my hunter22 word; {_gate(bench)}"
    order = bench.order("sh", "-c", script, masked=("hunter22",))
    bench.executor.launch(order)
    bench.until(lambda: _begun(bench) == 1, "it is under way")
    bench.work(0.5)
    assert bench.log(order.place) == ""
    _open_gate(bench)
    bench.end_of(order.place)
    assert bench.log(order.place) == "my ******** word\nready\n"


# -- who looks ---------------------------------------------------------------------------


def test_without_an_owner_it_is_said_which_node_has_an_attempt(
    node_bench: NodeBench,
) -> None:
    bench = node_bench
    place = bench.shell(_gate(bench))
    bench.until_ready(place)
    bench.executor.close()
    store = attempt_store()
    assert "given to web1" in store.remote_status(place)
    assert store.is_claimed(place)
    other = OwnMachineExecutor()
    with pytest.raises(StateDirError, match="given to node web1"):
        other.recover(place, rebooted=False)
    other.close()
    bench.change_owner()
    bench.recover(place)
    _open_gate(bench)
    end = bench.end_of(place)
    assert store.remote_status(place) == ""
    assert store.exit_report(place) == end


def test_the_agent_ends_with_its_owner_and_shims_do_not(node_bench: NodeBench) -> None:
    bench = node_bench
    place = bench.shell(_gate(bench))
    bench.until_ready(place)
    state = bench.nodes.state("web1")
    (agent,) = agents_of(state)
    assert children_of(agent)
    bench.executor.close()
    wait_until(lambda: not agents_of(state), "the agent has ended")
    assert is_running(bench.evidence(place))
    bench.change_owner()
    assert isinstance(bench.recover(place), AdoptedReport)
    _open_gate(bench)
    bench.end_of(place)
