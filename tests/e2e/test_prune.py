"""`provctl prune` removes old runs; at a terminal it lists them and asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.installed import Provctl

TRUE = {"a": {"command": ["true"]}}


def test_prune_asks_at_a_terminal(provctl: Provctl) -> None:
    run = provctl("run", provctl.file(TRUE), "-o", "json").json()["id"]
    with provctl.terminal("prune", "--keep", "0") as terminal:
        terminal.read_until("remove 1 run? [y/N]")
        assert run in terminal.plain
        terminal.press("n\n")
        assert terminal.wait() == 130
    assert "nothing was done" in terminal.plain
    assert run in provctl("ps", "-o", "name").out
    with provctl.terminal("prune", "--keep", "0", "-y") as terminal:
        assert terminal.wait() == 0
    assert "removed 1 run" in terminal.plain
    assert provctl("ps", "-o", "name").out == ""


def test_prune_does_not_ask_in_a_pipe(provctl: Provctl) -> None:
    run = provctl("run", provctl.file(TRUE), "-o", "json").json()["id"]
    done = provctl("prune", "--keep", "0", "-o", "name", code=2)
    assert done.out == ""
    assert run in done.err
    assert run in provctl("ps", "-o", "name").out
    done = provctl("prune", "--keep", "0", "-o", "name", "--yes")
    assert done.out == f"{run}\n"
    assert "removed 1 run" in done.err
