"""Job logs as CI systems read them: our commands work, lines of tasks are only text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.render.ci_dialects import (
    Annotation,
    CiLogFormat,
    GitHub,
    GitLab,
    detect_ci_log_format,
)
from provctl.render.text import sanitize
from tests.support.job_logs import GitHubJob, GitLabJob

COMMANDS = [
    "::set-output name=x::1",
    "  \t::add-mask::secret",
    "\u3000::error file=a::b",
    "\u034f::warning::combining, which counts for nothing",
    "\u200b::stop-commands::token",
    ":\u034f:endgroup::",
    "::group:\u034f:x",
    "::endgroup::",
    "text before ##[add-mask]x",
    "#\u034f#[group]x",
    "::debug::##[set-output name=x]y",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_line_that_looks_like_a_command_is_made_harmless(line: str) -> None:
    assert GitHubJob(GitHub().harmless(line) + "\n").obeyed == []
    assert GitHubJob(GitHub().harmless(line)).outside != []


def test_control_test_reader_obeys_commands() -> None:
    for line in COMMANDS[:2] + COMMANDS[4:5] + COMMANDS[8:9]:
        assert GitHubJob(line).obeyed, line
    assert GitHubJob(COMMANDS[2]).remarks


@pytest.mark.parametrize(
    "line",
    ["a::b", "std::vector", "10.0.0.1:80", "## [link](x)", "", "error: no", ":)"],
)
def test_other_lines_are_unchanged(line: str) -> None:
    assert GitHub().harmless(line) == line


PARTS = ":: : ##[ # [ ] group endgroup add-mask error section_start:1:a section_end:1:a"
SPACES = [" ", "\t", "\r", "\u034f", "\u200b", "\x1b[0K"]
parts = st.sampled_from([*PARTS.split(), *SPACES])


@given(st.lists(parts, max_size=12).map("".join))
def test_no_line_of_a_task_is_a_command(text: str) -> None:
    line = sanitize(text)
    job = GitHubJob(GitHub().harmless(line))
    assert (job.obeyed, job.remarks, job.groups) == ([], [], [])
    assert GitLabJob(GitLab().harmless(line)).groups == []


COLOURS = ["\x1b[31m", "\x1b[0m", "\x1b[1;38:2::1:2:3m", "\x1b[", "\x1b", "31m"]


@given(st.lists(st.one_of(parts, st.sampled_from(COLOURS)), max_size=12).map("".join))
def test_no_coloured_line_of_a_task_is_a_command(text: str) -> None:
    line = GitHub(colours=True).shown(text, 100)
    job = GitHubJob(line)
    assert (job.obeyed, job.remarks, job.groups) == ([], [], [])
    assert GitLabJob(GitLab(colours=True).shown(text, 100)).groups == []
    # Without the colours it says the same, and it leaves none behind.
    bare = re.sub("\x1b\\[[0-9;:]*m", "", line)
    assert bare == GitHub().shown(text, 100)
    assert bare == line or line.endswith("\x1b[0m")


def test_colours_are_kept_where_supported_and_end_with_the_line() -> None:
    line = "\x1b[1;31mred\x1b[2K\x1b]0;title\x07 and\x1b[5A more"
    shown = "\x1b[1;31mred and more\x1b[0m"
    assert GitHub(colours=True).shown(line, 100) == shown
    assert GitLab(colours=True).shown(line, 100) == shown
    assert CiLogFormat().shown(line, 100) == "red and more"
    assert GitHub().shown(line, 100) == "red and more"
    assert GitLab(colours=True).shown("plain text", 8) == "plain..."


@pytest.mark.parametrize("name", ["GITHUB_ACTIONS", "GITLAB_CI"])
def test_colours_are_removed_if_disabled(name: str) -> None:
    red = "\x1b[31mred\x1b[0m"
    assert detect_ci_log_format({name: "true"}).shown(red, 100) == red
    assert (
        detect_ci_log_format({name: "true", "NO_COLOR": "1"}).shown(red, 100) == "red"
    )
    assert detect_ci_log_format({"CI": "true"}).shown(red, 100) == "red"


texts = st.text(st.characters(exclude_categories=("Cs", "Cf", "Cc", "Mn")), max_size=30)
lines = st.lists(texts, min_size=1, max_size=3).map("\n".join)


@given(lines.filter(str.strip), lines, lines, st.integers(0, 99), st.integers(0, 99))
def test_annotation_is_read_back_unchanged(
    title: str, message: str, file: str, line: int, column: int
) -> None:
    remark = Annotation("error", title, message, file, line, column)
    (read,) = GitHubJob(GitHub().annotation(remark)).remarks
    said = {"file": file, "line": line, "col": column, "title": title}
    told = {key: str(value) for key, value in said.items() if value}
    assert read == {"level": "error", "message": message, **told}


def test_annotation_is_written_in_github_format() -> None:
    remark = Annotation("error", "a: b, c", "100%\nof it", "x,y.ncl", 3, 7)
    assert GitHub().annotation(remark) == (
        "::error file=x%2Cy.ncl,line=3,col=7,title=a%3A b%2C c::100%25%0Aof it"
    )


def test_groups_are_written_in_the_format_of_each_system() -> None:
    assert GitHub().begin("k", "a 100%", 5.0, folded=True) == "::group::a 100%25"
    start = GitLab().begin("k.1_1", "a", 5.9, folded=True)
    assert start == "\x1b[0Ksection_start:5:k.1_1[collapsed=true]\r\x1b[0Ka"
    assert "collapsed" not in GitLab().begin("k", "a", 5.0, folded=False)
    assert GitLab().end("k.1_1", 6.0) == "\x1b[0Ksection_end:6:k.1_1\r\x1b[0K"


@pytest.mark.parametrize(
    ("environ", "dialect"),
    [
        ({"GITHUB_ACTIONS": "true", "CI": "true"}, GitHub),
        ({"GITLAB_CI": "true", "CI": "true"}, GitLab),
        ({"CI": "true"}, CiLogFormat),
        ({"GITHUB_ACTIONS": "false"}, CiLogFormat),
        ({}, CiLogFormat),
    ],
)
def test_ci_system_is_detected_by_its_variables(
    environ: dict[str, str], dialect: type[CiLogFormat]
) -> None:
    assert type(detect_ci_log_format(environ)) is dialect
