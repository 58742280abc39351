"""Hooks run at the end of every run, whoever owned it, and never disturb a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, List

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


class Hooks:
    """A configuration with hooks, and the input that the hooks got."""

    def __init__(self, provctl: Provctl) -> None:
        self._provctl = provctl
        self.heard = provctl.folder / "heard"
        self.hear = ["sh", "-c", f'cat >> "{self.heard}"; env > "{self.heard}.env"']
        self.env = {"PROVCTL_CONFIG": str(provctl.folder / "hooks.toml")}
        self.set(self.hear)

    def set(self, *commands: List[str], timeout_s: float = 30) -> None:
        """Configure these hooks."""
        text = f"[hooks]\non_run_finished = {json.dumps(commands)}\n"
        self._provctl.text("hooks.toml", f"{text}timeout_seconds = {timeout_s}\n")

    def told(self, count: int = 1) -> List[Dict[str, Any]]:
        """Wait until so many runs were reported and all hooks have ended."""
        marks = self._provctl.state / "hooks"

        def through() -> bool:
            is_there = self.heard.exists()
            return is_there and len(self._lines()) >= count and not _names(marks)

        self._provctl.until(through, f"{count} ends are told")
        return self._lines()

    def _lines(self) -> List[Dict[str, Any]]:
        return [json.loads(line) for line in self.heard.read_text().splitlines()]


def _names(folder: Path) -> List[str]:
    return [path.name for path in folder.iterdir()] if folder.exists() else []


@pytest.fixture
def hooks(provctl: Provctl) -> Hooks:
    return Hooks(provctl)


def test_hook_runs_after_a_foreground_run(provctl: Provctl, hooks: Hooks) -> None:
    script = "echo one; echo two; exit 3"
    file = provctl.file({"a": {"command": ["sh", "-c", script]}})
    secret = {"AWS_SECRET_ACCESS_KEY": "hush"}
    provctl("run", file, env={**hooks.env, **secret}, code=10)
    (told,) = hooks.told()
    (run,) = provctl.runs()
    expected = {"version": 2, "event": "run_finished", "id": run, "name": "w"}
    expected.update(outcome="failed", exit_code=10, counts={"failed": 1})
    assert {name: told[name] for name in expected} == expected
    assert told["duration_s"] >= 0
    (failed,) = told["failed"]
    assert (failed["id"], failed["exit_code"]) == ("a", 3)
    assert failed["log_tail"] == ["one", "two"]
    environ = (hooks.heard.with_name("heard.env")).read_text()
    assert f"PROVCTL_RUN={run}\n" in environ
    assert "hush" not in environ


def test_hook_runs_after_a_scheduled_run_and_again_after_a_retry(
    provctl: Provctl, hooks: Hooks
) -> None:
    go = provctl.folder / "go"
    file = provctl.file({"a": {"command": ["test", "-e", str(go)]}})
    run = provctl.submit(file, env=hooks.env)
    provctl("wait", run, code=10)
    assert [told["outcome"] for told in hooks.told()] == ["failed"]
    go.touch()
    provctl("retry", run, "--yes")
    provctl("wait", run)
    assert [t["outcome"] for t in hooks.told(2)] == ["failed", "succeeded"]


def test_hanging_or_failing_hook_delays_no_run_and_fails_no_run(
    provctl: Provctl, hooks: Hooks
) -> None:
    bad = ["sh", "-c", "echo why; exit 9"]
    hooks.set(["sleep", "600"], ["no-such-program"], bad, hooks.hear, timeout_s=4)
    provctl("run", provctl.file({"a": {"command": ["true"]}}), env=hooks.env)
    assert not hooks.heard.exists()  # the run is over, its hooks are not
    hooks.told()
    log = (provctl.state / "scheduler" / "log").read_text()
    for words in (
        "hook sleep of run",
        "exceeded its time limit of 4 s and was killed",
        "hook no-such-program of run",
        "failed: exit code 9",
    ):
        assert words in log
    assert "    why\n" in (provctl.state / "scheduler" / "hooks.log").read_text()
    doctor = provctl("doctor", "-o", "json", env=hooks.env, code=None)
    (found,) = [row for row in doctor.json() if row["check"] == "hooks"]
    assert "program no-such-program not found" in found["detail"]
    hooks.set(bad)
    doctor = provctl("doctor", "-o", "json", env=hooks.env, code=None)
    (found,) = [row for row in doctor.json() if row["check"] == "hooks"]
    assert "exit code 9" in found["detail"]


def test_hook_may_ignore_its_input_and_write_without_limit(
    provctl: Provctl, hooks: Hooks
) -> None:
    tasks = {f"t{n}": {"command": ["sh", "-c", "seq 9999; exit 1"]} for n in range(30)}
    loud = ["sh", "-c", "yes | head -c 50000000"]
    left = ["sh", "-c", "sleep 600 & exit 0"]  # keeps the output open
    hooks.set(loud, left, hooks.hear)
    provctl("run", provctl.file(tasks), env=hooks.env, code=10)
    (told,) = hooks.told()
    assert len(told["failed"]) == 20
    assert (provctl.state / "scheduler" / "hooks.log").stat().st_size < 50_000


def test_mark_of_a_removed_run_is_removed(provctl: Provctl, hooks: Hooks) -> None:
    file = provctl.file({"a": {"command": ["true"]}})
    provctl("run", file, env=hooks.env)
    hooks.told()
    (provctl.state / "hooks" / "bcdfghjkmn").touch()
    provctl("scheduler", "start", env=hooks.env)
    hooks.told()
    assert "Traceback" not in (provctl.state / "scheduler" / "log").read_text()


def test_nothing_is_written_without_hooks(provctl: Provctl) -> None:
    provctl("run", provctl.file({"a": {"command": ["true"]}}))
    assert not (provctl.state / "hooks").exists()
    assert not (provctl.state / "scheduler" / "hooks.log").exists()
