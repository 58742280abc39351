"""A schedule whose workflow cannot be evaluated for lack of a process waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.resource_limits import no_descriptor_free
from tests.support.scheduler_harness import in_a_loop
from tests.support.timetables import NOON, TimeOffice

if TYPE_CHECKING:
    from pathlib import Path


@in_a_loop
async def test_evaluation_that_fails_for_lack_of_a_process_is_repeated(
    tmp_path: Path,
) -> None:
    runner_deps = TimeOffice(tmp_path)
    file = tmp_path / "w.ncl"
    file.write_text('{ tasks.a.command = ["true"] }')
    runner_deps.add(file=str(file), overlap="allow")
    await runner_deps.at(1)
    assert len(runner_deps.runs()) == 1
    for hours in (2, 2.01):
        with no_descriptor_free(but=1):  # for a file, and none for a process
            await runner_deps.at(hours)
        again = f"{file}: cannot be read now: Too many open files; retrying in 15 s"
        assert runner_deps.said.count(f"schedule s: {again}") == 1
        assert runner_deps.past().waiting == (NOON + 7200,)
    await runner_deps.at(2.02)
    assert len(runner_deps.runs()) == 2
    assert runner_deps.past().trouble == ""
    runner_deps.close()
