"""A lock has one named holder, and ends with its process whatever the file contains."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import List, Optional

import pytest

from provctl.base.flock import is_locked
from provctl.errors import StateDirError
from provctl.storage.lock import Lock, LockOwner, boot_id, lock_owner

HOLDER = LockOwner("scheduler", 4242, "5320a08b", "/run/x.sock", 1000.0, "0.1.0")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "owner.lock"


def taken(path: Path) -> Lock:
    lock = Lock.acquire(path)
    assert lock is not None
    return lock


def test_lock_has_one_holder(path: Path) -> None:
    assert not is_locked(path)
    first = taken(path)
    assert is_locked(path)
    assert Lock.acquire(path) is None
    first.release()
    assert not is_locked(path)
    taken(path).release()
    assert path.exists()


def test_checking_a_lock_does_not_block_taking_it(path: Path) -> None:
    path.touch()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            is_locked(path)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(200):
            taken(path).release()
    finally:
        done.set()
        looker.join()


def test_long_check_is_not_mistaken_for_a_holder(path: Path) -> None:
    path.touch()
    with path.open() as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        got: List[Optional[Lock]] = []
        taker = threading.Thread(target=lambda: got.append(Lock.acquire(path)))
        taker.start()
        taker.join(0.3)  # longer than a holder is waited for
        assert got == []
    taker.join(10)
    (lock,) = got
    assert lock is not None
    lock.release()


def test_child_of_a_dead_holder_is_not_mistaken_for_a_holder(path: Path) -> None:
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from provctl.storage.lock import Lock, LockOwner\n"
        "lock = Lock.acquire(Path(sys.argv[1]))\n"
        "lock.describe(LockOwner('scheduler', os.getpid(), '', '', 0.0))\n"
        "if os.fork() == 0:\n"
        "    print('forked', flush=True)\n"
        "    time.sleep(0.5)\n"
        "    os._exit(0)\n"
        "time.sleep(60)\n"
    )
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert Lock.acquire(path) is None  # the control: it lives
        holder.kill()
        holder.wait()
        assert is_locked(path)
        taken(path).release()


def test_waiter_gets_the_lock_after_the_holder(path: Path) -> None:
    first = taken(path)
    got = []
    waiter = threading.Thread(target=lambda: got.append(Lock.wait(path)))
    waiter.start()
    assert got == []
    first.release()
    waiter.join(10)
    assert is_locked(path)
    got[0].release()


def test_holder_is_described_in_the_file(path: Path) -> None:
    lock = taken(path)
    assert lock_owner(path) is None
    lock.describe(LockOwner("scheduler" * 9, 1, "", "", 0.0))
    lock.describe(HOLDER)
    assert lock_owner(path) == HOLDER
    lock.release()
    # The file still says so, but it is only a file.
    assert "4242" in path.read_text()
    assert lock_owner(path) is None


@pytest.mark.parametrize("text", ["", "4242", "{", '{"pid": 1}', "[1]", '{"x": 1}'])
def test_file_without_a_description_names_no_holder(path: Path, text: str) -> None:
    path.write_text(text)
    lock = taken(path)
    assert lock_owner(path) is None
    lock.release()


def test_lock_ends_with_its_process_although_children_live(path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "from pathlib import Path\n"
        "from provctl.storage.lock import Lock\n"
        "lock = Lock.acquire(Path(sys.argv[1]))\n"
        "child = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL,"
        " close_fds=False)\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.readline()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    with holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            assert is_locked(path)
            holder.kill()
            holder.wait()
            assert not is_locked(path)
        finally:
            os.kill(child, 9)


def test_lock_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StateDirError, match="No such file or directory"):
        Lock.acquire(tmp_path / "none" / "owner.lock")
    assert not is_locked(tmp_path / "none" / "owner.lock")


def test_boot_id_is_stable() -> None:
    assert boot_id() == boot_id() != ""


def test_failpoint_replaces_the_boot_id(monkeypatch: pytest.MonkeyPatch) -> None:
    this_boot = boot_id()
    monkeypatch.setenv("PROVCTL_FAILPOINT_BOOT_ID", "another")
    assert boot_id() == "another"
    monkeypatch.delenv("PROVCTL_FAILPOINT_BOOT_ID")
    assert boot_id() == this_boot
