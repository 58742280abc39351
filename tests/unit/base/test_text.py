"""Bytes become text, or an error says what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.base.text import NotText, decode, plain, visible


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", ""),
        ("é\r\n".encode(), "é\r\n"),
        (b"\xef\xbb\xbf", ""),
        (b"\xef\xbb\xbfa", "a"),
        # Only the first one is a mark.
        (b"a\xef\xbb\xbf", "a\ufeff"),
    ],
)
def test_utf_8_is_decoded_with_and_without_a_byte_order_mark(
    content: bytes, text: str
) -> None:
    assert decode(content) == text


@pytest.mark.parametrize("name", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_named(name: str) -> None:
    with pytest.raises(NotText, match="UTF-16 or UTF-32: save it as UTF-8") as caught:
        decode('{"a": 1}'.encode(name))
    assert caught.value.line == 1


def test_invalid_byte_is_located() -> None:
    with pytest.raises(NotText, match="invalid byte in line 3") as caught:
        decode(b"a\nb\n\xff")
    assert caught.value.line == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\n", "a\tb\n"),
        (
            "é\u00a0\u3000\U0001f469\u200d\U0001f467",
            "é\u00a0\u3000\U0001f469\u200d\U0001f467",
        ),
        ("\x00\x07\x08\x0b\r\x1b\x7f", "\\x00\\x07\\x08\\x0b\\r\\x1b\\x7f"),
        ("\x85\x9b", "\\x85\\x9b"),
        ("\u061c\u200e\u200f", "\\u061c\\u200e\\u200f"),
        ("\u2028\u2029\u202a\u202e", "\\u2028\\u2029\\u202a\\u202e"),
        ("\u2066\u2069", "\\u2066\\u2069"),
        ("\ud800\udcff", "\\ud800\\udcff"),
    ],
)
def test_control_characters_become_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_visible_text_stays_unchanged(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert visible(plain(text)) == plain(text)
    assert "\n" not in plain(text)
