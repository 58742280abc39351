"""Commands in hints can be copied: they refer to the same run and the same folders."""

from __future__ import annotations

import html
import re
import shlex
from typing import TYPE_CHECKING, List

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

BAD = {"a": {"command": ["sh", "-c", "echo why; [ -e mended ]"]}}


@pytest.fixture
def elsewhere(provctl: Provctl) -> List[object]:
    """Flags that name a state directory and a path that needs quotes."""
    del provctl.environ["PROVCTL_STATE_DIR"]
    provctl.state = provctl.folder / "it's here"
    config = provctl.text("my config.toml", "[ui]\nheartbeat_seconds = 7\n")
    return ["--state-dir", provctl.state.name, "--config", config.name]


def commands_in(text: str) -> List[List[str]]:
    """The words of each named command, as a shell reads them."""
    lines = re.findall(r"provctl (?!help)[^\n;`]+", text)
    return [shlex.split(line)[1:] for line in lines]


def copied(provctl: Provctl, words: List[str], code: int, cwd: Path) -> str:
    done = provctl(*words, code=code, cwd=cwd)
    return done.out + done.err


def test_hints_at_the_end_of_a_run_can_be_copied(
    provctl: Provctl, elsewhere: List[object], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    out = provctl(*elsewhere, "run", provctl.file(BAD), code=10).out
    logs, retry = commands_in(out)
    given = ["--state-dir", str(provctl.state)]
    given += ["--config", str(provctl.folder / "my config.toml")]
    assert logs[:4] == retry[:4] == given
    assert copied(provctl, logs, 0, other) == "why\n"
    provctl.text("mended", "")
    copied(provctl, retry, 0, other)
    # The control: without what was given nobody knows of it.
    assert "not found" in copied(provctl, logs[4:], 40, other)


def test_hints_of_errors_and_of_unfinished_runs_can_be_copied(
    provctl: Provctl, elsewhere: List[object]
) -> None:
    file = provctl.file({"a": {"command": ["sh", "-c", "echo ready; sleep 60"]}})
    submit = provctl("workflow", "submit", file, *elsewhere)
    run = submit.last_word
    provctl.until_ready(run)
    paused = provctl("workflow", "pause", run, *elsewhere).err
    (resume,) = commands_in(paused)
    status = provctl("workflow", "status", run, *elsewhere).out
    assert commands_in(status) == [resume]
    provctl(*resume)
    (told,) = commands_in(provctl("logs", run, "b", *elsewhere, code=40).err)
    assert run in provctl(*told).out
    provctl("cancel", run, "--yes", *elsewhere)
    provctl("scheduler", "stop", *elsewhere)


def test_hints_below_a_live_view_can_be_copied(
    provctl: Provctl, elsewhere: List[object]
) -> None:
    file = provctl.file(BAD)
    with provctl.terminal(*elsewhere, "run", file, size=(30, 250)) as terminal:
        assert terminal.wait() == 10
    shown = "\n".join(line.rstrip() for line in terminal.raw.splitlines())
    retry = commands_in(shown)[-1]
    provctl.text("mended", "")
    provctl(*retry)


def test_hints_in_a_summary_can_be_copied(
    provctl: Provctl, elsewhere: List[object]
) -> None:
    provctl(*elsewhere, "run", provctl.file(BAD), "--summary", "s.md", code=10)
    summary = html.unescape((provctl.folder / "s.md").read_text(encoding="utf-8"))
    (retry,) = commands_in(summary.replace("</code>", ""))
    provctl.text("mended", "")
    provctl(*retry)


def test_hints_in_an_html_report_can_be_copied(
    provctl: Provctl, elsewhere: List[object]
) -> None:
    run = provctl(*elsewhere, "run", provctl.file(BAD), "-o", "name", code=10).last_word
    provctl(*elsewhere, "workflow", "report", run, "--html", "r.html")
    page = (provctl.folder / "r.html").read_text(encoding="utf-8")
    (told,) = re.findall(r"<code>(.*?)</code>", page)
    (retry,) = commands_in(html.unescape(told))
    provctl.text("mended", "")
    provctl(*retry, "--wait")


def test_hints_of_explain_can_be_copied(
    provctl: Provctl, elsewhere: List[object]
) -> None:
    nap = {"command": ["sh", "-c", "until [ -e mended ]; do sleep 0.05; done"]}
    file = provctl.file({f"t{n}": nap for n in range(7)})
    run = provctl("workflow", "submit", file, "-j", 1, *elsewhere).last_word
    (told,) = commands_in(provctl("explain", run, *elsewhere).out)
    assert told[-1] == f"{run}/TASK"
    assert "t6: ready" in provctl(*told[:-1], f"{run}/t6").out
    provctl("cancel", run, "--yes", *elsewhere)
    provctl("scheduler", "stop", *elsewhere)
