"""Reads job logs as CI systems do: GitHub's commands, GitLab's sections.

It follows their documentation and the runner's parser, and uses no code of provctl.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional

__all__ = ["GitHubJob", "GitLabJob", "Group"]

# What the runner acts on; any other word between colons is text.
_REGISTERED = {
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
}
_REMARKS = {"error", "notice", "warning"}
# Compared as words of a language, these count for nothing.
_IGNORED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\xad\u034f\u200b-\u200f\u2060-\u206f\ufeff]"
)


@dataclass
class Group:
    """Lines under one title. `folded` is its state at the end of the job."""

    title: str
    folded: bool = True
    lines: List[str] = field(default_factory=list)


class GitHubJob:
    """An output as the GitHub runner reads it: groups, annotations, obeyed commands."""

    def __init__(self, output: str) -> None:
        self.groups: List[Group] = []
        self.outside: List[str] = []
        self.remarks: List[Dict[str, str]] = []
        self.obeyed: List[str] = []
        self._open: Optional[Group] = None
        for line in output.split("\n"):
            self._read(line)
        assert self._open is None, f"never closed: {self._open}"

    def of(self, level: str) -> List[Dict[str, str]]:
        """The annotations of one level."""
        return [each for each in self.remarks if each["level"] == level]

    def _read(self, line: str) -> None:
        seen = _IGNORED.sub("", line)
        words = seen.lstrip()
        end = words.find("::", 2)
        if words.startswith("::") and end > 0:
            name, _, said = words[2:end].partition(" ")
            if name.lower() in _REGISTERED:
                self._obey(name.lower(), said, words[end + 2 :])
                return
        old = re.search(r"##\[([^\] ]+)[^\]]*\]", seen)
        if old is not None and old.group(1).lower() in _REGISTERED:
            self.obeyed.append(old.group(1))
            return
        (self._open.lines if self._open else self.outside).append(line)

    def _obey(self, name: str, said: str, data: str) -> None:
        if name == "group":
            assert self._open is None, f"{data!r} begins inside of {self._open}"
            self._open = Group(_unescaped(data, "\r\n"))
            self.groups.append(self._open)
        elif name == "endgroup":
            assert self._open is not None, "a group ends that never began"
            self._open = None
        elif name in _REMARKS:
            remark = {"level": name, "message": _unescaped(data, "\r\n")}
            for pair in filter(None, said.strip().split(",")):
                key, equals, value = pair.partition("=")
                assert equals, pair
                remark[key] = _unescaped(value, "\r\n:,")
            self.remarks.append(remark)
        else:
            self.obeyed.append(name)


def _unescaped(text: str, letters: str) -> str:
    for letter in letters:
        text = text.replace(f"%{ord(letter):02X}", letter)
    return text.replace("%25", "%")


_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_SECTION = re.compile(
    r"section_(start|end):(\d+):([A-Za-z0-9_.-]+)(?:\[([a-z_=,]*)\])?\r\x1b\[0K"
)


class GitLabJob:
    """An output as GitLab reads it: sections, and the lines outside them."""

    def __init__(self, output: str) -> None:
        self.groups: List[Group] = []
        self.outside: List[str] = []
        names: List[str] = []
        for line in output.split("\n"):
            match = _SECTION.search(line)
            if match is None:
                assert "\x1b" not in _COLOUR.sub("", line), line
                (self.groups[-1].lines if names else self.outside).append(line)
                continue
            kind, at, name, options = match.groups()
            assert int(at) > 0
            assert line[: match.start()] == "\x1b[0K"
            if kind == "start":
                assert not names, f"{name} begins inside of {names}"
                names.append(name)
                title = line[match.end() :]
                self.groups.append(Group(title, folded=options == "collapsed=true"))
            else:
                assert names == [name], f"{name} ends, but {names} is open"
                names.clear()
        assert not names, f"never closed: {names}"
