"""The report of a run: one HTML file, with everything in it and no script."""

from __future__ import annotations

from typing import Sequence, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.base.text import visible
from provctl.render.graph.layout import COLOURS


@light_dataclass
class AttemptRow:
    """One attempt, as shown."""

    task: str
    attempt: str
    outcome: str
    state: str
    began: str
    took: str
    cpu: str
    memory: str
    read: str
    written: str
    why: str
    critical: bool
    slack: str


@light_dataclass
class Failure:
    """A task that failed, and the end of its log."""

    task: str
    why: str
    log: str


@light_dataclass
class Report:
    """The content of a report. `graph` and `chart` are SVG; all else is text.

    `program` is the prefix of commands in hints.
    """

    program: str
    name: str
    run: str
    outcome: str
    state: str
    version: str
    facts: Sequence[Tuple[str, str]]
    graph: str
    chart: str
    failures: Sequence[Failure]
    attempts: Sequence[AttemptRow]


def as_html(report: Report) -> str:
    """Return the page. All texts are escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("provctl", "render"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    template = environment.get_template("report.html")
    return visible(template.render(colours=COLOURS, **vars(report)))
