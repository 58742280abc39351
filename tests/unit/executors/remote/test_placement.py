"""Which nodes a task may run on, and what of them is left."""

from __future__ import annotations

import pytest

from provctl.config.settings import Executor, Settings
from provctl.core.model.workflow import ANYWHERE, Placement
from provctl.executors.remote.node_config import NodeConfig
from provctl.executors.remote.room import Room, satisfies
from provctl.runs.nodes import clock_problem, place_problem

CONFIG = NodeConfig("web1", "web1", 4, cpus=2.0, memory=100, labels=("eu", "edge"))
FITS = [
    ANYWHERE,
    Placement("web1"),
    Placement(labels=("eu",)),
    Placement("web1", ("edge", "eu"), 2.0, 100),
]
FITS_NOT = [
    Placement("web2"),
    Placement(labels=("eu", "us")),
    Placement(cpus=2.5),
    Placement(memory=101),
    Placement(gpus=1),
]


@pytest.mark.parametrize("wanted", FITS)
def test_a_node_that_has_all_of_it_fits(wanted: Placement) -> None:
    assert satisfies(CONFIG, wanted)


@pytest.mark.parametrize("wanted", FITS_NOT)
def test_a_node_that_lacks_something_does_not(wanted: Placement) -> None:
    assert not satisfies(CONFIG, wanted)


def test_what_is_taken_is_not_left() -> None:
    room, half = Room(CONFIG), Placement(cpus=1.0, memory=60)
    room.take(half)
    assert not room.has(half)
    assert room.has(Placement(cpus=1.0, memory=40))
    room.take(half, -1)
    assert room.has(Placement(cpus=2.0, memory=100))


def test_a_node_without_limits_has_room_for_all_but_cards() -> None:
    room = Room(NodeConfig("n", "n"))
    room.take(Placement(cpus=1000.0, memory=1 << 50))
    assert room.has(Placement(cpus=1000.0, memory=1 << 50))
    assert not room.has(Placement(gpus=1))


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Placement("local"), ""),
        (ANYWHERE, ""),
        (Placement("web1", cpus=2.0), ""),
        (Placement("web9"), "no node web9 is configured"),
        (Placement("web1", cpus=3.0), "node web1 is not as the task wants it"),
        (Placement(labels=("us",)), "no node is as the task wants it"),
    ],
)
def test_a_place_that_no_node_has_is_said(wanted: Placement, why: str) -> None:
    nodes = {"web1": {"ssh": "web1", "cpus": 2.0}}
    settings = Settings(executor=Executor(kind="ssh"), nodes=nodes)
    found = place_problem(settings, wanted)
    assert found.startswith(why)
    assert bool(found) == bool(why)
    if wanted.node != "local":
        assert "executor.kind" in place_problem(Settings(), wanted)


def test_the_command_of_a_node_reaches_its_shell_as_words() -> None:
    config = NodeConfig("n", "me@n", program="/opt/my tools/provctl", cwd="/srv/a b")
    *_, host, line = config.command
    assert host == "me@n"
    assert line == "'/opt/my tools/provctl' node agent --cwd '/srv/a b'"
    assert "BatchMode=yes" in config.command


@pytest.mark.parametrize(
    ("ahead_s", "says"), [(0, None), (59, None), (90, "ahead"), (-90, "behind")]
)
def test_a_clock_that_is_far_off_is_said(ahead_s: float, says: object) -> None:
    found = clock_problem({"now": 1000.0 + ahead_s}, 1000.0)
    assert found is None if says is None else str(says) in str(found)
