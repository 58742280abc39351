"""The terminal of a foreground run goes away: the run continues and no task notices."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

import pytest

from tests.support.attempts import alive, processes_with
from tests.support.gated_tasks import Gated
from tests.support.installed import PROGRAM
from tests.support.terminals import Terminal

if TYPE_CHECKING:
    from tests.support.installed import Provctl

MOMENTS = ("asked", "marked", "started", "released", "poked")


@pytest.fixture
def gated(provctl: Provctl) -> Iterator[Gated]:
    gated = Gated(provctl)
    yield gated
    gated.open()


# -- 59: terminal closed, ssh dropped ---------------------------------------------------


@pytest.mark.parametrize("view", ["live", "plain"])
def test_59_closed_terminal_hands_the_run_over(
    provctl: Provctl, gated: Gated, view: str
) -> None:
    env = {"TERM": "xterm" if view == "live" else "dumb"}
    with provctl.terminal("run", gated.file, env=env) as terminal:
        run = gated.until_two_run()
        terminal.hang_up()
        assert terminal.process.wait(timeout=60) == 129
    gated.until_in_background(run)
    gated.check_end(run)
    assert gated.owners(run) == ["foreground", "scheduler"]


def test_59_two_hangups_are_treated_as_one(provctl: Provctl, gated: Gated) -> None:
    with provctl.terminal("run", gated.file) as terminal:
        run = gated.until_two_run()
        os.kill(terminal.process.pid, signal.SIGHUP)
        os.kill(terminal.process.pid, signal.SIGHUP)
        assert terminal.wait() == 129
    assert f"run {run} continues in the background" in terminal.plain
    assert f"provctl attach {run}" in terminal.plain
    assert "\x1b[?25h" in terminal.raw  # the cursor is back
    gated.check_end(run)


def test_59_terminal_that_accepts_no_output_hands_the_run_over(
    provctl: Provctl, gated: Gated
) -> None:
    """The job of a shell: its terminal is gone, but nothing sends SIGHUP."""
    script = 'set -m; "$0" run "$1" & echo $! >pid; wait'
    command = ["bash", "-c", script, str(PROGRAM), str(gated.file)]
    env = {**provctl.environ, "TERM": "dumb"}
    with Terminal(command, env, provctl.folder) as terminal:
        run = gated.until_two_run()
        owner = int((provctl.folder / "pid").read_text())
        os.kill(terminal.process.pid, signal.SIGKILL)
        terminal.process.wait()
        terminal.hang_up()
        assert alive(owner)
        gated.open("other")  # the first line that cannot be written follows
        provctl.until(lambda: not alive(owner), "the owner left")
    gated.check_end(run)
    assert gated.owners(run) == ["foreground", "scheduler"]


def test_59_closed_output_pipe_ends_no_run(provctl: Provctl, gated: Gated) -> None:
    with provctl.start("run", gated.file) as owner:
        run = gated.until_two_run()
        assert owner.stdout is not None
        owner.stdout.close()
        gated.open("other")
        assert owner.wait(timeout=60) == 141
    gated.check_end(run)
    assert gated.owners(run) == ["foreground", "scheduler"]


def test_59_hangup_before_the_first_task_hands_the_run_over(
    provctl: Provctl, gated: Gated
) -> None:
    with provctl.terminal("run", gated.file) as terminal:
        (run,) = provctl.until(provctl.runs, "the run is on disk")
        terminal.hang_up()
        assert terminal.process.wait(timeout=60) == 129
    gated.until_in_background(run)
    gated.until_two_run()
    gated.check_end(run)


def test_59_run_under_nohup_keeps_its_owner(provctl: Provctl, gated: Gated) -> None:
    with provctl.start("run", gated.file, preexec_fn=_ignore_hangup) as owner:
        run = gated.until_two_run()
        os.kill(owner.pid, signal.SIGHUP)
        assert owner.stdout is not None
        owner.stdout.close()
        gated.open()
        assert owner.wait(timeout=60) == 10
    gated.check_end(run)
    assert gated.owners(run) == ["foreground"]
    assert provctl.schedulers() == []


def test_59_closed_terminal_starts_a_scheduler_although_auto_start_is_off(
    provctl: Provctl, gated: Gated
) -> None:
    off = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    with provctl.terminal("run", gated.file, env=off) as terminal:
        run = gated.until_two_run()
        terminal.hang_up()
        assert terminal.process.wait(timeout=60) == 129
    gated.check_end(run)


def test_59_owner_stays_if_no_scheduler_starts(provctl: Provctl, gated: Gated) -> None:
    with provctl.terminal("run", gated.file) as terminal:
        run = gated.until_two_run()
        lock = provctl.state / "scheduler" / "lock"
        lock.mkdir()  # which none can take
        terminal.hang_up()
        log = provctl.wait_for_text(provctl.state / "scheduler" / "log", run)
        assert f"run {run}: the run stays with process {terminal.process.pid}" in log
        assert gated.marker(run).exists()
        gated.open()
        assert terminal.process.wait(timeout=60) == 10
    lock.rmdir()
    gated.check_end(run)
    assert not gated.marker(run).exists()


# -- told to end ------------------------------------------------------------------------

SIGNALS = [(signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("enabled", ["true", "false"])
def test_59_terminated_owner_hands_the_run_over(
    provctl: Provctl, gated: Gated, number: signal.Signals, code: int, enabled: str
) -> None:
    env = {"PROVCTL_ORCHESTRATOR_ENABLED": enabled}
    with provctl.start("run", gated.file, env=env) as owner:
        run = gated.until_two_run()
        owner.send_signal(number)
        _, err = owner.communicate(timeout=60)
        assert owner.returncode == code
    assert f"run {run} continues in the background" in err.decode()
    assert f"provctl attach {run}" in err.decode()
    gated.until_in_background(run)
    gated.check_end(run)
    assert gated.owners(run) == ["foreground", "scheduler"]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_59_terminated_owner_stays_if_no_scheduler_starts(
    provctl: Provctl, gated: Gated, number: signal.Signals, code: int
) -> None:
    with provctl.start("run", gated.file) as owner:
        run = gated.until_two_run()
        lock = provctl.state / "scheduler" / "lock"
        lock.mkdir()  # which none can take
        owner.send_signal(number)
        provctl.wait_for_text(provctl.state / "scheduler" / "log", run)
        gated.open()
        _, err = owner.communicate(timeout=60)
        assert owner.returncode == 10, code
    assert (
        "the run continues in this process, because it cannot be handed over"
        in err.decode()
    )
    lock.rmdir()
    gated.check_end(run)


def test_59_control_sigint_cancels(provctl: Provctl, gated: Gated) -> None:
    with provctl.start("run", gated.file) as owner:
        run = gated.until_two_run()
        owner.send_signal(signal.SIGINT)
        owner.communicate(timeout=60)
        assert owner.returncode == 11
    assert provctl.status(run)["outcome"] == "cancelled"
    assert provctl.schedulers() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_59_signal_before_the_first_task_has_its_effect(
    provctl: Provctl, gated: Gated, number: signal.Signals
) -> None:
    with provctl.start("run", gated.file) as owner:
        (run,) = provctl.until(provctl.runs, "the run is on disk")
        owner.send_signal(number)
        owner.communicate(timeout=60)
        assert owner.returncode == (143 if number == signal.SIGTERM else 11)
    if number == signal.SIGTERM:
        gated.until_two_run()
        gated.check_end(run)
    else:
        assert provctl.status(run)["outcome"] == "cancelled"


@pytest.mark.parametrize("moment", MOMENTS)
def test_59_run_can_continue_after_a_kill_at_any_step_of_the_handover(
    provctl: Provctl, gated: Gated, moment: str
) -> None:
    env = {"PROVCTL_FAILPOINT_HANDOVER": moment}
    with provctl.terminal("run", gated.file, env=env) as terminal:
        run = gated.until_two_run()
        terminal.hang_up()
        assert terminal.process.wait(timeout=60) == -signal.SIGKILL
    assert gated.marker(run).exists() == (moment != "asked")
    assert len(provctl.schedulers()) == (moment not in ("asked", "marked"))
    if moment == "marked":
        provctl("scheduler", "start")
    elif moment != "poked":
        gated.open()
        provctl("workflow", "attach", run, code=10)
    gated.check_end(run)
    assert gated.owners(run) == ["foreground", "scheduler"]


def test_59_control_run_is_stalled_without_its_marker(
    provctl: Provctl, gated: Gated
) -> None:
    env = {"PROVCTL_FAILPOINT_HANDOVER": "unmarked"}
    with provctl.terminal("run", gated.file, env=env) as terminal:
        run = gated.until_two_run()
        terminal.hang_up()
        assert terminal.process.wait(timeout=60) == 129
    assert len(provctl.schedulers()) == 1
    gated.open()
    record = provctl.state / "runs" / run / "attempts" / "0.1.go"
    provctl.wait_for_text(record, '"exit_code":0')
    provctl("scheduler", "restart")
    assert provctl.status(run)["owned"] is False
    assert len(gated.started) == 2
    provctl("workflow", "attach", run, code=10)
    gated.check_end(run)


def test_59_scheduler_started_by_a_terminal_survives_it(
    provctl: Provctl, gated: Gated
) -> None:
    script = '"$0" workflow submit "$1" && sleep 60'
    command = ["sh", "-c", script, str(PROGRAM), str(gated.file)]
    with Terminal(command, provctl.environ, provctl.folder) as terminal:
        terminal.read_until("submitted")
        run = gated.until_two_run()
        device = os.readlink(f"/proc/{terminal.process.pid}/fd/0")
        (scheduler,) = provctl.schedulers()
        session = os.getsid(terminal.process.pid)
        for pid in processes_with(f"HOME={provctl.environ['HOME']}"):
            with suppress(FileNotFoundError, ProcessLookupError):  # it naps, and ends
                if os.getsid(pid) != session:
                    assert _terminal_of(pid) == 0
                    assert device not in _open_files(pid)
        assert os.getsid(scheduler) == scheduler
        assert Path(f"/proc/{scheduler}/cwd").resolve() == Path("/")
        os.killpg(terminal.process.pid, signal.SIGKILL)
        terminal.hang_up()
        terminal.process.wait()
    assert provctl.schedulers() == [scheduler]
    gated.check_end(run)


# -- 60: Ctrl-C in the foreground --------------------------------------------------------


def test_60_ctrl_c_gives_tasks_a_grace_time(provctl: Provctl) -> None:
    file = provctl.endless("trap 'echo bye; exit 0' TERM")
    with provctl.terminal("run", file) as terminal:
        run = _ready(provctl)
        terminal.press("\x03")
        assert terminal.wait() == 11
    assert "bye" in provctl.log(run).read_text()
    _check_cancelled(provctl, run)
    assert provctl.task(run, "a")["exit_code"] == 0


def test_60_second_ctrl_c_kills_at_once(provctl: Provctl) -> None:
    long_grace = {"PROVCTL_EXECUTOR_GRACE_SECONDS": "600"}
    file = provctl.endless("trap '' TERM")
    with provctl.terminal("run", file, env=long_grace) as terminal:
        run = _ready(provctl)
        terminal.press("\x03")
        journal = provctl.state / "runs" / run / "journal.jsonl"
        provctl.wait_for_text(journal, '"type":"attempt_stopping"')
        terminal.press("\x03")
        assert terminal.wait() == 11
    _check_cancelled(provctl, run)
    assert provctl.task(run, "a")["signal"] == signal.SIGKILL


def test_60_ctrl_c_and_a_closed_terminal_cancel_the_run(provctl: Provctl) -> None:
    file = provctl.endless("trap 'sleep 1; echo bye; exit 0' TERM")
    with provctl.terminal("run", file) as terminal:
        run = _ready(provctl)
        terminal.press("\x03")
        journal = provctl.state / "runs" / run / "journal.jsonl"
        provctl.wait_for_text(journal, '"type":"attempt_stopping"')
        terminal.hang_up()
        assert terminal.process.wait(timeout=60) in (11, 129)
    provctl("wait", run, code=11)
    assert "bye" in provctl.log(run).read_text()
    _check_cancelled(provctl, run)


def _check_cancelled(provctl: Provctl, run: str) -> None:
    told = provctl.status(run)
    assert (told["outcome"], told["owned"]) == ("cancelled", False)
    assert [task["outcome"] for task in told["tasks"]] == ["cancelled"] * 2
    assert processes_with(f"PROVCTL_RUN={run}") == []
    assert not (provctl.state / "queue" / run).exists()


def _ready(provctl: Provctl) -> str:
    (run,) = provctl.until(provctl.runs, "there is a run")
    provctl.until_ready(run)
    return str(run)


def _ignore_hangup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _terminal_of(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[4])


def _open_files(pid: int) -> list[str]:
    return [os.readlink(str(fd)) for fd in Path(f"/proc/{pid}/fd").iterdir()]
