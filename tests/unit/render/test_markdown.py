"""Markdown: texts are never markup, and the size is limited."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import List, Set

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from provctl.render import markdown
from provctl.render.text import sanitize

EVIL = [
    "<script>x</script>",
    "a|b",
    "[x](http://y)",
    "*a* _b_ `c`",
    "# no",
    "\\",
    "@me",
]


class Text(HTMLParser):
    """The text of some HTML, and the tags in it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text = ""
        self.tags = 0
        self.feed(source)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags += 1


@pytest.mark.parametrize("text", EVIL)
def test_markup_characters_are_escaped(text: str) -> None:
    escaped = markdown.escaped(text)
    assert not re.search(r"(?<!&)[<>|*_`\[\]\\@]|(?<!&)#", escaped)
    assert (Text(escaped).text, Text(escaped).tags) == (text, 0)


class Cells(HTMLParser):
    """The cells of the tables in some HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.cells: List[str] = []
        self.tags: Set[str] = set()
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells and data.strip():
            self.cells[-1] += data


words = st.text(st.characters(exclude_categories=("Cs", "Co")), max_size=30)


@given(st.one_of(words, st.lists(st.sampled_from(EVIL), max_size=3).map("".join)))
def test_markdown_parser_reads_a_cell_unchanged(text: str) -> None:
    row = markdown.TaskRow(text, "failed", 2, "1s", "", "", text, good=True)
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    read = Cells(reader.render(markdown.table([row], 0)))
    assert read.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert len(read.cells) == 8
    shown = sanitize(text, limit=200).strip()
    assert [read.cells[1].strip(), read.cells[7].strip()] == [shown, shown]


def test_table_row_stays_one_row() -> None:
    row = markdown.TaskRow("a|b\n", "failed", 2, "1s", "", "", "x | y", good=False)
    head, rule, line = markdown.table([row], 0).splitlines()
    assert {head.count("|"), rule.count("|"), line.count("|")} == {9}
    assert markdown.table([row], 3).splitlines()[-1] == "And 3 more."


@given(st.lists(st.text(st.sampled_from("`~a "), max_size=9), max_size=5))
def test_no_line_ends_a_code_block(lines: list[str]) -> None:
    first, *inside, last = markdown.fenced("text", lines).splitlines()
    fence = first[: -len("text")]
    assert set(fence) == {"`"}
    assert last == fence
    assert inside == lines
    assert all(fence not in line for line in lines)


def test_parts_that_do_not_fit_are_left_out_from_the_end() -> None:
    parts = ["first", "", "\N{CROSS MARK}" * 10, "third"]
    assert markdown.as_markdown(parts, 1000) == f"first\n{parts[2]}\nthird"
    for most in range(60, 120):
        text = markdown.as_markdown(parts, most)
        assert len(text.encode()) <= most
        assert text.startswith("first")
    assert "omitted" in markdown.as_markdown(parts, 80)


def test_log_is_an_open_block_and_a_command_is_code() -> None:
    shown = markdown.log("a <b>", ["</details>"])
    assert shown.startswith(
        "<details open><summary>\N{CROSS MARK} a &#60;b&#62;</summary>"
    )
    assert markdown.command("again: provctl x") == "again: <code>provctl x</code>\n"
