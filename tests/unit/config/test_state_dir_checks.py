"""A state directory is used only if its owner, mode, disk and locks can be trusted."""

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


def test_good_directory_is_accepted_and_unchanged(state: Path) -> None:
    assert check(state).startswith(f"{state} (")
    assert list(state.iterdir()) == []


def test_missing_directory_is_accepted_and_not_created(state: Path) -> None:
    path = state / "a/b"
    assert check(path) == f"{path} (does not exist yet; it will be created)"
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_directory_that_others_can_write_to_is_refused(state: Path, mode: int) -> None:
    state.chmod(mode)
    with pytest.raises(StateDirError, match="other users can write to it") as caught:
        check(state)
    assert caught.value.hint == f"chmod 700 {state}"


def test_directory_of_another_user_is_refused(state: Path) -> None:
    us = os.geteuid()
    with pytest.raises(StateDirError, match=f"belongs to user {us}, you are user 4321"):
        check_state_dir(state, uid=4321, mounts=LOCAL)


def test_file_is_refused_as_a_directory(state: Path) -> None:
    file = state / "file"
    file.touch()
    with pytest.raises(StateDirError, match="is not a directory"):
        check(file)
    with pytest.raises(StateDirError, match=f"cannot be created: {file} is not"):
        check(file / "below")


def test_uncreatable_directory_is_refused(machine: Path) -> None:
    with pytest.raises(StateDirError, match="cannot be created in /proc: "):
        check(machine.__class__("/proc/provctl/state"))


def test_network_file_system_is_refused(state: Path) -> None:
    mounts = (*LOCAL, Mount(str(state.parent), "nfs4"))
    with pytest.raises(StateDirError, match=r"network file system \(nfs4\)"):
        check(state, mounts)


def test_only_the_nearest_mount_counts(state: Path) -> None:
    nearer = Mount(str(state), "ext4")
    beside = Mount(f"{state}x", "nfs")
    above = Mount(str(state.parent), "nfs")
    assert check(state, (*LOCAL, above, nearer, beside))
    with pytest.raises(StateDirError, match="nfs"):
        check(state, (nearer, Mount(str(state), "nfs")))


def test_link_is_checked_by_its_target(state: Path) -> None:
    link = state.parent / "link"
    link.symlink_to(state)
    with pytest.raises(StateDirError, match="cifs"):
        check(link, (*LOCAL, Mount(str(state), "cifs")))


def test_mounts_of_this_machine_are_read() -> None:
    # In a chroot the root is no mount, but this is one wherever mounts can be read.
    assert "/proc" in {mount.point for mount in current_mounts()}
