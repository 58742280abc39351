"""The manual pages contain everything that `--help` and `provctl help` print."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Dict, Set

import pytest
from click.testing import CliRunner

from provctl.cli import help_pages
from provctl.cli.main import cli
from provctl.cli.session import Session
from tests.support.scripts import load_script

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = load_script(".ci/docs/manpages.py")
PAGES: Dict[str, str] = SCRIPT.pages()
COMMANDS = {each.page: each for each in SCRIPT.commands()}
REQUESTS = {".TH", ".SH", ".PP", ".TP", ".br", ".nf", ".fi", ".so"}


def words_of(text: str) -> Set[str]:
    return set(re.findall(r"\S+", text))


def as_shown(page: str) -> str:
    """A page as a reader sees it, as one text."""
    lines = [line for line in page.splitlines() if line not in REQUESTS]
    text = "\n".join(re.sub(r"^\.\w+ ", "", line) for line in lines)
    text = re.sub(r"\\f[BR]|\\&", "", text).replace("\\-", "-").replace("\\e", "\\")
    for escape, letter in {"(ti": "~", "(ha": "^", "(ga": "`"}.items():
        text = text.replace(f"\\{escape}", letter)
    return text


def test_every_command_and_every_topic_has_a_page() -> None:
    names = {f"man1/{page}.1" for page in COMMANDS}
    names |= {f"man7/provctl-{topic}.7" for topic in help_pages.topics()}
    assert set(PAGES) == names
    assert {"man1/provctl.1", "man1/provctl-run.1", "man7/provctl-states.7"} <= names


@pytest.mark.parametrize("page", COMMANDS)
def test_page_has_every_word_of_the_help(page: str) -> None:
    words = COMMANDS[page].words
    text = PAGES[f"man1/{page}.1"]
    if text.startswith(".so "):
        text = PAGES[text.split()[1]]
        words = SCRIPT.long_form(words)
    done = CliRunner().invoke(
        cli,
        [*words, "--help"],
        obj=Session(),
        terminal_width=400,
        max_content_width=400,
    )
    assert done.exit_code == 0
    help_text = done.output.replace("Usage: ", "").upper()
    shown = words_of(as_shown(text).upper())
    headings = {f"{heading}:" for heading in shown}
    assert words_of(help_text) <= shown | headings


@pytest.mark.parametrize("topic", help_pages.topics())
def test_page_has_every_word_of_its_topic(topic: str) -> None:
    shown = words_of(as_shown(PAGES[f"man7/provctl-{topic}.7"]))
    first, _, rest = help_pages.topic(topic).partition("\n")
    assert words_of(rest) <= shown
    assert words_of(first.rstrip(".:")) <= shown


@pytest.mark.parametrize("path", PAGES)
def test_text_of_a_page_contains_no_formatter_request(path: str) -> None:
    for line in PAGES[path].splitlines():
        if line[:1] in (".", "'"):
            assert line.split()[0] in REQUESTS, line
        left = re.sub(r"\\(f[BR]|-|&|e|\((ti|ha|ga))", "", line)
        assert "\\" not in left, line


def test_line_that_looks_like_a_request_is_escaped() -> None:
    assert SCRIPT._escaped(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert SCRIPT._escaped("a\\fB") == "a\\efB"


def test_manpages_script_writes_all_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["manpages.py", str(tmp_path / "man")])
    SCRIPT.main()
    assert f"{len(PAGES)} pages in " in capsys.readouterr().out
    for path, text in PAGES.items():
        assert (tmp_path / "man" / path).read_text(encoding="utf-8") == text
