"""References of secrets: what people may write, what is kept, and what is a mistake."""

from __future__ import annotations

from typing import Any

import pytest

from provctl.core.model.secret_reference import (
    SecretKind,
    parse_reference,
    read_reference,
)

HIDDEN = "hunter2hunter2"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("env:TOKEN", "env:TOKEN"),
        ("file:a b#c/d:e", "file:a b#c/d:e"),
        ({"cmd": ["pass", "show", "db"]}, "cmd:pass show db"),
        ("cmd:pass show db/main-1", "cmd:pass show db/main-1"),
        ({"cmd": ["sh", "-c", "a | b"]}, 'cmd:["sh", "-c", "a | b"]'),
        ({"cmd": ["echo", ""]}, 'cmd:["echo", ""]'),
        ({"cmd": ["echo", "a  b", "é"]}, 'cmd:["echo", "a  b", "é"]'),
        ({"cmd": ["A=b"]}, "cmd:A=b"),
        ("sops:a#b.yaml#db.0.pass word", "sops:a#b.yaml#db.0.pass word"),
        ('sops:f#["a.b"][0]', 'sops:f#["a.b"][0]'),
        ("age:x.age", "age:x.age"),
        ("keyring:https://x/y/me", "keyring:https://x/y/me"),
    ],
)
def test_what_is_written_is_kept_as_text(given: Any, kept: str) -> None:
    reference = read_reference(given)
    assert reference.text == kept
    assert parse_reference(kept) == reference


def test_the_parts_of_a_reference() -> None:
    assert read_reference("cmd:a b").argv == ("a", "b")
    sops = read_reference("sops:a#b.yaml#db.0.pass word")
    assert (sops.kind, sops.place) == (SecretKind.SOPS, "a#b.yaml")
    assert sops.expression == '["db"][0]["pass word"]'
    assert sops.at("/x").text == "sops:/x#db.0.pass word"
    assert read_reference('sops:f#["a.b"][0]').expression == '["a.b"][0]'
    keyring = read_reference("keyring:https://x/y/me")
    assert (keyring.place, keyring.part) == ("https://x/y", "me")


NO_FORM = 'must be "env:NAME", "file:PATH", "cmd:PROGRAM WORD ..."'


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (HIDDEN, NO_FORM),
        (7, NO_FORM),
        (["cmd", HIDDEN], NO_FORM),
        (f"env:{HIDDEN}!", NO_FORM),
        (f"vault:{HIDDEN}", NO_FORM),
        (f"file:{HIDDEN}\0", NO_FORM),
        (f"file:{HIDDEN}\ud800", NO_FORM),
        ("age:", NO_FORM),
        ({}, NO_FORM),
        ({"cmd": ["a"], "x": HIDDEN}, NO_FORM),
        ({"cmd": HIDDEN}, "has a `cmd` that is not a list of words"),
        ({"cmd": []}, "has a `cmd` that is not a list of words"),
        ({"cmd": ["a", 1]}, "has a `cmd` with a word that is not text"),
        ({"cmd": ["a", f"{HIDDEN}\0"]}, "has a `cmd` with a word that is not text"),
        ({"cmd": ["a", f"{HIDDEN}\ud800"]}, "has a `cmd` with a word that is not text"),
        ({"cmd": ["", HIDDEN]}, "has a `cmd` that does not begin with the program"),
        (f"sops:{HIDDEN}", "has no path into the file"),
        (f"sops:#{HIDDEN}", "has no path into the file"),
        (f"sops:f#{HIDDEN}..b", "has no path into the file"),
        (f'sops:f#["{HIDDEN}"', "has no path into the file"),
        (f'sops:f#{HIDDEN}"]["x', "has no path into the file"),
        (f"keyring:{HIDDEN}", "has no service or no user"),
        ("keyring:/x", "has no service or no user"),
        ("keyring:x/", "has no service or no user"),
    ],
    ids=repr,
)
def test_a_mistake_says_what_to_write_and_not_what_was_given(
    given: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=r"^(must|has) ") as caught:
        read_reference(given)
    assert str(caught.value).startswith(words)
    assert HIDDEN not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        "",
        " pass",
        "pass  show",
        "pass show ",
        "pass\tshow",
        "pass show 'db'",
        'pass show "db"',
        "pass show $DB",
        "pass show ~/db",
        "pass show db | head",
        "pass show `db`",
        "pass show *",
        "pass show {a,b}",
        "pass show db;rm",
        "pass show db\n",
        "pass show a\\ b",
        "pass show !1",
        "pass show #1",
        "HOME=/x pass",
        '["pass"]',
    ],
)
def test_a_text_that_a_shell_reads_differently_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"no shell reads it, so write \{ cmd = "):
        read_reference(f"cmd:{words}")
