"""Slots of a state directory: who holds them, who is next, and dead owners."""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING, Dict, Iterator, List, Mapping

import pytest

from provctl.errors import StateDirError
from provctl.executors.local.slots import hold, release
from provctl.storage.slots import Slots, slot_holders

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="locks of open files are Linux's"
)

DB = "pool:db"


class Owners:
    """Owners of one folder, created when they are first named."""

    def __init__(self, folder: Path, sizes: Mapping[str, int]) -> None:
        self.folder = folder
        self._sizes = sizes
        self._owners: Dict[str, Slots] = {}

    def __getitem__(self, name: str) -> Slots:
        if name not in self._owners:
            self._owners[name] = Slots(self.folder, self._sizes)
        return self._owners[name]

    def take(self, name: str, task: str, **amounts: int) -> List[str]:
        """Let an owner take units of pools for a task; return the missing ones."""
        wanted = [("pool:" + pool, amount) for pool, amount in amounts.items()]
        return self[name].acquire(name, task, wanted)

    def waits(self, name: str, task: str, **amounts: int) -> List[str]:
        """The same, and the owner waits for the missing ones."""
        lacking = self.take(name, task, **amounts)
        self[name].settle()
        return lacking

    def close(self) -> None:
        for owner in self._owners.values():
            owner.close()


@pytest.fixture
def owners(tmp_path: Path) -> Iterator[Owners]:
    made = Owners(tmp_path / "slots", {DB: 3, "pool:a": 1, "pool:b": 1})
    yield made
    made.close()


def test_unit_of_one_owner_is_missing_for_others_until_released(
    owners: Owners,
) -> None:
    assert owners.take("x", "one", db=2) == []
    assert owners.take("y", "one", db=2) == [DB]
    assert owners.take("y", "one", db=1) == []
    owners["x"].release("x", "one")
    assert owners.take("y", "two", db=2) == []
    assert owners.take("x", "one", db=1) == [DB]


def test_units_are_taken_wherever_they_are_free(owners: Owners) -> None:
    for name, task in (("x", "one"), ("y", "one"), ("x", "two")):
        assert owners.take(name, task, db=1) == []
    owners["x"].forget("x")
    assert owners.take("y", "two", db=2) == []
    assert len(owners["y"].taken("y", "two")) == 2
    assert slot_holders(owners.folder, DB, 3) == {("y", "two"): 2, ("y", "one"): 1}


def test_task_gets_all_its_units_or_none(owners: Owners) -> None:
    assert owners.take("x", "one", b=1) == []
    assert owners.take("y", "one", a=1, b=1) == ["pool:b"]
    assert owners.take("x", "two", a=1) == []


def test_task_that_wants_more_than_the_capacity_gets_all(owners: Owners) -> None:
    assert owners.take("x", "one", db=9) == []
    assert owners.take("y", "one", db=1) == [DB]


def test_owners_may_configure_other_sizes_and_unlimited_pools(
    owners: Owners,
) -> None:
    assert owners.take("x", "one", db=3, unknown=7) == []
    larger = Slots(owners.folder, {DB: 4})
    assert larger.acquire("z", "one", [(DB, 2)]) == [DB]
    assert larger.acquire("z", "one", [(DB, 1)]) == []
    larger.close()


def test_first_waiter_is_not_overtaken(owners: Owners) -> None:
    assert owners.take("x", "one", db=1) == []
    assert owners.waits("y", "big", db=3) == [DB]
    # Two are free, but the first to wait needs them.
    assert owners.waits("x", "two", db=1) == [DB]
    owners["x"].release("x", "one")
    assert owners.waits("x", "two", db=1) == [DB]
    assert owners.waits("y", "big", db=3) == []
    owners["y"].release("y", "big")
    assert owners.waits("x", "two", db=1) == []


def test_former_waiter_does_not_block_others(owners: Owners) -> None:
    owners.take("x", "one", db=1)
    assert owners.waits("y", "big", db=3) == [DB]
    owners["y"].settle()
    assert owners.take("x", "two", db=1) == []


def test_owners_that_want_the_same_two_pools_do_not_deadlock(
    owners: Owners,
) -> None:
    owners.take("z", "has a", a=1)
    owners.take("z", "has b", b=1)
    assert owners.waits("x", "only b", b=1) == ["pool:b"]
    assert owners.waits("y", "only a", a=1) == ["pool:a"]
    # Each is first for one of them now; both want both.
    assert owners.waits("x", "both", b=1, a=1) == ["pool:a"]
    assert owners.waits("y", "both", a=1, b=1) == ["pool:a", "pool:b"]
    owners["z"].forget("z")
    left = {"x", "y"}
    for name in ("y", "x", "y", "x"):
        if name in left and owners.waits(name, "both", a=1, b=1) == []:
            owners[name].release(name, "both")
            left.remove(name)
    assert not left


def test_dead_owner_holds_nothing(owners: Owners) -> None:
    owners.take("x", "one", db=3)
    owners["x"].close()
    assert owners.take("y", "one", db=3) == []


def test_shim_keeps_the_slots_of_its_owner(owners: Owners) -> None:
    owners.take("x", "one", db=2)
    held = hold(list(owners["x"].taken("x", "one")))
    assert held is not None
    owners["x"].close()
    assert owners.take("y", "two", db=2) == [DB]
    assert slot_holders(owners.folder, DB, 3) == {("x", "one"): 2}
    release(held)
    assert owners.take("y", "two", db=2) == []


def test_shim_that_comes_after_its_owner_died_runs_nothing(owners: Owners) -> None:
    owners.take("x", "one", db=1)
    order = list(owners["x"].taken("x", "one"))
    owners["x"].close()
    assert owners.take("y", "two", db=3) == []
    assert hold(order) is None
    # Nor if nobody took it yet; and it is in nobody's way.
    owners["y"].release("y", "two")
    assert hold(order) is None
    assert owners.take("y", "two", db=3) == []


def test_long_names_and_many_units_use_little_space(owners: Owners) -> None:
    many = Slots(owners.folder, {"pool:memory": 1_000_000})
    for number in range(50):
        assert many.acquire("r", "t" * 400, [("pool:memory", 10_000)]) == []
        if number % 2:
            many.release("r", "t" * 400)
    assert (owners.folder / "pool.memory").stat().st_size < 2 << 20
    many.close()


def test_slot_files_are_private(owners: Owners) -> None:
    owners.take("x", "one", db=1)
    modes = [owners.folder, *owners.folder.iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in modes} == {0}


def test_unusable_slots_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "slots").write_text("")
    with pytest.raises(StateDirError, match="cannot lock the files in it"):
        Slots(tmp_path / "slots", {DB: 1})


def test_link_in_place_of_a_slot_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "slots").mkdir()
    (tmp_path / "slots" / "pool.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateDirError):
        Slots(tmp_path / "slots", {DB: 1})
    assert not (tmp_path / "elsewhere").exists()
