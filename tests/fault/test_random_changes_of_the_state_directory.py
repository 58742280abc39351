"""One random change is made to a file of a state directory while no process runs.

Files are swapped, truncated, replaced by links, FIFOs and older copies, given to
another account, and lose blocks. Nothing hangs, no wrong result is reported, no task
runs twice, and all other runs continue. `FAULT_SEEDS=200` is the long run.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Dict, FrozenSet, List, Tuple
from zlib import crc32

import pytest

from provctl.errors import ProvctlError
from provctl.runs.follow import Follower
from provctl.storage.layout import StateDir
from tests.support.fault_points import sweep
from tests.support.installed import Provctl
from tests.support.thresholds import bar

if TYPE_CHECKING:
    from pathlib import Path

_SEED = int(os.environ.get("FAULT_SEED", "0"))
_HANGS_S = 110.0
_QUEUED = {"PROVCTL_ORCHESTRATOR_AUTO_START": "false"}
_ANOTHER = 12345
_BLOCK = 512
_RUN_FILES = ("workflow.json", "journal.jsonl", "owner.lock", "attempts/0.1.go")
# What a list of files says nothing of, or only whether it is there.
_OTHERS = ("attempts/0.1.log", "attempts", "", "queue")
_KINDS = ("swap", "cut", "link", "hard link", "fifo", "older", "foreign", "zeros")
# With these it is no file of ours any more, and that is to be said.
_NOT_OURS = ("link", "hard link", "fifo", "foreign")


@dataclass(frozen=True)
class _End:
    """The result of a run: its outcome, and the outcome and exit code of each task."""

    outcome: str
    tasks: Dict[str, Tuple[Any, Any]]


@dataclass(frozen=True)
class _Template:
    """A state directory without processes; `older` has earlier copies of its files."""

    folder: Path
    runs: Dict[str, str]
    older: Dict[str, List[bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Seen:
    """What can be learnt about a state directory afterwards, by run ids.

    `told` are runs that some command reports as damaged, `held` those that wait for a
    decision. `ran` counts how often each task of each run was started.
    """

    ends: Dict[str, _End]
    told: FrozenSet[str]
    damaged: FrozenSet[str]
    held: FrozenSet[str]
    ran: Dict[str, int]


_ENDS = {
    "done": _End("succeeded", {"a": ("succeeded", 0)}),
    "failed": _End("failed", {"a": ("failed", 3)}),
    "well": _End("succeeded", {"a": ("succeeded", 0), "b": ("succeeded", 0)}),
    "badly": _End("failed", {"a": ("failed", 3), "b": ("skipped", None)}),
    "queued": _End("succeeded", {"a": ("succeeded", 0), "b": ("succeeded", 0)}),
}
_AT_REST = ("done", "failed")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> _Template:
    """Runs that finished, finished without an owner, and have not started."""
    folder = tmp_path_factory.mktemp("template")
    provctl = Provctl(folder)

    def file(code: int, *, waits: bool, follows: bool = True) -> Path:
        note = 'echo "$PROVCTL_RUN/$PROVCTL_TASK" >> "$PROVCTL_STATE_DIR/../ran"; '
        wait = 'until [ -e "$PROVCTL_STATE_DIR/../over" ]; do sleep 0.02; done; '
        text = note + "echo ready; " + (wait if waits else "") + f"exit {code}"
        tasks: Dict[str, Any] = {"a": {"command": ["sh", "-c", text]}}
        if follows:
            tasks["b"] = {"command": ["sh", "-c", note], "needs": ["a"]}
        return provctl.file(tasks)

    runs = {
        "done": provctl.submit(file(0, waits=False, follows=False)),
        "failed": provctl.submit(file(3, waits=False, follows=False)),
    }
    for run in runs.values():
        provctl("wait", run, code=None)
    for name, code in (("well", 0), ("badly", 3)):
        runs[name] = provctl.submit(file(code, waits=True))
        provctl.until_ready(runs[name])
    provctl.kill_scheduler()
    older = {
        run: [(provctl.state / "runs" / run / "attempts" / "0.1.go").read_bytes()]
        for run in (runs["well"], runs["badly"])
    }
    (folder / "over").touch()
    provctl.until(lambda: not provctl.processes(), "no process is left")
    runs["queued"] = provctl.submit(file(0, waits=False), env=_QUEUED)
    for socket in (folder / "state" / "scheduler").glob("*.sock"):
        socket.unlink()
    return _Template(folder, runs, older)


def _copied(template: _Template, provctl: Provctl) -> None:
    for name in ("ran", "over"):
        shutil.copy2(str(template.folder / name), str(provctl.folder / name))
    shutil.copytree(str(template.folder / "state"), str(provctl.state), symlinks=True)


class _Change:
    """One random change; `touched` are the names of the affected runs."""

    def __init__(self, template: _Template, dice: random.Random) -> None:
        self._template = template
        self._dice = dice
        self.kind = dice.choice(_KINDS if os.geteuid() == 0 else _KINDS[:6])
        name, other = dice.sample(sorted(_ENDS), 2)
        self.file = dice.choice((*_RUN_FILES * 2, *_OTHERS))
        if self.kind in ("cut", "older", "zeros"):
            self.file = dice.choice(_RUN_FILES)
        elif self.kind == "swap" and self.file in ("attempts/0.1.log", "queue"):
            self.file = "attempts/0.1.go"
        elif self.kind == "swap" and self.file == "attempts":
            self.file = ""  # without any trace of an attempt it never began
        elif self.kind == "hard link" and self.file in ("", "attempts"):
            self.kind = "link"
        self.touched = (name, other) if self.kind == "swap" else (name,)
        self.victims: List[Tuple[Path, bytes]] = []
        self.is_made = False

    def __repr__(self) -> str:
        return f"{self.kind} of {self.file or 'the folder'} of {self.touched}"

    def make(self, provctl: Provctl) -> None:
        """Make the change; a missing file cannot be changed, only replaced."""
        one, *others = (self._path(provctl, name) for name in self.touched)
        if not os.path.lexists(one) and self.kind in (
            "cut",
            "older",
            "zeros",
            "foreign",
        ):
            return
        changes: Dict[str, Callable[[], None]] = {
            "swap": lambda: _swap(one, *others),
            "cut": lambda: os.truncate(str(one), self._dice.randrange(_size(one) + 1)),
            "link": lambda: self._link(provctl, one),
            "hard link": lambda: self._hard_link(provctl, one),
            "fifo": lambda: self._fifo(one),
            "older": lambda: self._restore(one),
            "foreign": lambda: os.chown(str(one), _ANOTHER, _ANOTHER),
            "zeros": lambda: self._zeros(one),
        }
        changes[self.kind]()
        self.is_made = True

    def _path(self, provctl: Provctl, name: str) -> Path:
        run = self._template.runs[name]
        if self.file == "queue":
            return provctl.state / "queue" / run
        return provctl.state / "runs" / run / self.file

    def _link(self, provctl: Provctl, path: Path) -> None:
        """Make a link either to the moved file itself, or to something else."""
        victim = provctl.folder / "victim"
        if os.path.lexists(path) and self._dice.random() < 0.5:
            path.rename(victim)
        else:
            _take_away(path)
            victim.write_text("of somebody else")
        path.symlink_to(victim)
        self._remember(victim)

    def _hard_link(self, provctl: Provctl, path: Path) -> None:
        victim = provctl.folder / "victim"
        if not path.exists():
            path.touch()
        os.link(str(path), str(victim))
        self._remember(victim)

    def _remember(self, victim: Path) -> None:
        files = victim.rglob("*") if victim.is_dir() else [victim]
        self.victims = [(f, f.read_bytes()) for f in files if f.is_file()]

    def _fifo(self, path: Path) -> None:
        _take_away(path)
        os.mkfifo(str(path), 0o600)

    def _restore(self, path: Path) -> None:
        """Restore an older version: a prefix of a journal, a copy of other files."""
        if path.name == "journal.jsonl":
            lines = path.read_bytes().splitlines(keepends=True)
            path.write_bytes(b"".join(lines[: self._dice.randrange(1, len(lines) + 1)]))
        elif path.name == "0.1.go" and path.parents[1].name in self._template.older:
            path.write_bytes(self._template.older[path.parents[1].name][0])
        elif path.name == "owner.lock":
            path.write_bytes(b"")

    def _zeros(self, path: Path) -> None:
        size = _size(path)
        at = self._dice.randrange(max(size, 1)) // _BLOCK * _BLOCK
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes(min(_BLOCK, size - at)))


def _size(path: Path) -> int:
    return path.stat().st_size


def _take_away(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(str(path))
    elif os.path.lexists(path):
        path.unlink()


def _swap(one: Path, other: Path) -> None:
    aside = one.with_name(".aside")
    moves = [(one, aside), (other, one), (aside, other)]
    for here, there in moves:
        if os.path.lexists(here):
            here.rename(there)


def _go_on(provctl: Provctl, template: _Template, touched: Tuple[str, ...]) -> _Seen:
    """Start a scheduler, wait for all runs that can finish, and collect the results."""
    provctl("scheduler", "start", within_s=_HANGS_S)
    for name in set(_ENDS) - {*touched, *_AT_REST}:
        provctl("wait", template.runs[name], code=None, within_s=_HANGS_S)
    log = provctl.state / "scheduler" / "log"
    folder = StateDir(provctl.state)
    for name in touched:
        run = template.runs[name]
        queued = name not in _AT_REST

        def settled(run: str = run, queued: bool = queued) -> bool:
            said = f"run {run}: " in log.read_text(errors="replace")
            return said or not queued or _is_held(folder, run)

        provctl.until(settled, f"{name} ends, is held or refused", within_s=_HANGS_S)
    return _looked_at(provctl, template, log.read_text(errors="replace"))


def _looked_at(provctl: Provctl, template: _Template, log: str) -> _Seen:
    listed = provctl("ps", "-o", "json", within_s=_HANGS_S).json()
    checked = provctl("journal", "verify", "-o", "json", code=None, within_s=_HANGS_S)
    damaged = {row["id"] for row in checked.json() if row["verdict"] == "damaged"}
    told = {row["id"] for row in listed if row["status"] == "damaged"} | damaged
    words = ("succeeded", "failed", "cancelled")
    for run in template.runs.values():
        ends = [f"run {run}: {word}\n" for word in words]
        lines = [
            line for line in log.splitlines(keepends=True) if f"run {run}: " in line
        ]
        if any(not line.endswith(tuple(ends)) for line in lines):
            told.add(run)
    folder = StateDir(provctl.state)
    finished: Dict[str, _End] = {}
    held = set()
    for run in template.runs.values():
        if run in told:
            continue
        state = Follower(folder.run(run))
        state.read()
        tasks = {
            name: (t.outcome, t.result.exit_code) for name, t in state.run.tasks.items()
        }
        if state.run.outcome is not None:
            finished[run] = _End(state.run.outcome, tasks)
        elif any(task.status == "held" for task in state.run.tasks.values()):
            held.add(run)
    ran: Dict[str, int] = {}
    for line in (provctl.folder / "ran").read_text().split():
        ran[line] = ran.get(line, 0) + 1
    return _Seen(finished, frozenset(told), frozenset(damaged), frozenset(held), ran)


def _is_held(folder: StateDir, run: str) -> bool:
    try:
        follower = Follower(folder.run(run))
        follower.read()
    except ProvctlError:
        return False
    return any(task.status == "held" for task in follower.run.tasks.values())


def _judge(template: _Template, seen: _Seen, touched: Tuple[str, ...]) -> List[str]:
    """Everything that is wrong, in words; empty if all is as promised."""
    wrong = [
        f"{task} ran {count} times" for task, count in seen.ran.items() if count > 1
    ]
    for name, end in _ENDS.items():
        run = template.runs[name]
        found = seen.ends.get(run)
        if name not in touched and found != end:
            wrong.append(f"{name}: {found}, though nobody touched it")
        elif found is not None and found != end:
            wrong.append(f"{name}: {found}, which it was not, and nothing is said")
        unsaid = run not in seen.told and run not in seen.held
        if found is None and unsaid and name not in _AT_REST:
            wrong.append(f"{name}: does not go on, and nothing is said")
    return wrong


def _judge_change(change: _Change, template: _Template, seen: _Seen) -> List[str]:
    wrong = _judge(template, seen, change.touched)
    for victim, content in change.victims:
        if victim.read_bytes() != content:
            wrong.append(f"{victim}: what a link leads to was changed")
    runs = {template.runs[name] for name in change.touched}
    # Of a void fence with traces it is said that the attempt is lost.
    is_fence = change.kind == "link" and change.file == "attempts/0.1.go"
    is_not_ours = change.is_made and change.kind in _NOT_OURS
    if is_not_ours and change.file in _RUN_FILES and not is_fence:
        wrong += [f"{run}: verify says nothing" for run in runs - seen.damaged]
    return wrong


def test_random_change_affects_one_run_and_no_answer_is_wrong(
    template: _Template, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    def play(provctl: Provctl, seed: int) -> str:
        change = _Change(template, random.Random(seed))
        _copied(template, provctl)
        change.make(provctl)
        seen = _go_on(provctl, template, change.touched)
        wrong = _judge_change(change, template, seen)
        assert not wrong, f"{change}: {wrong}"
        provctl("scheduler", "stop")
        return change.kind

    seeds = range(_SEED, _SEED + bar("FAULT_SEEDS", 20))
    kinds = sweep(tmp_path, seeds, play)
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    figure(
        f"state directory: {len(kinds)} changes from seed {_SEED}: {counts}: 0 wrong"
    )


def test_control_unchanged_state_directory_has_no_faults(
    template: _Template, provctl: Provctl
) -> None:
    _copied(template, provctl)
    seen = _go_on(provctl, template, ())
    assert _judge(template, seen, ()) == []
    assert seen.told == seen.held == frozenset()


def test_control_exit_records_without_an_id_can_be_swapped(
    template: _Template, provctl: Provctl
) -> None:
    _copied(template, provctl)
    paths = [
        provctl.state / "runs" / template.runs[name] / "attempts" / "0.1.go"
        for name in ("well", "badly")
    ]
    for path in paths:
        path.write_bytes(_without_id(path.read_bytes()))
    _swap(*paths)
    wrong = _judge(template, _go_on(provctl, template, ("well", "badly")), tuple(_ENDS))
    assert any("which it was not" in what for what in wrong), wrong


def _without_id(raw: bytes) -> bytes:
    """The exit record as an old version wrote it, without an id."""
    record = json.loads(raw)
    del record["id"], record["crc"]
    body = json.dumps(record, separators=(",", ":"))[:-1].encode("ascii")
    return body + b',"crc":"%08x"}\n' % crc32(body)
