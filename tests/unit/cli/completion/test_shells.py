"""How shells send words and get offers: unquoted words in, quoted words out."""

from __future__ import annotations

import json
import os
import shlex
from typing import Any, List
from unittest.mock import patch

import pytest
from click import Command
from click.shell_completion import CompletionItem
from hypothesis import given
from hypothesis import strategies as st

from provctl.cli.completion.shells import COMPLETE_VAR, SHELLS

TEXTS = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), min_size=1)
BAD = "$(touch x) `y`; a:b=c @d 'q' \"d\" \\ ! ~ * {a,b}"


def ask(shell: str, typed: str, **more: str) -> Any:
    with patch.dict(os.environ, {"_PROVCTL_WORDS": typed, **more}):
        return SHELLS[shell](Command("p"), {}, "p", COMPLETE_VAR)


def offer(value: str, about: str = "") -> CompletionItem:
    return CompletionItem(value, help=about)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("provctl logs ", ["provctl", "logs", ""]),
        ("provctl  logs\t@la", ["provctl", "logs", "@la"]),
        ("provctl run 'a b.ncl' -p z", ["provctl", "run", "a b.ncl", "-p", "z"]),
        (r"provctl run a\ b.nc", ["provctl", "run", "a b.nc"]),
        ('provctl "a b', ["provctl", "a b"]),
        (r'provctl "a\"b\c" ', ["provctl", r'a"b\c', ""]),
        ("provctl ''", ["provctl", ""]),
        ("provctl 'it'\\''s' x", ["provctl", "it's", "x"]),
        ("provctl $(x", ["provctl", "$(x"]),
        ("", [""]),
    ],
)
def test_bash_sends_the_raw_line(line: str, words: List[str]) -> None:
    assert ask("bash", line).words == words


@pytest.mark.parametrize(
    ("line", "value", "inserted"),
    [
        ("p retry --from=we", "--from=web", "web"),
        ("p -p zone=es:", "zone=es:mad", "mad"),
        ("p logs @la", "@last", "@last"),  # readline counts an @ as part of the word
        ("p a\\=", "a=b c", r"a=b\ c"),  # no break, for it was escaped
        ("p 'a ", "a b's", r"a b'\''s"),
        ('p "a ', 'a "$x`!', 'a \\"\\$x\\`"\'!\'"'),
        ("p x'a ", "xa b", "a b"),
        ("p ", "~", r"\~"),
    ],
)
def test_bash_gets_text_that_replaces_the_last_word(
    line: str, value: str, inserted: str
) -> None:
    assert ask("bash", line).answer([offer(value, "about")], "") == f"\n{inserted}"


@given(TEXTS)
def test_text_inserted_by_bash_is_one_word(text: str) -> None:
    for start in ("", "'"):
        _, inserted = ask("bash", f"p {start}").answer([offer(text)], "").split("\n")
        assert shlex.split(f"{start}{inserted}{start}") == [text]


def test_bash_shows_descriptions_only_for_several_offers() -> None:
    offers = [offer("a", "first"), offer("bcd", "x" * 100), offer("e")]
    dialogue = ask("bash", "p ", _PROVCTL_COLUMNS="20")
    assert dialogue.answer(offers, "file").split("\n") == [
        "file",
        "a    (first)",
        "bcd  (xxxxxxxxxxxxx",
        "e",
    ]
    assert ask("bash", "p ").answer(offers[:1], "") == "\na"
    inserting = ask("bash", "p ", _PROVCTL_TYPE="37")
    assert inserting.answer(offers, "") == "\na\nbcd\ne"


def test_zsh_gets_escaped_colons_and_backslashes() -> None:
    dialogue = ask("zsh", "p\x1fa b\x1fc")
    assert dialogue.words == ["p", "a b", "c"]
    offers = [offer("a:b\\", "c:d\\e\x1b"), offer("x")]
    assert dialogue.answer(offers, "open") == "open\na\\:b\\\\:c:d\\\\e\\\\x1b\nx"


def test_fish_sends_its_last_word_with_quotes() -> None:
    dialogue = ask("fish", "p\x1fa 'b\x1f'it")
    assert dialogue.words == ["p", "a 'b", "it"]
    assert dialogue.answer([offer(BAD, "a\tb")], "") == f"\n{BAD}\ta\\tb"


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ('"a b"', "a b"),
        ('"a b', "a b"),
        ("'a", "a"),
        ("`a`", "a"),
        ("a", "a"),
        ('"', ""),
    ],
)
def test_nushell_sends_words_with_quotes(typed: str, word: str) -> None:
    assert ask("nu", f"provctl\x1f{typed}").words == ["provctl", word]


def test_nushell_gets_quoted_words() -> None:
    offers = [offer("@last", "x"), offer('a b"\\', "y"), offer("(x)")]
    answer = ask("nu", "provctl\x1f").answer(offers, "")
    assert [item["value"] for item in json.loads(answer)] == [
        "@last",
        '"a b\\"\\\\"',
        '"(x)"',
    ]
    assert ask("nu", "provctl\x1f").answer([], "file") == "null"
