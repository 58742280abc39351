"""A submission by the API is on disk before the API answers; strace shows it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, List

from tests.support.api import Api
from tests.support.strace import calls_in, need_strace, under

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

CALLS = "openat,fsync,fdatasync,rename,renameat,renameat2,sendto,sendmsg,write,writev"


def test_submission_is_synced_before_the_response(
    provctl: Provctl, tmp_path: Path
) -> None:
    need_strace()
    trace = tmp_path / "trace"
    options = ["-f", "-y", "-s", "64", "-e", f"trace={CALLS}"]
    server = provctl.start("scheduler", "serve", under=under(trace, options))
    api = Api(provctl.state)
    provctl.until(lambda: (provctl.state / "scheduler/api.sock").exists(), "its socket")
    assert api.get("/health").status == 200
    run = api.post("/workflows/submit", {"tasks": {"a": {"command": ["true"]}}}).data
    provctl("wait", run)
    provctl("scheduler", "stop")
    server.communicate(timeout=60)
    lines = calls_in(trace)
    answered = _first(lines, r"HTTP/1\.1 202")
    runs, queue = f"{provctl.state}/runs", f"{provctl.state}/queue"
    steps = [
        _first(lines, rf"fsync\(\d+<{runs}/\.new-{run}[^>]*/workflow\.json>"),
        _first(lines, rf"f(?:data)?sync\(\d+<{runs}/\.new-{run}[^>]*/journal\.jsonl>"),
        _first(lines, rf'rename\w*\(.*\.new-{run}.*/{run}"'),
        _first(lines, rf"fsync\(\d+<{runs}>\)"),
        # The marker is empty: it is durable with the folder it is in.
        _first(lines, rf'openat\(.*"{queue}/{run}", O_WRONLY\|O_CREAT'),
        _first(lines, rf"fsync\(\d+<{queue}>\)"),
        answered,
    ]
    assert steps == sorted(steps), [lines[step] for step in steps]
    # The control: an answer that says nothing about a run came before all of it.
    assert _first(lines, r"HTTP/1\.1 200") < steps[0]


def _first(lines: List[str], pattern: str) -> int:
    """The first line in which a matching call has returned."""
    found = [number for number, line in enumerate(lines) if re.search(pattern, line)]
    assert found, f"{pattern} is nowhere in {len(lines)} lines"
    return found[0]
