"""The contract that every executor fulfils, whatever it runs attempts on."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from provctl.core.engine.requests import (
    AdoptedReport,
    ExitedReport,
    NeverStartedReport,
    UnknownReport,
)
from provctl.executors.local.attempt_file import is_running
from provctl.executors.protocol import MARK, AttemptRef
from provctl.runs.attempt_store import attempt_store
from tests.support.attempts import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.attempts import Bench


@pytest.fixture(params=["local_bench", "node_bench"], ids=["local", "ssh"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """Each executor that there is."""
    found: Bench = request.getfixturevalue(request.param)
    return found


class TestEveryExecutor:
    """Uses the executor of the fixture `bench`."""

    @pytest.mark.parametrize("code", [0, 1, 7, 255])
    def test_executor_reports_the_exit_code(self, bench: Bench, code: int) -> None:
        end = bench.run("sh", "-c", f"exit {code}")
        assert isinstance(end, ExitedReport)
        assert (end.cause, end.result.exit_code, end.result.signal) == (
            "exit",
            code,
            None,
        )
        assert not end.problem

    @pytest.mark.parametrize("number", [9, 15, 11])
    def test_executor_reports_the_signal(self, bench: Bench, number: int) -> None:
        end = bench.run("sh", "-c", f"kill -{number} $$")
        assert (end.cause, end.result.exit_code, end.result.signal) == (
            "exit",
            None,
            number,
        )

    def test_executor_reports_times_and_resource_usage(self, bench: Bench) -> None:
        before = time.time()  # noqa: TID251
        end = bench.run("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
        assert before - 1 < end.result.started_at < end.result.finished_at < before + 60
        assert end.result.cpu_s > 0
        assert end.result.max_rss_bytes > 1 << 16
        assert end.result.survivors == 0

    def test_stdout_and_stderr_are_written_to_the_log_in_order(
        self, bench: Bench
    ) -> None:
        place = bench.shell("echo one; echo two >&2; printf three")
        bench.end_of(place)
        assert bench.log(place) == "one\ntwo\nthree"
        assert place.file("log").stat().st_mode & 0o777 == 0o600

    def test_task_gets_its_environment_and_nothing_else(self, bench: Bench) -> None:
        place = bench.launch("env", env={"GREETING": "hi there\nyou"})
        bench.end_of(place)
        said = bench.log(place)
        assert "GREETING=hi there\nyou\n" in said
        assert f"{MARK}={place.mark}\n" in said
        assert "BENCH" not in said

    def test_arguments_arrive_unchanged(self, bench: Bench) -> None:
        hostile = ["", " ", "$(id)", "`id`", "a;b", "--", "é\n漢", "'\"", "*"]
        place = bench.launch("sh", "-c", 'printf "%s|" "$@"', "sh", *hostile)
        bench.end_of(place)
        assert bench.log(place) == "".join(f"{word}|" for word in hostile)

    def test_stdin_of_a_task_is_empty(self, bench: Bench) -> None:
        assert (
            bench.run("sh", "-c", "read line && exit 3; exit 0").result.exit_code == 0
        )

    def test_input_file_exists_before_the_start_and_is_private(
        self, bench: Bench
    ) -> None:
        place = bench.order().place
        folder = bench.evidence(place).folder
        order = bench.order(
            "sh",
            "-c",
            'cat "$FILE"; stat -c %a "$FILE"',
            env={"FILE": str(folder / f"{place.index + 1}.1.in")},
            input='{"text": "café ✓"}'.encode(),
        )
        bench.executor.launch(order)
        bench.end_of(order.place)
        assert bench.log(order.place) == '{"text": "café ✓"}600\n'

    def test_output_is_moved_into_the_report(self, bench: Bench) -> None:
        place = _writes(bench, '{"ip": "10.0.0.1", "text": "é"}')
        assert bench.end_of(place).output == {"ip": "10.0.0.1", "text": "é"}
        assert not bench.evidence(place).file("out").exists()

    def test_output_of_the_maximum_size_is_accepted(self, bench: Bench) -> None:
        text = json.dumps("x" * 998)
        end = bench.end_of(_writes(bench, text, output_max=1000))
        assert (end.output, end.problem) == ("x" * 998, "")

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (json.dumps("x" * 999), "its output is larger than 1000 bytes"),
            ("{", "its output is not valid JSON"),
            ("", "its output is not valid JSON"),
            ("[" * 999, "its output is not valid JSON"),
        ],
    )
    def test_invalid_output_is_a_problem(
        self, bench: Bench, text: str, problem: str
    ) -> None:
        end = bench.end_of(_writes(bench, text, output_max=1000))
        assert (end.result.exit_code, end.output, end.problem) == (0, None, problem)

    def test_missing_output_is_no_problem(self, bench: Bench) -> None:
        end = bench.run("true", output_max=1000)
        assert (end.output, end.problem) == (None, "")

    def test_missing_program_is_a_problem(self, bench: Bench) -> None:
        end = bench.run("no-such-program")
        assert (end.result.exit_code, end.result.signal, end.result.ran) == (
            None,
            None,
            False,
        )
        assert bench.run("true").result.ran
        assert end.problem == ("cannot start no-such-program: no such program on PATH")

    def test_program_is_searched_on_path_only(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        here = tmp_path / "deploy"
        here.write_text("#!/bin/sh\nexit 0\n")
        here.chmod(0o755)
        end = bench.run("deploy", cwd=str(tmp_path))
        assert "no such program on PATH" in end.problem
        assert bench.run("./deploy", cwd=str(tmp_path)).result.exit_code == 0

    def test_file_that_is_not_executable_is_a_problem(self, bench: Bench) -> None:
        assert "Permission denied" in bench.run("/etc/passwd").problem

    def test_missing_working_directory_is_a_problem(self, bench: Bench) -> None:
        end = bench.run("true", cwd="/nowhere/at/all")
        assert end.problem == "cannot start /nowhere/at/all: No such file or directory"

    @pytest.mark.parametrize("word", ["a\0b", "\ud800", "x" * 200_000])
    def test_invalid_argument_is_a_problem(self, bench: Bench, word: str) -> None:
        end = bench.run("echo", word)
        assert isinstance(end, ExitedReport)
        assert end.problem.startswith("cannot start echo: ")

    def test_timeout_ends_a_task(self, bench: Bench) -> None:
        end = bench.run("sleep", "60", timeout_s=0.2)
        assert (end.cause, end.result.signal) == ("timeout", 15)
        assert 0.15 < end.result.finished_at - end.result.started_at < 30

    def test_timeout_kills_after_the_grace_time(self, bench: Bench) -> None:
        script = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
        # Time enough to come to its trap, on a busy machine too.
        end = bench.run("sh", "-c", script, timeout_s=1.5, grace_s=0.3)
        assert (end.cause, end.result.signal) == ("timeout", 9)
        assert 1.75 < end.result.finished_at - end.result.started_at < 30

    def test_task_may_finish_during_its_grace_time(self, bench: Bench) -> None:
        script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do :; done"
        place = bench.shell(script)
        bench.until_ready(place)
        bench.stop(place)
        end = bench.end_of(place)
        assert (end.cause, end.result.exit_code) == ("stop", 0)
        assert bench.log(place) == "ready\nbye\n"

    def test_stop_kills_after_the_grace_time(self, bench: Bench) -> None:
        place = _stubborn(bench, grace_s=0.3)
        bench.stop(place)
        end = bench.end_of(place)
        assert (end.cause, end.result.signal) == ("stop", 9)

    def test_stop_now_skips_the_grace_time(self, bench: Bench) -> None:
        place = _stubborn(bench, grace_s=60.0)
        bench.stop(place, now=True)
        assert bench.end_of(place, within_s=30).result.signal == 9

    def test_stop_now_ends_a_running_grace_time(self, bench: Bench) -> None:
        place = _stubborn(bench, grace_s=60.0)
        bench.stop(place)
        bench.work(0.1)
        assert place.task not in bench.reports
        bench.stop(place, now=True)
        end = bench.end_of(place, within_s=30)
        assert (end.cause, end.result.signal) == ("stop", 9)

    def test_second_stop_does_not_prolong_the_grace_time(self, bench: Bench) -> None:
        place = _stubborn(bench, grace_s=0.4)
        deadline = time.monotonic() + PATIENCE_S
        while place.task not in bench.reports:
            assert time.monotonic() < deadline, "its grace never ends"
            bench.stop(place)
            bench.work(0.05)
        assert bench.end_of(place).result.signal == 9

    def test_stop_before_the_start_prevents_it(self, bench: Bench) -> None:
        order = bench.order("sh", "-c", "echo ran")
        bench.stop(order.place)  # decided, but not launched yet
        assert isinstance(bench.end_of(order.place), NeverStartedReport)
        bench.executor.launch(order)
        assert bench.run("true").result.exit_code == 0
        assert not order.place.file("log").exists()

    def test_stop_after_the_end_changes_nothing(self, bench: Bench) -> None:
        place = bench.shell("exit 3")
        assert bench.end_of(place).result.exit_code == 3
        bench.stop(place, now=True)
        bench.work(0.05)
        assert bench.end_of(place).result.exit_code == 3

    def test_attempts_run_in_parallel(self, bench: Bench) -> None:
        # Each waits for all others, so one after the other none would end.
        here = f'echo >> "{bench.folder}/here"; '
        wait = f'until [ "$(wc -l < "{bench.folder}/here")" = 8 ]; do sleep 0.02; done'
        places = [bench.shell(here + wait) for _ in range(8)]
        assert all(bench.end_of(place).result.exit_code == 0 for place in places)

    def test_next_owner_adopts_a_running_attempt(self, bench: Bench) -> None:
        go = bench.folder / "go-on"
        wait = f'until [ -e "{go}" ]; do sleep 0.02; done'
        place = bench.shell(f"echo ready; {wait}; exit 5")
        bench.until_ready(place)
        bench.change_owner()
        assert isinstance(bench.recover(place), AdoptedReport)
        go.touch()
        end = bench.end_of(place)
        assert (end.cause, end.result.exit_code) == ("exit", 5)

    def test_next_owner_gets_the_result_of_an_attempt_that_finished_meanwhile(
        self, bench: Bench
    ) -> None:
        place = bench.shell("echo ready; exit 5")
        bench.until_ready(place)
        bench.change_owner()
        wait_until(lambda: not is_running(bench.evidence(place)), "it ended")
        end = bench.recover(place)
        assert (end.cause, end.result.exit_code) == ("exit", 5)

    def test_attempt_that_never_started_is_discarded_by_the_next_owner(
        self, bench: Bench
    ) -> None:
        order = bench.order("sh", "-c", "echo ran")
        bench.change_owner()
        assert isinstance(bench.recover(order.place), NeverStartedReport)
        assert isinstance(
            bench.recover(order.place), NeverStartedReport
        )  # and stays so
        bench.executor.launch(order)
        assert bench.run("true").result.exit_code == 0
        assert not order.place.file("log").exists()

    def test_attempt_that_never_started_before_a_reboot_is_discarded(
        self, bench: Bench
    ) -> None:
        place = bench.order("true").place
        assert isinstance(bench.recover(place, rebooted=True), NeverStartedReport)

    def test_attempt_that_finished_before_a_reboot_has_its_result(
        self, bench: Bench
    ) -> None:
        place = bench.shell("exit 5")
        bench.end_of(place)
        bench.change_owner()
        assert bench.recover(place, rebooted=True).result.exit_code == 5

    def test_attempt_that_ran_during_a_reboot_is_interrupted(
        self, bench: Bench
    ) -> None:
        place = bench.order("true").place
        # What is left of a task when the machine goes down under it.
        place.file("go").write_bytes(b"4711\n" + b"\0" * 4091)
        end = bench.recover(place, rebooted=True)
        assert isinstance(end, UnknownReport)
        assert end.outcome == "interrupted"

    @pytest.mark.parametrize(("now", "signal"), [(False, 15), (True, 9)])
    def test_adopted_task_can_be_stopped(
        self, bench: Bench, now: bool, signal: int
    ) -> None:
        place = bench.shell("echo ready; exec sleep 60")
        bench.until_ready(place)
        bench.change_owner()
        assert isinstance(bench.recover(place), AdoptedReport)
        bench.stop(place, now=now)
        end = bench.end_of(place, within_s=30)
        assert (end.cause, end.result.signal) == ("stop", signal)

    def test_frozen_attempt_is_suspended_until_it_is_thawed(self, bench: Bench) -> None:
        place = bench.shell(_TICKS)
        bench.until_ready(place)
        assert not bench.stands_still(place)
        bench.freeze(place)
        bench.until_frozen(place)
        assert bench.stands_still(place)
        bench.freeze(place)  # twice is once
        bench.thaw(place)
        bench.until(lambda: not bench.is_frozen(place), "it is thawed")
        assert not bench.stands_still(place)
        bench.stop(place)
        assert bench.end_of(place, within_s=30).cause == "stop"

    def test_timeout_is_suspended_while_an_attempt_is_frozen(
        self, bench: Bench
    ) -> None:
        place = bench.launch("sleep", "60", timeout_s=0.6)
        bench.freeze(place)
        bench.until_frozen(place)
        bench.work(1.2)
        assert place.task not in bench.reports
        bench.thaw(place)
        end = bench.end_of(place, within_s=30)
        assert end.cause == "timeout"
        assert end.result.finished_at - end.result.started_at > 1.6

    @pytest.mark.parametrize(("now", "signal"), [(False, 15), (True, 9)])
    def test_frozen_attempt_can_be_stopped(
        self, bench: Bench, now: bool, signal: int
    ) -> None:
        place = bench.shell("sleep 61 & echo ready; exec sleep 60", grace_s=60.0)
        bench.until_ready(place)
        bench.freeze(place)
        bench.until_frozen(place)
        bench.stop(place, now=now)
        end = bench.end_of(place, within_s=30)
        assert (end.cause, end.result.signal) == ("stop", signal)

    def test_freeze_before_the_start_is_not_lost(self, bench: Bench) -> None:
        places = [bench.shell(_TICKS) for _ in range(5)]
        for place in places:
            bench.freeze(place)
        for place in places:
            bench.until_frozen(place)
            assert bench.stands_still(place, for_s=0.1)
            bench.stop(place, now=True)
            bench.end_of(place)

    def test_thaw_of_an_attempt_that_is_not_frozen_does_nothing(
        self, bench: Bench
    ) -> None:
        place = bench.shell("sleep 0.4; exit 5")
        bench.thaw(place)
        assert bench.end_of(place).result.exit_code == 5
        bench.freeze(place)
        bench.thaw(place)
        bench.work(0.05)
        assert bench.end_of(place).result.exit_code == 5

    def test_frozen_attempt_stays_frozen_for_the_next_owner(self, bench: Bench) -> None:
        place = bench.shell(_TICKS)
        bench.until_ready(place)
        bench.freeze(place)
        bench.until_frozen(place)
        bench.change_owner()
        assert isinstance(bench.recover(place), AdoptedReport)
        assert bench.stands_still(place)
        bench.thaw(place)
        bench.until(lambda: not bench.is_frozen(place), "it is thawed")
        assert not bench.stands_still(place)
        bench.freeze(place)
        bench.until_frozen(place)
        bench.stop(place)
        assert bench.end_of(place, within_s=30).cause == "stop"


_TICKS = "echo ready; while :; do echo tick; sleep 0.02; done"


def _stubborn(bench: Bench, *, grace_s: float) -> AttemptRef:
    script = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    place = bench.shell(script, grace_s=grace_s)
    bench.until_ready(place)
    return place


def _writes(bench: Bench, text: str, *, output_max: int = 100_000) -> AttemptRef:
    """Start a task that writes `text` to its output file."""
    place = bench.order().place
    output = bench.evidence(place).folder / f"{place.index + 1}.1.out"
    env = {"TEXT": text, "FILE": str(output)}
    script = 'printf %s "$TEXT" > "$FILE"'
    return bench.launch("sh", "-c", script, env=env, output_max=output_max)


class TestEveryAttemptStore:
    """The contract of the attempt store, for processes that do not own the run."""

    def test_running_attempt_is_claimed_and_measured(self, local_bench: Bench) -> None:
        bench = local_bench
        store = attempt_store()
        place = bench.launch("sleep", "60")
        wait_until(lambda: store.is_running(place), "it runs")
        assert store.is_claimed(place)
        assert store.exit_report(place) is None
        usage = wait_until(lambda: store.open_meter(place).read(1.0), "it is measured")
        assert usage.cpu_percent is None  # there was no measurement before
        bench.executor.stop(place, now=True)
        bench.end_of(place)
        assert not store.is_running(place)
        assert store.open_meter(place).read(1.0) is None

    def test_store_returns_the_report_of_a_finished_attempt(self, bench: Bench) -> None:
        store = attempt_store()
        place = bench.shell("echo one; printf two; exit 3")
        end = bench.end_of(place)
        wait_until(lambda: not store.is_running(place), "nothing supervises it")
        assert store.exit_report(place) == end
        assert store.is_claimed(place)
        assert store.has_evidence(place)
        assert store.location(place).is_file()
        log = store.open_log(place.file("log"))
        assert b"".join(log.pieces(last=False)) == b"one\n"
        assert b"".join(log.pieces(last=True)) == b"two"
        assert b"".join(log.pieces(last=True)) == b""

    def test_attempt_that_never_started_has_no_evidence(self, bench: Bench) -> None:
        store = attempt_store()
        place = bench.order().place
        for _ in range(2):
            assert not store.is_running(place)
            assert not store.is_claimed(place)
            assert not store.has_evidence(place)
            assert store.exit_report(place) is None
            # Fenced off it never will, and that is no evidence either.
            recovered = bench.executor.recover(place, rebooted=False)
            assert isinstance(recovered, NeverStartedReport)
