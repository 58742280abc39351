"""The scheduler is restarted and replaced while tasks run; no task is affected."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Dict, List

import pytest

from provctl import __version__
from tests.support.attempts import alive
from tests.support.installations import Installation

if TYPE_CHECKING:
    from tests.support.installed import Provctl

CODES = {"a": 0, "b": 7, "c": 0, "d": 9}


def test_four_tasks_survive_three_restarts(provctl: Provctl) -> None:
    story = _Story(provctl)
    run = provctl.submit(story.file)
    before = story.until_four_run()
    for _ in range(3):
        provctl("scheduler", "restart")
        assert story.starts() == before
        assert all(map(alive, story.pids()))
    story.check_end(run)


@pytest.mark.parametrize("old", ["0.0.9", "99.0"], ids=["upgrade", "downgrade"])
def test_another_installation_takes_over_running_tasks(
    provctl: Provctl, old: str
) -> None:
    story = _Story(provctl)
    other = Installation(provctl, old)
    run = other("workflow", "submit", story.file).split()[-1]
    before = story.until_four_run()
    told = provctl("scheduler", "status", "-o", "json")
    assert told.json()["version"] == old
    assert f"the scheduler is provctl {old}, this command is {__version__}" in told.err
    if old < __version__:
        assert "provctl scheduler restart" in told.err
    else:
        assert "use the newer version" in told.err
    provctl("scheduler", "stop")
    other.remove()
    provctl("scheduler", "start")
    told = provctl("scheduler", "status", "-o", "json")
    assert (told.json()["version"], told.err) == (__version__, "")
    assert story.starts() == before
    assert all(map(alive, story.pids()))
    story.check_end(run)


def test_foreground_run_of_an_older_installation_can_be_detached(
    provctl: Provctl,
) -> None:
    story = _Story(provctl)
    other = Installation(provctl, "0.0.9")
    provctl("scheduler", "start")
    with subprocess.Popen(
        [*other.command, "run", str(story.file)],
        env=provctl.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as owner:
        story.until_four_run()
        (run,) = provctl.runs()
        provctl("workflow", "detach", run)
        assert owner.wait(timeout=60) == 130
    other.remove()
    story.check_end(run)


class _Story:
    """Four tasks that wait for a gate, and one that follows."""

    def __init__(self, provctl: Provctl) -> None:
        self._provctl = provctl
        self._starts = provctl.folder / "starts"
        self._gate = provctl.folder / "gate"

        def script(code: int) -> List[str]:
            text = (
                f'echo "$PROVCTL_TASK $$" >> "{self._starts}"; '
                f'until [ -e "{self._gate}" ]; do sleep 0.02; done; exit {code}'
            )
            return ["sh", "-c", text]

        tasks: Dict[str, Dict[str, object]] = {
            name: {"command": script(code)} for name, code in CODES.items()
        }
        tasks["e"] = {"command": script(0), "needs": ["a", "c"]}
        self.file = provctl.file(tasks)

    def starts(self) -> List[str]:
        return self._starts.read_text().splitlines() if self._starts.exists() else []

    def pids(self) -> List[int]:
        return [int(line.split()[1]) for line in self.starts()]

    def until_four_run(self) -> List[str]:
        self._provctl.until(lambda: len(self.starts()) == 4, "four tasks run")
        return self.starts()

    def check_end(self, run: str) -> None:
        self._gate.touch()
        self._provctl("wait", run, code=10)
        assert sorted(line.split()[0] for line in self.starts()) == list("abcde")
        tasks = self._provctl.status(run)["tasks"]
        assert {t["id"]: t["exit_code"] for t in tasks} == {**CODES, "e": 0}
        assert {t["attempts"] for t in tasks} == {1}
