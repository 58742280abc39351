"""The live view at a real terminal: its content, its size, and how it ends."""

from __future__ import annotations

import os
import re
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

import pytest

from tests.support.terminals import Terminal

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def gated(provctl: Provctl, words: str = "PROGRESS: 3/7 copying") -> Dict[str, Any]:
    """A task that runs until the file `gate` exists."""
    gate = provctl.folder / "gate"
    script = f"echo '{words}'; while [ ! -e {gate} ]; do sleep 0.05; done"
    return {"command": ["sh", "-c", script]}


def open_gate(provctl: Provctl) -> None:
    (provctl.folder / "gate").touch()


def test_live_view_shows_rate_usage_and_waiting_tasks(provctl: Provctl) -> None:
    tasks = {"a": gated(provctl), "b": {"command": ["true"], "needs": ["a"]}}
    run = provctl.submit(provctl.file(tasks))
    with provctl.terminal("watch", run) as terminal:
        told = re.compile(r"▶ a .* 42% ~\S+ left .*/(s|min) +cpu \d+% \S+M copying")
        terminal.watch(lambda screen: bool(told.search(screen)))
        assert "· b         waiting for a" in terminal.screen
        open_gate(provctl)
        assert terminal.wait() == 0
    used = re.compile(r"✓ a +\S+  succeeded  cpu \S+, \S+[KM]\n")
    assert used.search(terminal.screen), terminal.screen


def test_live_view_marks_a_run_slower_than_usual(provctl: Provctl) -> None:
    file = provctl.file({"a": gated(provctl)})
    open_gate(provctl)
    for _ in range(5):
        provctl("run", file)
    (provctl.folder / "gate").unlink()
    with provctl.terminal("run", file) as terminal:
        terminal.watch(lambda screen: "slower than usual: copying" in screen)
        open_gate(provctl)
        assert terminal.wait() == 0


def test_live_view_of_a_large_run_fits_the_screen(provctl: Provctl) -> None:
    tasks: Dict[str, Any] = {f"a{n}": {"command": ["true"]} for n in range(400)}
    tasks["gate"] = gated(provctl)
    for number in range(400):
        tasks[f"b{number}"] = {"command": ["true"], "needs": ["gate"]}
    file = provctl.file(tasks)
    with provctl.terminal("run", file, "-j", "4", size=(12, 60)) as terminal:
        seen = terminal.watch(
            lambda screen: "stage 1 " in screen and "400/401" in screen
        )
        assert "gate" in terminal.screen
        assert all(len(screen.split("\n")) <= 12 for screen in seen)
        assert all(len(line) <= 60 for screen in seen for line in screen.split("\n"))
        open_gate(provctl)
        assert terminal.wait() == 0
    assert len(terminal.screen.strip().split("\n")) <= 12 + 2


def test_live_view_adapts_to_a_resized_terminal(provctl: Provctl) -> None:
    tasks = {f"server-{n}": gated(provctl) for n in range(8)}
    run = provctl.submit(provctl.file(tasks))
    with provctl.terminal("watch", run, size=(30, 100)) as terminal:
        terminal.watch(lambda screen: _is_whole(screen, bar=20))
        for rows, columns in ((30, 50), (30, 120), (20, 42), (40, 80)):
            terminal.resize(rows, columns)
            bar = 20 if columns >= 60 else 8
            terminal.watch(partial(_is_whole, bar=bar))
            lines = terminal.screen.split("\n")
            assert max(map(len, lines)) <= columns, terminal.screen
        open_gate(provctl)
        assert terminal.wait() == 0


def _is_whole(screen: str, bar: int) -> bool:
    """One picture and nothing else, with a bar of so many cells."""
    lines = screen.split("\n")
    return (
        len(lines) == 10
        and lines[0].startswith("▶ w")
        and lines[1].startswith("─" * bar + " ")
        and all(line.startswith("▶ server-") for line in lines[2:])
    )


def test_live_view_works_without_colours_and_unicode(provctl: Provctl) -> None:
    file = provctl.ends_badly()
    with provctl.terminal("run", file, env={"NO_COLOR": "1"}) as terminal:
        assert terminal.wait() == 10
    colours = [int(n) for c in _COLOUR.findall(terminal.raw) for n in _numbers(c)]
    assert not [number for number in colours if 30 <= number <= 107]
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with provctl.terminal("run", file, env=plain) as terminal:
        assert terminal.wait() == 10
    assert terminal.raw.isascii()
    assert "x bad" in terminal.screen


def _numbers(colour: str) -> List[str]:
    return re.findall(r"\d+", colour)


def test_live_view_of_a_batch_shares_the_screen_among_runs(provctl: Provctl) -> None:
    tasks = {f"t{n}": gated(provctl) for n in range(20)}
    files = [provctl.file(tasks, name) for name in ("north", "south")]
    env = {"PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS": "12"}
    batch = provctl("batch", "submit", *files, "-o", "name", env=env).out.strip()
    with provctl.terminal("batch", "monitor", batch, size=(16, 80)) as terminal:
        seen = terminal.watch(lambda screen: "12 running" in screen)
        terminal.watch(lambda screen: "2 runs:" in screen)
        assert all(len(screen.split("\n")) <= 16 for screen in seen)
        assert "north" in terminal.screen
        assert "south" in terminal.screen
        open_gate(provctl)
        assert terminal.wait() == 0


def test_replay_shows_the_same_live_view(provctl: Provctl) -> None:
    file = provctl.file({"a": {"command": ["sleep", "2"]}})
    provctl("run", file)
    replay = ("workflow", "replay", "@last", "--speed", "1")
    with provctl.terminal(*replay) as terminal:
        seen = terminal.watch(lambda screen: "▶ a" in screen)
        assert "cpu" not in seen[-1]
        assert terminal.wait() == 0
    assert "✓ a" in terminal.screen


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGQUIT, -signal.SIGQUIT)]
)
def test_terminated_watcher_shows_the_cursor_again(
    provctl: Provctl, number: signal.Signals, code: int
) -> None:
    run = provctl.submit(provctl.file({"a": gated(provctl)}))
    with provctl.terminal("watch", run) as terminal:
        terminal.watch(lambda screen: "copying" in screen)
        assert not terminal.cursor_shown
        terminal.process.send_signal(number)
        assert terminal.wait() == code
        assert terminal.cursor_shown
    open_gate(provctl)
    provctl("wait", run)


def test_suspended_watcher_restores_the_terminal_and_resumes(
    provctl: Provctl,
) -> None:
    run = provctl.submit(provctl.file({"a": gated(provctl)}))
    with provctl.terminal("watch", run) as terminal:
        terminal.watch(lambda screen: "copying" in screen)
        terminal.process.send_signal(signal.SIGTSTP)
        terminal.watch(lambda _screen: terminal.cursor_shown)
        status = Path(f"/proc/{terminal.process.pid}/status")
        provctl.until(lambda: "T (stopped)" in status.read_text(), "it is stopped")
        terminal.process.send_signal(signal.SIGCONT)
        open_gate(provctl)
        assert terminal.wait() == 0
        assert terminal.cursor_shown
    before, after = terminal.screen.split("✓ w")
    assert "▶ a" in before
    assert "✓ a" in after


def test_background_job_draws_nothing(provctl: Provctl) -> None:
    file = provctl.file({"a": gated(provctl)})
    shell = ["bash", "--noprofile", "--norc", "--noediting", "-i"]
    with Terminal(shell, {**provctl.environ, "PS1": "> "}, provctl.folder) as terminal:
        terminal.press(f"{provctl.program} run {file}\r")
        terminal.watch(lambda screen: "copying" in screen)
        terminal.press("\x1a")
        terminal.read_until("Stopped")
        terminal.press("bg\r")
        terminal.read_until("&")
        # Some pictures would come in this time, and be over what was typed.
        mark = len(terminal.plain)
        terminal.press("sleep 1.5; echo qu''iet\r")
        terminal.read_until("quiet")
        assert "copying" not in terminal.plain[mark:]
        assert terminal.cursor_shown
        # The control: where it has the terminal again, it draws.
        terminal.press("fg\r")
        terminal.watch(lambda _screen: "copying" in terminal.plain[mark:])
        open_gate(provctl)
        terminal.read_until("succeeded in")
        terminal.watch(lambda _screen: terminal.cursor_shown)


_SHELL = ["bash", "--noprofile", "--norc", "--noediting", "-i"]


@pytest.mark.parametrize("verb", ["run", "watch"])
def test_input_typed_during_a_live_view_is_discarded(
    provctl: Provctl, verb: str
) -> None:
    file = provctl.file({"a": gated(provctl)})
    subject = file if verb == "run" else provctl.submit(file)
    with Terminal(_SHELL, {**provctl.environ, "PS1": "> "}, provctl.folder) as terminal:
        terminal.press("stty -a >before\r")
        terminal.press(f"{provctl.program} {verb} {subject}; stty -a >after\r")
        terminal.watch(lambda screen: "copying" in screen)
        terminal.press("touch typed\r")
        # The control: what is sent as a signal is heeded.
        terminal.press("\x1a")
        terminal.read_until("Stopped")
        terminal.press("fg\r")
        mark = len(terminal.plain)
        terminal.watch(lambda _screen: "copying" in terminal.plain[mark:])
        terminal.press("touch typed\r")
        open_gate(provctl)
        terminal.read_until("succeeded in")
        terminal.press("echo do''ne\r")
        terminal.read_until("done")
        assert "touch" not in terminal.plain
    assert not (provctl.folder / "typed").exists()
    before, after = ((provctl.folder / n).read_text() for n in ("before", "after"))
    assert before == after


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_terminal_settings_are_restored_however_the_watch_ends(
    provctl: Provctl, number: signal.Signals
) -> None:
    run = provctl.submit(provctl.file({"a": gated(provctl)}))
    with Terminal(_SHELL, {**provctl.environ, "PS1": "> "}, provctl.folder) as terminal:
        terminal.press("stty -a >before\r")
        script = f"echo $$ >pid; exec {provctl.program} watch {run}"
        terminal.press(f"sh -c '{script}'; stty -a >after; echo do''ne\r")
        terminal.watch(lambda screen: "copying" in screen)
        os.kill(int((provctl.folder / "pid").read_text()), number)
        terminal.read_until("done")
    open_gate(provctl)
    before, after = ((provctl.folder / n).read_text() for n in ("before", "after"))
    assert before == after
