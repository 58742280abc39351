"""The formats of job logs of CI systems: folding groups and annotations.

What a task wrote is text, but a CI system reads commands from the same lines. So each
line that is not ours passes through `harmless` before it is written, or through
`shown`, which keeps colours where they are supported.
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
    """A remark at a location in a file. `level` is "error" or "warning".

    `line` and `column` count from 1; 0 means unknown, like "" for `file`.
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
        """Return a line of a task without commands, cut at `limit`.

        A line that has to be changed loses its colours: they may be in the middle of a
        text that looks like a command.
        """
        plain = sanitize(line, limit=limit)
        harmless = self.harmless(plain)
        if self._colours and "\x1b" in line and harmless == plain:
            with_colours = _keep_sgr(line, limit)
            if self.harmless(with_colours) == with_colours:
                return with_colours
        return harmless

    def harmless(self, line: str) -> str:
        """Return a line without escape sequences so that it contains no command."""
        return line

    def begin(self, key: str, title: str, at: float, *, folded: bool) -> str:
        """Return the line that opens a group.

        `key` is unique among all groups: letters, digits, `_`, `.` and `-`. `at` is in
        seconds since the epoch. Groups do not nest.
        """
        return f"--- {title}"

    def end(self, key: str, at: float) -> str:
        """Return the line that closes a group, "" for none."""
        return ""

    def is_folded(self, folded: bool) -> bool:
        """Whether a group that was opened this way is folded when it is closed."""
        return False

    def annotation(self, remark: Annotation) -> str:
        """Return the line of an annotation, if the format `annotates`."""
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
        return True  # as soon as it is closed

    def annotation(self, remark: Annotation) -> str:  # noqa: D102
        fields = {"file": remark.file, "line": remark.line, "col": remark.column}
        properties = {**fields, "title": remark.title}
        encoded = ",".join(
            f"{k}={_property(str(v))}" for k, v in properties.items() if v
        )
        return f"::{remark.level} {encoded}::{_data(remark.message)}"


class GitLab(CiLogFormat):
    """Sections. Their marks need escape sequences; lines of tasks contain none."""

    def begin(self, key: str, title: str, at: float, *, folded: bool) -> str:  # noqa: D102
        how = "[collapsed=true]" if folded else ""
        return f"\x1b[0Ksection_start:{int(at)}:{key}{how}\r\x1b[0K{title}"

    def end(self, key: str, at: float) -> str:  # noqa: D102
        return f"\x1b[0Ksection_end:{int(at)}:{key}\r\x1b[0K"

    def is_folded(self, folded: bool) -> bool:  # noqa: D102
        return folded


def detect_ci_log_format(environ: Mapping[str, str]) -> CiLogFormat:
    """Return the format of the CI system of this job; outside of a job the plain one.

    The logs of both systems show colours, unless NO_COLOR is set.
    """
    colours = not environ.get("NO_COLOR")
    if environ.get("GITHUB_ACTIONS") == "true":
        return GitHub(colours=colours)
    if environ.get("GITLAB_CI") == "true":
        return GitLab(colours=colours)
    return CiLogFormat()


def _keep_sgr(text: str, limit: int) -> str:
    """Make foreign text safe for one line, like `sanitize`, but keep its colours.

    Colours end with the line, whatever it contains.
    """
    parts = _COLOUR.split(truncate_text(text, limit))
    if len(parts) == 1:
        return sanitize(text, limit=limit)
    # No escape sequence can span the gap between two colours.
    parts[::2] = [sanitize(part, limit=limit) for part in parts[::2]]
    shown = "".join(parts)
    return shown if shown.endswith(_PLAIN) else shown + _PLAIN


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
