"""The single file unpacks itself once, completely, and removes old trees."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path
from typing import Callable, List

import pytest

from provctl import __version__
from tests.support.fresh_machine import check_namespaces
from tests.support.single_file import SingleFile, is_in_use
from tests.support.strace import (
    Point,
    failing,
    has_injected,
    killing,
    need_strace,
    under,
)

SAYS = f"provctl {__version__}\n"
LONG_AGO = 40 * 86400


@pytest.fixture
def single(single_file: Path, tmp_path: Path) -> SingleFile:
    return SingleFile(single_file, tmp_path / "cache")


def age(tree: Path) -> None:
    """Make a tree look as if it was not used for a long time."""
    now = (tree / "lock").stat()
    os.utime(tree / "lock", (now.st_atime - LONG_AGO, now.st_mtime))


def test_single_file_unpacks_once_and_privately(single: SingleFile) -> None:
    assert single() == SAYS
    tree = single.tree
    assert tree.name.startswith(f"{__version__}-")
    for folder, _, names in os.walk(single.cache):
        assert Path(folder).stat().st_mode & 0o777 == 0o700
        for name in names:
            assert (Path(folder) / name).stat().st_mode & 0o077 == 0
    before = tree.stat().st_ino
    assert single() == SAYS
    assert single.tree.stat().st_ino == before
    assert not list(tree.rglob("__pycache__/*.pyc.*")), "nothing is written there"


def test_parallel_starts_unpack_one_tree(single: SingleFile) -> None:
    started = [single.start("--version", under=[]) for _ in range(6)]
    assert [process.communicate(timeout=60)[0] for process in started] == [SAYS] * 6
    assert single.tree.is_dir()


@pytest.mark.parametrize(
    "point",
    [
        Point("mkdirat", 1, "the tree"),
        Point("openat", 10, "a file"),
        Point("openat", 3000, "a later file"),
        Point("pwrite64", 1, "the path of the linker"),
        Point("syncfs", 1, "the disk"),
        Point("renameat", 1, "into its place"),
    ],
    ids=str,
)
def test_killed_unpacking_leaves_no_incomplete_tree(
    single: SingleFile, tmp_path: Path, point: Point
) -> None:
    need_strace()
    log = tmp_path / "strace"
    with single.start("--version", under=under(log, killing(point))) as process:
        process.communicate(timeout=60)
    assert has_injected(log)
    assert all(tree.name.startswith(".new-") for tree in single.trees)
    # The next one finds a disk that fails, and says so.
    said = single(code=32, under=under(log, failing(point, "error=EIO")))
    assert has_injected(log)
    assert "Input/output error" in said
    assert not single.trees
    assert single() == SAYS
    assert single.tree.name.startswith(__version__)


def remove(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    os.truncate(file, 10)


def change(file: Path) -> None:
    text = file.read_bytes()
    file.write_bytes(bytes(byte ^ 1 for byte in text[:1]) + text[1:])


def link(file: Path) -> None:
    file.rename(file.with_name("away"))
    file.symlink_to("away")


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (remove, "lock"),
        (cut, "bin/python"),
        (change, "lib/python*/heapq.py"),
        (link, "lib/python*/heapq.py"),
    ],
)
def test_damaged_tree_is_replaced(
    single: SingleFile, damage: Callable[[Path], None], name: str
) -> None:
    single()
    before = single.tree.stat().st_ino
    (file,) = single.tree.glob(name)
    damage(file)
    assert single() == SAYS
    assert single.tree.stat().st_ino != before
    (file,) = single.tree.glob(name)
    assert not file.is_symlink()


def test_tree_that_others_can_write_to_is_not_used(single: SingleFile) -> None:
    single()
    before = single.tree.stat().st_ino
    single.tree.chmod(0o777)
    assert single() == SAYS
    assert single.tree.stat().st_ino != before
    single.folder.chmod(0o777)
    assert "others may write there" in single(code=32)
    single.folder.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(single.folder, 1234, 1234)
        assert "others may write there" in single(code=32)


def test_tree_that_others_can_replace_is_not_used(
    single: SingleFile,
) -> None:
    single()
    single.cache.chmod(0o1777)
    assert single() == SAYS, "it may be a /tmp"
    single.cache.chmod(0o777)
    assert f"{single.cache}: others may write there" in single(code=32)
    single.cache.chmod(0o755)
    above = single.folder.parent
    above.chmod(0o775)
    assert single() == SAYS, "a group is mostly of one"
    above.chmod(0o777)
    assert f"{above}: others may write there" in single(code=32)
    above.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(above, 1234, 1234)
        assert f"{above}: others may write there" in single(code=32)


def test_moved_cache_is_not_used(single: SingleFile) -> None:
    assert single() == SAYS
    moved = SingleFile(single.program, single.cache.with_name("moved"))
    single.cache.rename(moved.cache)
    # What starts the tree that is there is not where it was.
    assert moved() == SAYS
    assert len(moved.trees) == 2


def test_used_and_recent_trees_are_kept(single: SingleFile, tmp_path: Path) -> None:
    single()
    ours = single.tree
    other = single.other(tmp_path / "other")
    other()
    theirs = next(tree for tree in single.trees if tree != ours)
    age(ours)
    with (ours / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        (theirs / "bin" / "provctl").unlink()  # so that it unpacks, and tidies up
        assert other() == SAYS
        assert single.trees == sorted([ours, theirs]), "somebody runs from it"
    (theirs / "bin" / "provctl").unlink()
    single()  # a start makes it young again
    assert other() == SAYS
    assert single.trees == sorted([ours, theirs])
    age(ours)
    (theirs / "bin" / "provctl").unlink()
    assert other() == SAYS
    assert single.tree == theirs


def test_process_locks_the_tree_it_runs_from(single: SingleFile) -> None:
    single()
    code = "import time; print('up', flush=True); time.sleep(60)"
    python = [str(single.tree / "bin" / "python"), "-I", "-c", code]
    with subprocess.Popen(python, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert is_in_use(single.tree)
        process.kill()
    assert not is_in_use(single.tree)


def test_truncated_file_reports_that_it_is_incomplete(
    single: SingleFile, tmp_path: Path
) -> None:
    whole = single.program.read_bytes()
    copy = SingleFile(tmp_path / "copy", single.cache)
    copy.program.touch(0o755)
    copy.program.write_bytes(whole[: len(whole) // 2])
    assert "is not complete" in copy(code=32)
    sizes = range(len(whole) - 33, len(whole) - 16, 8)  # their last bytes
    for place in (len(whole) // 2, whole.index(b"\0f 0 lock\0") + 5, *sizes):
        flipped = bytes([whole[place] ^ 1])
        copy.program.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        assert "damaged\nhelp:  get the file provctl again" in copy(code=32)
        assert not single.trees
    copy.program.write_bytes(whole)
    assert copy() == SAYS
    assert single.tree.is_dir()


def on_a_disk(single: SingleFile, options: str) -> List[str]:
    check_namespaces()
    single.cache.mkdir(exist_ok=True)
    mount = f'mount -t tmpfs -o {options} tmpfs "$0" && exec "$@"'
    mapped = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *mapped, "sh", "-c", mount, str(single.cache)]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("mode=0700,size=20m", "No space left on device"),
        ("mode=0700,noexec", "Permission denied"),
        ("ro", "Read-only file system"),
    ],
)
def test_unusable_cache_is_reported(single: SingleFile, options: str, why: str) -> None:
    said = single(code=32, under=on_a_disk(single, options))
    assert why in said
    assert str(single.folder) in said
    assert "XDG_CACHE_HOME" in said
    # The control: on a disk that is good for it, it starts.
    assert single(under=on_a_disk(single, "mode=0700,size=300m")) == SAYS
