"""A node behind a link that is cut: half-open for a while, then as before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from provctl.executors.local.attempt_file import is_running
from provctl.executors.remote.node import NodeStatus
from tests.support.attempts import wait_until
from tests.support.nodes import NodeBench, Nodes, agents_of, link, sshd

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

# ssh notices after 15 seconds; then it is tried again for 5 seconds each time.
_NOTICED_S = 60.0


def test_what_runs_behind_a_link_that_is_cut_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "sshd"
    place.mkdir()
    with link(1) as network, sshd(place, network.address, network.inside) as client:
        monkeypatch.setenv("PATH", f"{client}:{os.environ['PATH']}")
        folder = tmp_path / "attempts"
        folder.mkdir()
        bench = NodeBench(Nodes(tmp_path), folder)
        node: Any = bench.executor.nodes["web1"]  # type: ignore[attr-defined]
        scripts = [_gated(bench, f"gate{number}", number) for number in (5, 6)]
        first, second = [bench.shell(script) for script in scripts]
        bench.until_ready(first, second)
        network.cut()
        (folder / "gate5").touch()
        wait_until(lambda: not is_running(bench.evidence(first)), "it ended")
        bench.work(1)
        assert not bench.reports, "the control: nothing passes"
        bench.until(
            lambda: node.status is NodeStatus.UNREACHABLE,
            "it is noticed",
            within_s=_NOTICED_S,
        )
        network.up()
        assert bench.end_of(first, within_s=_NOTICED_S).result.exit_code == 5
        (folder / "gate6").touch()
        assert bench.end_of(second, within_s=_NOTICED_S).result.exit_code == 6
        assert bench.log(second) == "ready\n"
        assert len((folder / "begun").read_text().splitlines()) == 2
        bench.close()
        state = bench.nodes.state("web1")
        wait_until(lambda: not agents_of(state), "the old agent is gone, too")


def _gated(bench: NodeBench, gate: str, code: int) -> str:
    wait = f'until [ -e "{bench.folder}/{gate}" ]; do sleep 0.02; done'
    return f'echo ready; echo >> "{bench.folder}/begun"; {wait}; exit {code}'
