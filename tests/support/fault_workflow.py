"""A run of three tasks for fault tests, and the check that it ran just once.

The tasks are a chain; each writes its name into a file, and has its own exit code.
Whatever disturbed the run, it is brought back as a user would do it. Then the
submission is absent or complete, each task ran once, and exit codes are true.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Dict, Sequence, Tuple

from tests.support.installed import Done, Provctl
from tests.support.strace import TRACING, under

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CODES",
    "account",
    "chain",
    "check_whole",
    "is_queued",
    "queued",
    "serve",
    "told",
    "trace",
]

CODES = {"a": 0, "b": 7, "c": 3}
_FAILED = 10  # the exit code of a run of which a task failed


def account(folder: Path) -> Provctl:
    """Create an account in its own folder."""
    folder.mkdir(parents=True)
    return Provctl(folder)


def chain(provctl: Provctl) -> Path:
    """Three tasks in a chain; each writes its name and has its exit code."""
    tasks: Dict[str, Dict[str, Any]] = {}
    for name, code in CODES.items():
        script = f'echo "$PROVCTL_TASK" >> "{provctl.folder}/ran"; exit {code}'
        needs = [{"task": before, "on": "done"} for before in list(tasks)[-1:]]
        tasks[name] = {"command": ["sh", "-c", script], "needs": needs}
    return provctl.file(tasks)


def trace(tmp_path: Path, *verb: object) -> Path:
    """The system calls of an undisturbed command, in an account like the others."""
    log = tmp_path / "trace"
    for name in ("warm", "traced"):  # the first one may have to write .pyc files
        provctl = account(tmp_path / "points" / name)
        provctl(*verb, chain(provctl), code=None, under=under(log, TRACING))
        provctl.kill_everything()
    return log


def check_whole(provctl: Provctl, done: Done) -> None:
    """Bring back the only possible run; all of it must be as reported."""
    found = provctl.runs()
    if "submitted: " in done.out:
        assert found == [done.last_word], f"lost: {done.out} {found}"
    assert len(found) <= 1, found
    (provctl.folder / "ran").touch()
    for run in found:
        if is_queued(provctl, run):
            provctl("wait", run, code=_FAILED)
        else:
            again = provctl("workflow", "resume", run, code=None)
            assert again.code in (_FAILED, 41), again
        now = provctl.status(run)
        assert (now["status"], now["outcome"]) == ("finished", "failed")
        assert {t["id"]: t["exit_code"] for t in now["tasks"]} == CODES
        # With its exit code known, each has had one attempt that began.
        kinds = Counter(record["type"] for record in provctl.journal(run))
        assert kinds["attempt_finished"] == len(CODES), kinds
    ran = Counter((provctl.folder / "ran").read_text().split())
    assert max(ran.values(), default=1) == 1, f"twice: {ran}"
    assert sorted(ran) == (sorted(CODES) if found else [])


def is_queued(provctl: Provctl, run: str) -> bool:
    """Whether the scheduler still has the run in its queue."""
    return (provctl.state / "queue" / run).exists()


def told(
    what: str, points: Sequence[object], every: Sequence[object], ends: Dict[str, int]
) -> str:
    """Return a line about how often something was done, and its results."""
    what_came = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
    return f"{what} at {len(points)} of {len(every)} system calls: {what_came}; 0 wrong"


def serve(provctl: Provctl, beneath: Sequence[str]) -> Tuple[Done, int]:
    """Run a scheduler until a run finishes, then stop it, if it lives so long.

    The scheduler may also release the run with a message.
    """
    submitted = queued(provctl)
    run, said = submitted.last_word, provctl.folder / "said"
    verb = ("scheduler", "serve", "--ready-fd", 1)
    with said.open("wb") as err:
        process = provctl.start(*verb, under=beneath, stdout=err, stderr=err)
        provctl.until(
            lambda: (
                process.poll() is not None
                or not is_queued(provctl, run)
                or _keeps_its_marker(provctl, run)
                or f"run {run}: " in said.read_text()
            ),
            "it is killed, or the run is over",
        )
        provctl("scheduler", "stop", code=None)
        provctl.until(lambda: process.poll() is not None, "it is killed or stopped")
    assert "Traceback" not in said.read_text(), said.read_text()
    return submitted, process.returncode


def _keeps_its_marker(provctl: Provctl, run: str) -> bool:
    """Whether a run finished two seconds ago, but its marker cannot be removed."""
    journal = provctl.state / "runs" / run / "journal.jsonl"
    age_s = time.time() - journal.stat().st_mtime  # noqa: TID251
    return age_s > 2 and b'"type":"run_finished"' in journal.read_bytes()


def queued(provctl: Provctl) -> Done:
    """A submitted run that no scheduler has acquired."""
    none = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
    return provctl("workflow", "submit", chain(provctl), env=none)
