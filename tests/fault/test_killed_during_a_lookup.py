"""The owner is killed while it looks a secret up: the attempt starts once, with its value."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Dict, List

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Provctl

VALUE = "correct-horse-battery-staple"


def asking(provctl: Provctl, *, once: bool) -> Dict[str, Any]:
    """A task whose secret takes as long as there is no file `go`; it notes its start."""
    folder = provctl.folder
    lookup = (
        f"echo $$ >> {folder}/asked; until [ -e {folder}/go ]; do sleep 0.02; done;"
        f" echo {VALUE}"
    )
    return {
        "command": ["sh", "-c", f'echo "$TOKEN" >> {folder}/started'],
        "secrets": {"TOKEN": {"cmd": ["sh", "-c", lookup]}},
        "secrets_once": once,
    }


def asked(provctl: Provctl, times: int) -> List[int]:
    """Wait until there were so many lookups; return their processes."""
    file = provctl.folder / "asked"
    provctl.until(
        lambda: len(provctl.wait_for_text(file).split()) >= times, "it is asked"
    )
    return [int(pid) for pid in file.read_text().split()]


def start_it(provctl: Provctl) -> None:
    """Let the value be known, once the new owner has asked for it."""
    asked(provctl, 2)
    assert not (provctl.folder / "started").exists()
    (provctl.folder / "go").touch()


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("owner", ["scheduler", "foreground"])
def test_93_the_next_owner_looks_up_again_and_starts_once(
    provctl: Provctl, owner: str, *, once: bool
) -> None:
    file = provctl.file({"a": asking(provctl, once=once)})
    if owner == "scheduler":
        run = provctl.submit(file)
        asked(provctl, 1)
        provctl.kill_scheduler()
        provctl("scheduler", "start")
        start_it(provctl)
        provctl("wait", run)
    else:
        with provctl.start("run", file) as process:
            asked(provctl, 1)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
        (run,) = provctl.runs()
        assert provctl.task(run, "a")["attempts"] == 0
        with provctl.start("workflow", "resume", run) as process:
            start_it(provctl)
            process.communicate(timeout=60)
        assert process.returncode == 0
    assert (provctl.folder / "started").read_text() == f"{VALUE}\n"
    kinds = [record["type"] for record in provctl.journal(run)]
    assert kinds.count("attempt_started") == 1
    assert kinds.count("attempt_discarded") == 0
    assert kinds.count("owner_took") == 2
    assert len(asked(provctl, 2)) == 2
    assert VALUE not in (provctl.state / "runs" / run / "journal.jsonl").read_text()


def test_the_control_of_93_without_a_kill_there_is_one_lookup(provctl: Provctl) -> None:
    run = provctl.submit(provctl.file({"a": asking(provctl, once=False)}))
    asked(provctl, 1)
    (provctl.folder / "go").touch()
    provctl("wait", run)
    kinds = [record["type"] for record in provctl.journal(run)]
    assert (kinds.count("owner_took"), kinds.count("attempt_started")) == (1, 1)
    assert len(asked(provctl, 1)) == 1
