"""The graph as text, mermaid, dot and SVG; names are never markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Callable, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.engine.view import TaskView
from provctl.render.graph.layout import GraphLayout, graph_layout
from provctl.render.graph.svg import as_svg
from provctl.render.graph.text import as_dot, as_mermaid, as_text
from tests.support.workflows import a_workflow, group, task

DRAW: Dict[str, Callable[[GraphLayout], str]] = {
    "txt": as_text,
    "mmd": as_mermaid,
    "dot": as_dot,
    "svg": as_svg,
}


def the_picture() -> GraphLayout:
    workflow = a_workflow(
        task("image"),
        group("cluster", ["image"]),
        task("cluster/etcd"),
        task("cluster/api", ["cluster/etcd"]),
        task("apps", ["cluster"]),
        task("page", [("apps", "failure"), ("image", "done")]),
    )
    seen = {
        "image": TaskView("image", "finished", "succeeded"),
        "cluster": TaskView("cluster", "running"),
        "cluster/etcd": TaskView("cluster/etcd", "finished", "failed"),
        "page": TaskView("page", "held"),
    }
    path = ["image", "cluster/etcd", "cluster/api", "apps"]
    return graph_layout("deploy", workflow.tasks, seen, path, {"image": "12s"})


@pytest.mark.parametrize("form", DRAW)
def test_graph_matches_its_golden_file_in_every_format(
    form: str, golden: Callable[[str, str], None]
) -> None:
    golden(f"ui/graph.{form}", DRAW[form](the_picture()))


def test_critical_path_goes_through_the_group() -> None:
    drawn = the_picture()
    names = [node.id for node in drawn.nodes]
    thick = {(names[e.start], names[e.end]) for e in drawn.edges if e.is_critical}
    assert thick == {
        ("image", "cluster"),
        ("cluster/etcd", "cluster/api"),
        ("cluster", "apps"),
    }


def test_empty_graph_is_drawn() -> None:
    empty = graph_layout("empty", (), {}, (), {})
    for draw in DRAW.values():
        assert draw(empty)


@given(st.text(max_size=30), st.text(max_size=10))
def test_names_and_notes_are_no_markup(title: str, note: str) -> None:
    drawn = graph_layout(title, a_workflow(task("a")).tasks, {}, ["a"], {"a": note})
    root = ET.fromstring(as_svg(drawn))  # our own
    inside = {each.tag.rpartition("}")[2] for each in root.iter()}
    assert inside == {"svg", "title", "rect", "text", "g"}
    # One statement a line, whatever is in them.
    assert len(as_dot(drawn).splitlines()) == 5
    assert len(as_mermaid(drawn).splitlines()) == 5
    assert re.search(r'label="(?:[^"\\]|\\.)*"', as_dot(drawn))
