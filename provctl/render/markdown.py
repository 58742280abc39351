"""Markdown for GitHub and GitLab. Texts are data: markup in them is escaped."""

from __future__ import annotations

import re
from typing import List, Optional, Sequence

from provctl.base.light_dataclass import light_dataclass
from provctl.render.text import sanitize

_MARKS = re.compile(r"[^\w\s.,;()/+-]|_", re.ASCII)
_NAME_MAX = 200
_TEXT_MAX = 4000
_LEFT_OUT = "\nThe rest is omitted: the size limit is reached.\n"


@light_dataclass
class TaskRow:
    """One task, as shown."""

    task: str
    outcome: str
    attempts: int
    took: str
    cpu: str
    memory: str
    why: str
    good: bool


def as_markdown(parts: Sequence[str], most: int) -> str:
    """Join as many parts as fit into `most` bytes of UTF-8."""
    kept: List[str] = []
    room = most - len(_LEFT_OUT) - 1
    if room < 0:
        return ""
    for part in filter(None, parts):
        room -= len(part.encode("utf-8")) + 1
        if room < 0:
            kept.append(_LEFT_OUT)
            break
        kept.append(part)
    return "\n".join(kept)


def escaped(words: str, limit: int = _NAME_MAX) -> str:
    """Escape text for Markdown and HTML."""
    shown = sanitize(words, limit=limit)
    return _MARKS.sub(lambda mark: _entity(mark.group()), shown)


def _entity(mark: str) -> str:
    return mark if ord(mark) > 127 else f"&#{ord(mark)};"


def heading(words: str, *, good: Optional[bool]) -> str:
    """A heading with a mark for success or failure; None: not known yet."""
    return f"## {_sign(good=good)} {escaped(words)}\n"


def text(words: str) -> str:
    """A paragraph, "" for none."""
    return f"{escaped(words, _TEXT_MAX)}\n" if words else ""


def command(words: str) -> str:
    """A paragraph that ends in a command: `description: command`."""
    what, _, line = words.partition(": ")
    return f"{escaped(what)}: <code>{escaped(line, len(line))}</code>\n"


def table(rows: Sequence[TaskRow], unreported: int) -> str:
    """A table with a row for each task; `unreported` is the number of other tasks."""
    lines = [
        "| | Task | Outcome | Attempts | Duration | CPU | Memory | Reason |",
        "|---|---|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        cells = [row.task, row.outcome, str(row.attempts or ""), row.took, row.cpu]
        cells = [*map(escaped, [*cells, row.memory, row.why])]
        sign = _sign(good=False) if not row.good else ""
        lines.append(f"| {' | '.join([sign, *cells])} |")
    if unreported > 0:
        lines += ["", f"And {unreported} more."]
    return "\n".join(lines) + "\n"


def fenced(language: str, lines: Sequence[str]) -> str:
    """A code block that no line in it can end."""
    longest = max(
        (len(run) for line in lines for run in re.findall("`+", line)), default=0
    )
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *lines, fence]) + "\n"


def log(title: str, lines: Sequence[str]) -> str:
    """A log under its title, foldable and initially open."""
    body = fenced("text", lines) if lines else ""
    summary = f"<summary>{_sign(good=False)} {escaped(title)}</summary>"
    return f"<details open>{summary}\n\n{body}\n</details>\n"


def _sign(*, good: Optional[bool]) -> str:
    if good is None:
        return "\N{HOURGLASS WITH FLOWING SAND}"
    return "\N{WHITE HEAVY CHECK MARK}" if good else "\N{CROSS MARK}"
