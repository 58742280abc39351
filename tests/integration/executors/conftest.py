"""Owns nodes that are reached over ssh: a server for all tests, a bench for each."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Iterator, List

import pytest

from provctl.executors.protocol import MARK
from tests.support.attempts import processes_with, wait_until
from tests.support.nodes import NodeBench, Nodes, agents_of, sshd

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def ssh_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an `ssh` that reaches this machine by every name."""
    with sshd(tmp_path_factory.mktemp("sshd")) as place:
        yield place


@pytest.fixture
def nodes(
    ssh_client: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Nodes]:
    """One node; its agents have to be gone in the end."""
    monkeypatch.setenv("PATH", f"{ssh_client}:{os.environ['PATH']}")
    nodes = Nodes(tmp_path)
    yield nodes

    def left() -> List[int]:
        return [pid for name in nodes.names for pid in agents_of(nodes.state(name))]

    try:
        wait_until(lambda: not left(), "no agent is left", within_s=30)
    finally:
        for pid in left():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def node_bench(nodes: Nodes, tmp_path: Path) -> Iterator[NodeBench]:
    """An executor for nodes; what it starts has to be gone in the end."""
    folder = tmp_path / "attempts"
    folder.mkdir()
    bench = NodeBench(nodes, folder)
    sign = f"{MARK}={bench.run_id}/"
    try:
        yield bench
        bench.close()
        wait_until(lambda: not processes_with(sign), "no process is left", within_s=30)
    finally:
        for pid in processes_with(sign):
            os.kill(pid, signal.SIGKILL)
