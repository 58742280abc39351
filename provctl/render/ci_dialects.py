"""How the job logs of CI systems are written: groups that fold, annotations.

What a task wrote is text. A CI system reads commands off the same lines, so each line
that is not ours passes through `harmless` before it is written, or through `shown`,
which also lets colours pass where they are seen.
"""

from __future__ import annotations

import re
from typing import Mapping

from provctl.base.light_dataclass import light_dataclass
from provctl.render.text import sanitize, truncate_text

# "Select graphic rendition": colours, bold, underlined. Other sequences move, erase
# or set something.
_COLOUR = re.compile(r"(\x1b\[[0-9;:]{0,40}m)")
_PLAIN = "\x1b[0m"


@light_dataclass
class Annotation:
    """A remark at a place of a file. `level` is "error" or "warning".

    `line` and `column` count from 1; 0 means not known, as "" does of `file`.
    """

    level: str
    title: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0


class CiLogFormat:
    """A log without folding: a group is a title and its lines.

    With `colours` it shows those of tasks.
    """

    annotates = False

    def __init__(self, *, colours: bool = False) -> None:
        self._colours = colours

    def shown(self, line: str, limit: int) -> str:
        """Return what a task wrote as a line that commands nothing, cut at `limit`.

        What had to be changed for that has no colours: they may stand in the middle of
        what looks like a command.
        """
        plain = sanitize(line, limit=limit)
        harmless = self.harmless(plain)
        if self._colours and "\x1b" in line and harmless == plain:
            with_colours = _keep_sgr(line, limit)
            if self.harmless(with_colours) == with_colours:
                return with_colours
        return harmless

    def harmless(self, line: str) -> str:
        """Return a line without escape sequences as one that commands nothing."""
        return line

    def begin(self, key: str, title: str, at: float, *, folded: bool) -> str:
        """Return the line that opens a group.

        `key` is its own among all groups: letters, digits, `_`, `.` and `-`. `at` is in
        seconds since the epoch. Groups do not nest.
        """
        return f"--- {title}"

    def end(self, key: str, at: float) -> str:
        """Return the line that closes a group, "" for none."""
        return ""

    def is_folded(self, folded: bool) -> bool:
        """Whether a group that was opened like this is folded when it is closed."""
        return False

    def annotation(self, remark: Annotation) -> str:
        """Return the line that is a remark, if the dialect `annotates`."""
        raise NotImplementedError


class GitHub(CiLogFormat):
    """Workflow commands. The runner reads `::name ...::` where it begins a line, after
    any space, and `##[name]` anywhere in it.

    It compares as texts are compared in a language, where some characters count for
    nothing: so whatever is not visible ASCII may stand between.
    """

    annotates = True

    _COMMAND = re.compile(r"[^!-~]*:[^ -~]*:")
    _OLD_COMMAND = re.compile(r"#[^ -~]*#[^ -~]*\[")

    def harmless(self, line: str) -> str:  # noqa: D102
        if self._COMMAND.match(line):
            line = f"> {line}"
        return self._OLD_COMMAND.sub("# #[", line)

    def begin(self, key: str, title: str, at: float, *, folded: bool) -> str:  # noqa: D102
        return f"::group::{_data(title)}"

    def end(self, key: str, at: float) -> str:  # noqa: D102
        return "::endgroup::"

    def is_folded(self, folded: bool) -> bool:  # noqa: D102
        return True  # as soon as it is over

    def annotation(self, remark: Annotation) -> str:  # noqa: D102
        fields = {"file": remark.file, "line": remark.line, "col": remark.column}
        properties = {**fields, "title": remark.title}
        encoded = ",".join(
            f"{k}={_property(str(v))}" for k, v in properties.items() if v
        )
        return f"::{remark.level} {encoded}::{_data(remark.message)}"


class GitLab(CiLogFormat):
    """Sections. Their marks need escape sequences, which no line of a task keeps."""

    def begin(self, key: str, title: str, at: float, *, folded: bool) -> str:  # noqa: D102
        how = "[collapsed=true]" if folded else ""
        return f"\x1b[0Ksection_start:{int(at)}:{key}{how}\r\x1b[0K{title}"

    def end(self, key: str, at: float) -> str:  # noqa: D102
        return f"\x1b[0Ksection_end:{int(at)}:{key}\r\x1b[0K"

    def is_folded(self, folded: bool) -> bool:  # noqa: D102
        return folded


def detect_ci_log_format(environ: Mapping[str, str]) -> CiLogFormat:
    """Return the dialect of the CI system whose job this is; without one the plain one.

    The logs of both show colours, unless NO_COLOR is set.
    """
    colours = not environ.get("NO_COLOR")
    if environ.get("GITHUB_ACTIONS") == "true":
        return GitHub(colours=colours)
    if environ.get("GITLAB_CI") == "true":
        return GitLab(colours=colours)
    return CiLogFormat()


def _keep_sgr(text: str, limit: int) -> str:
    """Make foreign text safe to show on one line as `sanitize` does, with its colours.

    They end with the line, whatever it says itself.
    """
    parts = _COLOUR.split(truncate_text(text, limit))
    if len(parts) == 1:
        return sanitize(text, limit=limit)
    # Between two colours there is no escape sequence that both of them are part of.
    parts[::2] = [sanitize(part, limit=limit) for part in parts[::2]]
    shown = "".join(parts)
    return shown if shown.endswith(_PLAIN) else shown + _PLAIN


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
