"""The live view in a tmux window, which wraps lines again when it is resized."""

from __future__ import annotations

import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, List

import pytest

from tests.support.tools import need

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_SEQ = [str(number) for number in range(1, 81)]


class Window:
    """A tmux window with a shell; `size` is rows and columns."""

    def __init__(self, provctl: Provctl, folder: Path, rows: int, columns: int) -> None:
        self._provctl = provctl
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        size = ["-x", str(columns), "-y", str(rows)]
        self._do("new-session", "-d", *size, "bash --noprofile --norc")

    def _do(self, *words: str) -> str:
        return subprocess.run(
            [*self._tmux, *words],
            env=self._provctl.environ,
            check=True,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        ).stdout

    def type(self, line: str) -> None:
        self._do("send-keys", line, "Enter")

    def resize(self, rows: int, columns: int) -> None:
        self._do("resize-window", "-x", str(columns), "-y", str(rows))

    def lines(self, *options: str) -> List[str]:
        """The visible lines; with "-S-" also those that scrolled away."""
        return self._do("capture-pane", "-p", *options).rstrip("\n").split("\n")

    def until(self, holds: Callable[[List[str]], bool], what: str) -> None:
        try:
            self._provctl.until(lambda: holds(self.lines("-S-")), what)
        except AssertionError as late:
            shown = "\n".join(self.lines("-S-"))
            raise AssertionError(f"{late}\n{shown}") from None


@pytest.fixture
def window(provctl: Provctl) -> Iterator[Window]:
    need("tmux")
    # A socket has a short path.
    with tempfile.TemporaryDirectory() as folder:
        yield Window(provctl, Path(folder), 30, 100)
        provctl.kill_everything()


def test_resize_leaves_no_remains_of_an_old_picture(
    provctl: Provctl, window: Window
) -> None:
    gate = provctl.folder / "gate"
    words = "copying the image to a zone that is far away, and in small parts"
    script = f"echo 'PROGRESS: 3/7 {words}'; while [ ! -e {gate} ]; do sleep 0.05; done"
    tasks = {f"server-{n}": {"command": ["sh", "-c", script]} for n in range(8)}
    run = provctl.submit(provctl.file(tasks))
    window.type(f"clear; seq 80; {provctl.program} watch {run}")
    window.until(lambda lines: _is_whole(lines, 20), "the first picture")
    for rows, columns in ((30, 40), (30, 100), (8, 50), (8, 110), (30, 45), (40, 100)):
        window.resize(rows, columns)
        bar = 20 if columns >= 60 else 8
        window.until(partial(_has_bar, bar=bar), "a new picture")
    window.until(lambda lines: _is_whole(lines, 20), "one picture, and all above it")
    gate.touch()
    window.until(lambda lines: "8 succeeded" in lines[-2], "its end")
    lines = window.lines("-S-")
    assert lines[lines.index("80") + 1].startswith("✓ w")
    assert len(lines[lines.index("80") :]) == 1 + 2 + 8 + 2


@pytest.mark.parametrize("verb", ["run", "watch"])
def test_repeated_resizes_leave_one_picture(
    provctl: Provctl, window: Window, verb: str
) -> None:
    """tmux may hide lines while it wraps them, but no second picture appears."""
    gate = provctl.folder / "gate"
    words = "copying the image to a zone that is far away, and in small parts of it"
    step = f'n=$((n+1)); echo "PROGRESS: $((n%99))/99 $n {words}"; sleep 0.1'
    script = f"n=0; while [ ! -e {gate} ]; do {step}; done"
    tasks = {f"server-{n}": {"command": ["sh", "-c", script]} for n in range(6)}
    file = provctl.file(tasks)
    subject = file if verb == "run" else provctl.submit(file)
    window.type(f"clear; seq 80; {provctl.program} {verb} {subject}")
    window.until(partial(_has_bar, bar=20), "the first picture")
    for _ in range(5):
        for columns, bar in ((40, 8), (100, 20)):
            window.resize(30, columns)
            window.until(partial(_has_bar, bar=bar), "a new picture")
    for columns in (40, 100, 40, 60, 100):  # faster than it is told
        window.resize(30, columns)
    window.until(partial(_is_tidy, rows=6), "one picture, of old ones one piece")
    gate.touch()
    window.until(lambda lines: "6 succeeded" in lines[-2], "its end")
    assert _is_tidy(window.lines("-S-")[:-2], rows=6), window.lines("-S-")


def _is_tidy(lines: List[str], rows: int) -> bool:
    """All output of `seq`, then at most one old part, then one picture."""
    if "80" not in lines:
        return False
    last = lines.index("80")
    below = [line for line in lines[last + 1 :] if line]
    piece, picture = below[: -rows - 2], below[-rows - 2 :]
    return (
        lines[last - 79 : last + 1] == _SEQ
        and len(piece) <= len(picture) == rows + 2
        and not [line for line in piece[1:] if _is_head(line)]
        and _is_head(picture[0])
        and all(line[1:].startswith(" server-") for line in picture[2:])
    )


def _is_head(line: str) -> bool:
    return line[1:4] == " w "


def _bar_of(lines: List[str]) -> int:
    """The width of the bar of the last picture; 0 if there is none."""
    heads = [n for n, line in enumerate(lines) if line.startswith("▶ w ")]
    if not heads or heads[-1] + 1 >= len(lines):
        return 0
    bar = lines[heads[-1] + 1]
    return len(bar) - len(bar.lstrip("─"))


def _has_bar(lines: List[str], bar: int) -> bool:
    return _bar_of(lines) == bar


def _is_whole(lines: List[str], bar: int) -> bool:
    """All output of `seq`, then one picture, and nothing else."""
    if "80" not in lines:
        return False
    last = lines.index("80")
    picture = lines[last + 1 :]
    return (
        lines[last - 79 : last + 1] == _SEQ
        and len(picture) == 10
        and picture[0].startswith("▶ w")
        and _bar_of(picture) == bar
        and all(line.startswith("▶ server-") for line in picture[2:])
    )
