"""A state directory is used only where owner, mode, disk and locks can be trusted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Sequence

import pytest

from provctl.errors import StateDirError
from provctl.storage.state_dir_checks import Mount, check_state_dir, current_mounts

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = (Mount("/", "ext4"),)


@pytest.fixture
def state(machine: Path) -> Path:
    path = machine / "state"
    path.mkdir(mode=0o700)
    return path


def check(path: Path, mounts: Sequence[Mount] = LOCAL) -> str:
    return check_state_dir(path, uid=os.geteuid(), mounts=mounts)


def test_a_good_one_is_left_as_it_was(state: Path) -> None:
    assert check(state).startswith(f"{state} (")
    assert list(state.iterdir()) == []


def test_one_that_can_be_created_is_not_created(state: Path) -> None:
    path = state / "a/b"
    assert check(path) == f"{path} (does not exist yet; it will be created)"
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_others_must_not_write(state: Path, mode: int) -> None:
    state.chmod(mode)
    with pytest.raises(StateDirError, match="other users can write to it") as caught:
        check(state)
    assert caught.value.hint == f"chmod 700 {state}"


def test_it_must_be_ours(state: Path) -> None:
    us = os.geteuid()
    with pytest.raises(StateDirError, match=f"belongs to user {us}, you are user 4321"):
        check_state_dir(state, uid=4321, mounts=LOCAL)


def test_it_must_be_a_directory(state: Path) -> None:
    file = state / "file"
    file.touch()
    with pytest.raises(StateDirError, match="is not a directory"):
        check(file)
    with pytest.raises(StateDirError, match=f"cannot be created: {file} is not"):
        check(file / "below")


def test_where_nothing_can_be_written(machine: Path) -> None:
    with pytest.raises(StateDirError, match="cannot be created in /proc: "):
        check(machine.__class__("/proc/provctl/state"))


def test_a_network_file_system_is_refused(state: Path) -> None:
    mounts = (*LOCAL, Mount(str(state.parent), "nfs4"))
    with pytest.raises(StateDirError, match=r"network file system \(nfs4\)"):
        check(state, mounts)


def test_only_the_mount_that_holds_it_counts(state: Path) -> None:
    nearer = Mount(str(state), "ext4")
    beside = Mount(f"{state}x", "nfs")
    above = Mount(str(state.parent), "nfs")
    assert check(state, (*LOCAL, above, nearer, beside))
    with pytest.raises(StateDirError, match="nfs"):
        check(state, (nearer, Mount(str(state), "nfs")))


def test_a_link_is_judged_by_where_it_leads(state: Path) -> None:
    link = state.parent / "link"
    link.symlink_to(state)
    with pytest.raises(StateDirError, match="cifs"):
        check(link, (*LOCAL, Mount(str(state), "cifs")))


def test_the_mounts_of_this_machine_are_read() -> None:
    # In a chroot the root is no mount, but this is one wherever mounts can be read.
    assert "/proc" in {mount.point for mount in current_mounts()}
