"""The message of an error report of Nushell, without the drawing around it."""

from __future__ import annotations

import re
from typing import List, NamedTuple, Sequence

# A report begins with its code, `Error: nu::shell::io::file_not_found`. Then come the
# message, after a cross, the lines of code with labels below them, in a box, and the
# help. Without a terminal the drawing is made of ASCII.
_BEGIN = re.compile(r"Error: \S*$")
_MESSAGE = re.compile(r"  [x\u00d7] (.+)")
_BOX = re.compile(r"\s*(?:,-|╭─)\[(.*?)(?::(\d+):\d+)?\]$")
_BOX_END = re.compile(r"\s*(?:`-{2,}|╰─{2,})$")
_CODE = re.compile(r"\s*(\d+) [|│] ")
_OPENED = "opens here"  # the label of an unclosed bracket, reported at its end
_LABEL = re.compile(r"\s*[:·].*?[`|╰├](?:-{2,}|─{2,}) (.+)")
_HELP = re.compile(r"  help: (.+)")
_MORE = re.compile(r" {4,}(?:[|│] )?(\S.*)")  # a further line of a message or a help


class ErrorReport(NamedTuple):
    """The content of a report: code, message, labels, help and location."""

    code: str = ""
    message: str = ""
    help: str = ""
    file: str = ""
    line: int = 0


def first_report(lines: Sequence[str]) -> ErrorReport:
    """Return the content of the first error report in these lines; empty if none."""
    begin = next((at for at, line in enumerate(lines) if _BEGIN.match(line)), None)
    if begin is None:
        return ErrorReport()
    report = _Report()
    for line in lines[begin + 1 :]:
        if not report.takes(line):
            break
    code = lines[begin].partition(" ")[2]
    return ErrorReport(
        code, report.all_in_one(), report.help(), report.file, report.line
    )


def error_summary(lines: Sequence[str]) -> List[str]:
    """Return lines of a log, with the last report as a summary and its help.

    "I/O error: Connection refused (line 3)". Lines before and after it stay, and so
    does text that only looks like the beginning of a report.
    """
    begins = [at for at, line in enumerate(lines) if _BEGIN.match(line)]
    if not begins:
        return list(lines)
    begin = begins[-1]
    report = _Report()
    end = begin + 1
    while end < len(lines) and report.takes(lines[end]):
        end += 1
    lines_shown = report.told() if report.message else lines[begin:end]
    return [*lines[:begin], *lines_shown, *lines[end:]]


class _Report:
    """The parts of a report that were read so far."""

    def __init__(self) -> None:
        self.message: List[str] = []
        self._labels: List[str] = []
        self._help: List[str] = []
        self._last = self.message  # text that the next line may continue
        self._in_box = False
        self.file = ""
        self.line = 0
        self._code = 0  # the number of the last line of code

    def takes(self, line: str) -> bool:
        """Read a line, if it belongs to the report."""
        if not line.strip():
            return True
        if self._in_box:
            self._in_box = not _BOX_END.match(line)
            self._takes_code(line)
            return True
        box = _BOX.match(line)
        if box is not None:
            self._in_box = True
            if not self.line:
                self.file, self.line = box[1], int(box[2] or 0)
            return True
        for pattern, part in ((_MESSAGE, self.message), (_HELP, self._help)):
            begin = pattern.match(line)
            if begin is not None and not part:
                part.append(begin[1])
                self._last = part
                return True
        more = _MORE.match(line)
        if more is not None and self._last:
            self._last.append(more[1])
        return more is not None and bool(self._last)

    def _takes_code(self, line: str) -> None:
        """Read a line of the box: code, or a label of the code above."""
        code = _CODE.match(line)
        if code is not None:
            self._code = int(code[1])
        label = _LABEL.match(line)
        if label is not None:
            self._labels.append(label[1])
            if _OPENED in label[1]:
                self.line = self._code or self.line

    def told(self) -> List[str]:
        """The message with the labels of the code, and the help, one line each."""
        message = self.all_in_one() + _place(self.file, self.line)
        return [message, *([f"help: {self.help()}"] if self._help else [])]

    def all_in_one(self) -> str:
        """The message with the labels of the code, without the location."""
        message = " ".join(self.message)
        more = [each for each in self._labels if each.lower() not in message.lower()]
        if more:
            message = (
                f"{message.rstrip('.:')}: {'; '.join(each.strip() for each in more)}"
            )
        return message

    def help(self) -> str:
        """The help."""
        return " ".join(self._help)


def _place(file: str, line: int) -> str:
    """Its location; for a script without its own file only the line."""
    if not line:
        return ""
    own = file in ("source", "script") or file.endswith(".in")
    return f" (line {line})" if own else f" ({file}:{line})"
