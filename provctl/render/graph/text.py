"""The graph as text, for mermaid, and for Graphviz's dot.

Names are data in all formats: special characters are escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Optional

from provctl.render.graph.layout import COLOURS
from provctl.render.text import humanize

if TYPE_CHECKING:
    from provctl.render.graph.layout import Edge, GraphLayout, Node


def as_text(picture: GraphLayout) -> str:
    """Return the tasks by stage with their dependencies; * is on the critical path."""
    needs: Dict[int, List[str]] = {}
    for edge in picture.edges:
        on = "" if edge.on == "success" else f" ({edge.on})"
        name = picture.nodes[edge.start].id
        needs.setdefault(edge.end, []).append(name + on)
    lines = [picture.title]
    shown = -1
    for node in sorted(picture.nodes, key=lambda node: (node.stage, node.row)):
        number = f"{node.stage + 1:>3}" if node.stage != shown else "   "
        shown = node.stage
        mark = "*" if node.is_critical else " "
        state = f"  {humanize(node.state)}" if node.state else ""
        note = f" {node.note}" if node.note else ""
        kind = " (workflow)" if node.is_group else ""
        after = f"  <- {', '.join(needs[node.index])}" if node.index in needs else ""
        lines.append(f"{number} {mark} {node.id}{kind}{state}{note}{after}")
    return "\n".join(lines) + "\n"


def as_mermaid(picture: GraphLayout) -> str:
    """Return a mermaid flowchart, as GitHub and GitLab draw it."""
    lines = ["flowchart LR"]
    lines += _mermaid_nodes(picture)
    for edge in picture.edges:
        lines.append(f"  n{edge.start} {_mermaid_arrow(edge)} n{edge.end}")
    for state, (fill, stroke) in COLOURS.items():
        if any(node.state == state for node in picture.nodes):
            name = state or "open"
            lines.append(f"  classDef {name} fill:{fill},stroke:{stroke},color:#1f2328")
    lines.append("  classDef critical stroke-width:3px")
    return "\n".join(lines) + "\n"


def _mermaid_nodes(picture: GraphLayout) -> List[str]:
    """The nodes, those of a nested workflow inside its own box; without recursion."""
    inside: Dict[Optional[int], List[Node]] = {}
    for each in picture.nodes:
        inside.setdefault(each.parent, []).append(each)
    lines: List[str] = []
    stack = [iter(inside.get(None, ()))]
    while stack:
        indent = "  " * len(stack)
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
            if stack:
                lines.append("  " * len(stack) + "end")
        elif node.is_group:
            lines.append(f'{indent}subgraph n{node.index}["{_mermaid_label(node)}"]')
            stack.append(iter(inside.get(node.index, ())))
        else:
            label, state = _mermaid_label(node), node.state or "open"
            lines.append(f'{indent}n{node.index}["{label}"]:::{state}')
            if node.is_critical:
                lines.append(f"{indent}class n{node.index} critical")
    return lines


def _mermaid_label(node: Node) -> str:
    text = node.name + (f"<br>{node.note}" if node.note else "")
    return text.replace("#", "#35;").replace('"', "#quot;")


def _mermaid_arrow(edge: Edge) -> str:
    if edge.on != "success":
        return f"-. {edge.on} .->"
    return "==>" if edge.is_critical else "-->"


def as_dot(picture: GraphLayout) -> str:
    """Return a digraph for Graphviz."""
    lines = [
        f"digraph {_dot_text(picture.title)} {{",
        "  rankdir=LR; compound=true;",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif"];',
    ]
    for node in picture.nodes:
        fill, stroke = COLOURS[node.state]
        width = 3 if node.is_critical else 1
        label = node.id + (f"\n{node.note}" if node.note else "")
        shape = ", shape=box3d" if node.is_group else ""
        lines.append(
            f"  n{node.index} [label={_dot_text(label)}, fillcolor={_dot_text(fill)},"
            f" color={_dot_text(stroke)}, penwidth={width}{shape}];"
        )
        if node.parent is not None:
            lines.append(
                f"  n{node.parent} -> n{node.index} [style=dotted, arrowhead=none];"
            )
    for edge in picture.edges:
        width = 3 if edge.is_critical else 1
        style = "" if edge.on == "success" else f", style=dashed, label={edge.on}"
        lines.append(f"  n{edge.start} -> n{edge.end} [penwidth={width}{style}];")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
