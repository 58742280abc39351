"""Secrets that programs know: looked up beside the loop, before an attempt starts.

The programs are real; most of them wait for what a test writes into a FIFO.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, List

import pytest

from provctl.core.engine import events as ev
from provctl.core.engine.requests import Cancel, Pause, Resume, Rollback
from provctl.core.model.secret_reference import SecretKind, SecretReference
from provctl.core.model.workflow import Command, Undo
from provctl.scheduler import keyring_child
from provctl.scheduler.secrets import NO_PACKAGE, SecretSettings
from tests.support.attempts import processes_with
from tests.support.fake_executor import ended
from tests.support.resource_limits import no_descriptor_free, no_thread_free
from tests.support.run_folders import state_folder, submit
from tests.support.scheduler_harness import HandClock, Household, in_a_loop
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from provctl.core.model.workflow import Workflow
    from provctl.storage.layout import StateDir

VALUE = "correct-horse-battery-staple"


@pytest.fixture
def folder(tmp_path: Path) -> StateDir:
    return state_folder(tmp_path)


def cmd(*argv: object) -> str:
    return SecretReference(SecretKind.CMD, argv=tuple(map(str, argv))).text


class Vault:
    """A program that notes each lookup, and prints what the test puts into its FIFO."""

    def __init__(self, folder: Path, name: str = "vault") -> None:
        self._fifo = folder / f"{name}.fifo"
        self._asked = folder / f"{name}.asked"
        os.mkfifo(self._fifo)
        self.mark = f"VAULT={self._fifo}"
        script = f"echo x >> {self._asked}; cat {self._fifo}"
        self.reference = cmd("env", self.mark, "sh", "-c", script)

    @property
    def asked(self) -> int:
        """How often it was asked."""
        return self._asked.read_text().count("x") if self._asked.exists() else 0

    async def until_asked(self, times: int = 1) -> None:
        await until(lambda: self.asked >= times)

    def answer(self, text: str = VALUE) -> None:
        """Give one lookup, which waits, its value."""
        with self._fifo.open("w") as fifo:
            fifo.write(text)

    async def until_gone(self) -> None:
        """Wait until no such program is left."""
        await until(lambda: not processes_with(self.mark))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


async def until(condition: Callable[[], Any]) -> None:
    while not condition():  # noqa: ASYNC110 - files and processes have no event
        await asyncio.sleep(0.005)


async def launched(house: Household, *names: str) -> None:
    await until(lambda: set(names) <= house.executor.orders.keys())


def reasons_of(house: Household) -> List[str]:
    """Why tasks failed before they started."""
    return [e.reason for e in house.journal() if isinstance(e, ev.TaskFailed)]


async def owned(folder: StateDir, workflow: Workflow, **how: Any) -> Household:
    submit(folder, workflow)
    house = Household(folder, environ={"PATH": os.environ["PATH"]}, **how)
    await house.scheduler.acquire_run("r")
    return house


@in_a_loop
async def test_the_attempt_starts_when_the_value_is_there_and_others_before(
    folder: StateDir, vault: Vault
) -> None:
    secrets = {"A": vault.reference}
    house = await owned(folder, a_workflow(task("a", secrets=secrets), task("b")))
    assert house.executor.said() == ["launch b"]
    await vault.until_asked()
    house.executor.end("b")
    assert house.kinds() == ["OwnershipTaken", "AttemptStarted", "AttemptFinished"]
    assert house.scheduler.state.runs["r"].tasks["a"].status == "ready"
    vault.answer(f"{VALUE}\n")
    await launched(house, "a")
    order = house.executor.orders["a"]
    assert order.env["A"] == VALUE
    assert order.masked == (VALUE,)
    assert house.kinds()[3:] == ["AttemptStarted"]
    house.executor.end("a")
    assert house.kinds()[-1] == "RunFinished"
    run = folder.run("r")
    for written in (run.journal, run.workflow):
        assert VALUE not in written.read_text()


@pytest.mark.parametrize(("slots", "beside"), [(1, []), (2, ["launch b"])])
@in_a_loop
async def test_the_slot_is_held_meanwhile(
    folder: StateDir, vault: Vault, slots: int, beside: List[str]
) -> None:
    secrets = {"A": vault.reference}
    workflow = a_workflow(task("a", secrets=secrets), task("b"))
    house = await owned(folder, workflow, slots=slots)
    await vault.until_asked()
    assert house.executor.said() == beside
    vault.answer()
    await launched(house, "a")
    house.executor.end("a")
    assert "b" in house.executor.orders


@in_a_loop
async def test_all_secrets_of_a_task_are_looked_up_at_the_same_time(
    folder: StateDir, tmp_path: Path, vault: Vault
) -> None:
    other = Vault(tmp_path, "other")
    secrets = {"A": vault.reference, "B": other.reference, "C": vault.reference}
    house = await owned(folder, a_workflow(task("a", secrets=secrets)))
    await vault.until_asked()
    await other.until_asked()
    vault.answer("from one")
    other.answer("from another")
    await launched(house, "a")
    env = house.executor.orders["a"].env
    assert (env["A"], env["B"], env["C"]) == ("from one", "from another", "from one")
    assert vault.asked == 1


@pytest.mark.parametrize("stop", ["cancel", "timeout", "pause", "leave", "failure"])
@in_a_loop
async def test_what_stops_a_task_meanwhile_leaves_nothing_behind(
    folder: StateDir, vault: Vault, stop: str
) -> None:
    clock = HandClock()
    workflow = a_workflow(
        task("b", on_failure="rollback"),
        task("a", secrets={"A": vault.reference}),
        timeout_s=60.0,
    )
    house = await owned(folder, workflow, clock=clock, slots=2)
    await vault.until_asked()
    if stop == "cancel":
        await house.scheduler.request(Cancel("r"))
    elif stop == "timeout":
        clock.time += 61
        await house.scheduler.acquire_queued()
    elif stop == "pause":
        await house.scheduler.request(Pause("r"))
    elif stop == "failure":
        house.executor.end("b", exit_code=1)
    else:
        house.scheduler.close()
    await vault.until_gone()
    starts = [
        event.task for event in house.journal() if isinstance(event, ev.AttemptStarted)
    ]
    assert starts == ["b"]
    if stop == "leave":
        return
    # Its slot is free for another run.
    submit(folder, a_workflow(task("x")), run="s")
    await house.scheduler.acquire_run("s")
    assert "x" in house.executor.orders
    if stop == "pause":
        await house.scheduler.request(Resume("r"))
        house.executor.end("x")
        await vault.until_asked(2)
        vault.answer()
        await launched(house, "a")


@in_a_loop
async def test_a_new_owner_looks_up_again_and_starts_once(
    folder: StateDir, vault: Vault
) -> None:
    workflow = a_workflow(task("a", secrets={"A": vault.reference}, secrets_once=True))
    first = await owned(folder, workflow)
    await vault.until_asked()
    first.scheduler.close()
    await vault.until_gone()
    second = Household(folder, environ={"PATH": os.environ["PATH"]})
    await second.scheduler.acquire_run("r")
    await vault.until_asked(2)
    vault.answer()
    await launched(second, "a")
    assert first.executor.orders == {}
    assert second.kinds().count("AttemptStarted") == 1


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["no-such-program"], "the program no-such-program was not found; install"),
        (["/etc/passwd"], "the program /etc/passwd cannot be run: Permission denied"),
        (["false"], "exit code 1; run the command in the account"),
        (["sh", "-c", "echo no such entry >&2; exit 3"], "exit code 3: no such entry;"),
        (
            ["sh", "-c", f"echo {VALUE}; echo {VALUE} is >&2; exit 1"],
            f"exit code 1: {'*' * len(VALUE)} is;",
        ),
        (["sh", "-c", "kill -9 $$"], "killed by signal 9;"),
        (["true"], "it printed nothing; run"),
        (["echo"], "it printed an empty line; run"),
        (["yes"], "it printed more than 64 KiB; run"),
        (["printf", "\\377"], "must be UTF-8 text of at most 64 KiB; encode it"),
        (["printf", "a\\000b"], "must be UTF-8 text of at most 64 KiB; encode it"),
        (["sleep", "60"], "it exceeded the time limit of 0.5 s; nobody can answer it"),
        (
            ["sh", "-c", "yes 0123456789 | head -c 9000 >&2; exit 1"],
            "exit code 1: ...",
        ),
    ],
    ids=str,
)
@in_a_loop
async def test_without_a_value_the_task_fails_and_says_what_happened(
    folder: StateDir, argv: List[str], words: str
) -> None:
    reference = cmd(*argv)
    workflow = a_workflow(task("a", secrets={"A": reference}))
    how = SecretSettings(timeout_s=0.5 if argv[0] == "sleep" else 60.0)
    house = await owned(folder, workflow, secrets=how)
    await until(lambda: not house.scheduler.state.runs)
    assert house.kinds() == ["OwnershipTaken", "TaskFailed", "RunFinished"]
    (reason,) = reasons_of(house)
    assert f": {words}" in reason or f" {words}" in reason
    assert reason.startswith("secret A: cmd:")
    assert len(reason) < 1000
    assert f"{VALUE} is" not in reason.partition("exit code")[2]


@in_a_loop
async def test_other_secrets_of_the_task_are_covered_in_what_a_program_says(
    folder: StateDir, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("from-a-file\n")
    tells = cmd(
        "sh", "-c", f"cat {file} >&2; echo correct-horse- >&2; echo kept; exit 1"
    )
    secrets = {
        "A": tells,
        "B": cmd("echo", "correct-horse-"),
        "C": f"file:{file}",
    }
    house = await owned(folder, a_workflow(task("a", secrets=secrets)))
    await until(lambda: not house.scheduler.state.runs)
    (reason,) = reasons_of(house)
    said = reason.partition("exit code 1: ")[2]
    assert said.startswith("*********** **************; run the command")


@in_a_loop
async def test_what_a_program_leaves_running_is_not_waited_for(
    folder: StateDir,
) -> None:
    reference = cmd("sh", "-c", f"sleep 60 & echo {VALUE}")
    house = await owned(folder, a_workflow(task("a", secrets={"A": reference})))
    await launched(house, "a")
    assert house.executor.orders["a"].env["A"] == VALUE


@in_a_loop
async def test_an_undo_and_a_probe_have_them_too(
    folder: StateDir, vault: Vault
) -> None:
    work = task(
        "a",
        secrets={"A": vault.reference},
        undo=Undo(Command(("rm",))),
        probe=Command(("ask",)),
    )
    first = await owned(folder, a_workflow(work))
    await vault.until_asked()
    vault.answer()
    await launched(first, "a")
    first.scheduler.close()
    second = Household(folder, environ={"PATH": os.environ["PATH"]})
    await second.scheduler.acquire_run("r")  # the first attempt is lost
    await vault.until_asked(2)
    vault.answer()
    await launched(second, "a.2p")
    second.executor.end("a.2p")
    await second.scheduler.request(Rollback("r"))
    await vault.until_asked(3)
    vault.answer()
    await launched(second, "a.3u")
    assert second.executor.orders["a.3u"].env["A"] == VALUE


@in_a_loop
async def test_of_a_probe_that_has_no_value_the_policy_decides(
    folder: StateDir, vault: Vault
) -> None:
    work = task("a", secrets={"A": vault.reference}, probe=Command(("ask",)))
    first = await owned(folder, a_workflow(work))
    await vault.until_asked()
    vault.answer()
    await launched(first, "a")
    first.scheduler.close()
    second = Household(folder, environ={"PATH": os.environ["PATH"]})
    await second.scheduler.acquire_run("r")
    await vault.until_asked(2)
    vault.answer("")
    await until(lambda: second.kinds()[-1] == "TaskHeld")
    assert "probe: secret A: cmd:" in str(second.journal()[-1])


@pytest.mark.parametrize(("once", "lookups"), [(True, 1), (False, 100)])
@in_a_loop
async def test_a_hundred_tasks_share_one_lookup(
    folder: StateDir, tmp_path: Path, once: bool, lookups: int
) -> None:
    asked = tmp_path / "asked"
    reference = cmd("sh", "-c", f"echo x >> {asked}; echo {VALUE}")
    names = [f"t{number}" for number in range(100)]
    tasks = (task(n, secrets={"A": reference}, secrets_once=once) for n in names)
    house = await owned(folder, a_workflow(*tasks), slots=10)
    for name in names:
        await launched(house, name)
        assert house.executor.orders[name].env["A"] == VALUE
        house.executor.end(name)
    assert asked.read_text().count("x") == lookups
    assert house.scheduler.state.runs == {}


@in_a_loop
async def test_what_was_not_found_is_looked_up_again_by_the_next_task(
    folder: StateDir, vault: Vault
) -> None:
    tasks = (
        task(name, secrets={name.upper(): vault.reference}, secrets_once=True)
        for name in "abc"
    )
    house = await owned(folder, a_workflow(*tasks), slots=2)
    await vault.until_asked()
    vault.answer("")
    await vault.until_asked(2)
    # Two tasks shared it, each with a name of its own for the secret.
    found = [reason[:11] for reason in reasons_of(house)]
    assert found == ["secret A: c", "secret B: c"]
    vault.answer()
    await launched(house, "c")


@pytest.mark.parametrize(("once", "second"), [(True, "old"), (False, "new")])
@in_a_loop
async def test_a_file_is_read_once_too(
    folder: StateDir, tmp_path: Path, once: bool, second: str
) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    how: Any = {"secrets": {"A": f"file:{file}"}, "secrets_once": once}
    house = await owned(folder, a_workflow(task("a", **how), task("b", ["a"], **how)))
    file.write_text("new")
    house.executor.end("a")
    values = [house.executor.orders[name].env["A"] for name in "ab"]
    assert values == ["old", second]


@pytest.mark.parametrize("lacking", [no_thread_free, no_descriptor_free])
@in_a_loop
async def test_a_shortage_of_the_machine_fails_no_task(
    folder: StateDir, lacking: Any
) -> None:
    clock = HandClock()
    reference = cmd("echo", VALUE)
    workflow = a_workflow(task("a"), task("b", ["a"], secrets={"S": reference}))
    house = await owned(folder, workflow, clock=clock)
    b = house.scheduler.state.runs["r"].tasks["b"]
    with lacking():
        house.executor.report(ended(house.executor.orders["a"].place))
        await until(lambda: b.shortage)
    assert (b.status, b.counted_attempts) == ("ready", 0)
    clock.time += 2
    await house.scheduler.acquire_queued()
    await launched(house, "b.2")
    assert house.executor.orders["b.2"].env["S"] == VALUE


def test_without_the_package_the_keyring_is_not_asked() -> None:
    child = Path(keyring_child.__file__)
    # Without site-packages there is none, whatever else is installed.
    command = [sys.executable, "-I", "-S", str(child), "service", "user"]
    done = subprocess.run(command, check=False, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (NO_PACKAGE, b"", b"")
