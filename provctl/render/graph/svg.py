"""The graph as SVG: stages from left to right, no script, no font, no network."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, List, Tuple

from provctl.render.graph.layout import COLOURS
from provctl.render.text import humanize

if TYPE_CHECKING:
    from provctl.render.graph.layout import Edge, GraphLayout, Node


_WIDE, _HIGH = 180, 44  # of a task, in pixels
_GAP_X, _GAP_Y = 60, 16
_MARGIN, _HEAD = 16, 40
_NAME_MAX = 24  # characters that fit


def as_svg(picture: GraphLayout) -> str:
    """Return the picture as one SVG element, standalone or for HTML."""
    columns = max((node.stage for node in picture.nodes), default=0) + 1
    rows = max((node.row for node in picture.nodes), default=0) + 1
    width = 2 * _MARGIN + columns * _WIDE + (columns - 1) * _GAP_X
    height = _HEAD + _MARGIN + rows * (_HIGH + _GAP_Y)
    title = escape(picture.title)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" role="img" font-family="sans-serif">',
        f"<title>{title}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{_MARGIN}" y="25" font-size="15" font-weight="bold">{title}</text>',
    ]
    lines += [_edge(edge, picture) for edge in picture.edges]
    lines += [_containment(node, picture) for node in picture.nodes]
    for node in picture.nodes:
        lines += _node(node)
    return "\n".join([line for line in lines if line] + ["</svg>"]) + "\n"


def _corner(node: Node) -> Tuple[int, int]:
    return (
        _MARGIN + node.stage * (_WIDE + _GAP_X),
        _HEAD + node.row * (_HIGH + _GAP_Y),
    )


def _node(node: Node) -> List[str]:
    x, y = _corner(node)
    fill, stroke = COLOURS[node.state]
    width = 3 if node.is_critical else 1
    dash = ' stroke-dasharray="6 3"' if node.is_group else ""
    name = node.name
    shown = name if len(name) <= _NAME_MAX else name[: _NAME_MAX - 1] + "…"
    note = " ".join(filter(None, (humanize(node.state), node.note)))
    return [
        f"<g><title>{escape(' '.join((node.id, note)).strip())}</title>",
        f'<rect x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="7" fill="{fill}"'
        f' stroke="{stroke}" stroke-width="{width}"{dash}/>',
        f'<text x="{x + 10}" y="{y + 19}" font-size="13">{escape(shown)}</text>',
        f'<text x="{x + 10}" y="{y + 35}" font-size="11" fill="{stroke}">'
        f"{escape(note)}</text></g>",
    ]


def _edge(edge: Edge, picture: GraphLayout) -> str:
    colour = "#0757b5" if edge.is_critical else "#8c959f"
    width = 3 if edge.is_critical else 1.2
    dash = "" if edge.on == "success" else "6 4"
    return _curve(
        picture.nodes[edge.start], picture.nodes[edge.end], colour, width, dash
    )


def _containment(node: Node, picture: GraphLayout) -> str:
    if node.parent is None:
        return ""
    return _curve(picture.nodes[node.parent], node, "#8c959f", 1, "1 4")


def _curve(start: Node, end: Node, colour: str, width: float, dash: str) -> str:
    x1, y1 = _corner(start)
    x2, y2 = _corner(end)
    x1, y1, y2 = x1 + _WIDE, y1 + _HIGH // 2, y2 + _HIGH // 2
    middle = (x1 + x2) // 2
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path d="M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}" fill="none"'
        f' stroke="{colour}" stroke-width="{width}"{dashes}/>'
    )
