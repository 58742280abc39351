"""Catalogue group D, 42 to 44, many times: process trees that resist their end.

    FAULT_TREES=1000 bash tests/run tests/fault/test_d_hostile_trees.py -s

is the long run; FAULT_SEED makes other trees.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, List

from tests.support.hostile_trees import HostileTree
from tests.support.thresholds import bar

if TYPE_CHECKING:
    import pytest

    from provctl.executors.protocol import AttemptRef
    from tests.support.attempts import Bench

_AT_ONCE = 10


def test_42_no_process_of_a_hostile_tree_survives_its_cancel(bench: Bench) -> None:
    seed, amount = bar("FAULT_SEED", 42), bar("FAULT_TREES", 50)
    dice = Random(seed)
    left: List[int] = []
    swept = 0
    for begin in range(0, amount, _AT_ONCE):
        trees = [_tree(dice, bench) for _ in range(min(_AT_ONCE, amount - begin))]
        ends = _grow_and_cancel(bench, dice, trees)
        swept += sum(end.result.survivors for end in ends)
        left += _survivors(trees)
    print(f"seed {seed}: {amount} trees, {swept} processes swept, left: {len(left)}")  # noqa: T201
    assert swept > amount / 2, "the trees are not hostile"
    assert left == []


def test_42_control_processes_survive_without_the_sweep(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVCTL_FAILPOINT_NO_SWEEP", "1")
    bench.change_owner()
    dice = Random(1)
    trees = [_tree(dice, bench) for _ in range(_AT_ONCE)]
    try:
        _grow_and_cancel(bench, dice, trees)
        assert _survivors(trees)
    finally:
        for tree in trees:
            tree.kill()


def _tree(dice: Random, bench: Bench) -> HostileTree:
    return HostileTree(dice, bench.folder)


def _grow_and_cancel(bench: Bench, dice: Random, trees: List[HostileTree]) -> List[Any]:
    places = [
        bench.launch(
            "sh",
            str(tree.root),
            grace_s=dice.choice((0.1, 0.3)),
            timeout_s=dice.choice((0.3, 60.0)),
        )
        for tree in trees
    ]
    for place in places:  # a time limit of 0.3 s may be over before it is ready
        bench.until(partial(_is_grown, bench, place), f"{place.name} is grown")
    bench.work(dice.random() / 5)
    for place in places:
        if place.task not in bench.reports:
            how = dice.random()
            if how < 0.3:
                bench.freeze(place)
            bench.stop(place, now=how > 0.8)
    return [bench.end_of(place) for place in places]


def _is_grown(bench: Bench, place: AttemptRef) -> bool:
    return "ready" in bench.log(place) or place.task in bench.reports


def _survivors(trees: List[HostileTree]) -> List[int]:
    return [pid for tree in trees for pid in tree.survivors()]
