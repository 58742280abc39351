"""What a secret looks like elsewhere, and that it is covered there."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.executors.forms import forms
from provctl.executors.masking import cover_bytes, cover_json

_SECRET = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=80)


def _raw(*texts: str) -> list[bytes]:
    return [form.encode() for form in forms(texts)]


@given(_SECRET, st.binary(max_size=5), st.binary(max_size=5))
def test_a_secret_is_covered_wherever_it_stands(
    secret: str, before: bytes, after: bytes
) -> None:
    raw = before + secret.encode() + after
    covered = cover_bytes(raw, _raw(secret))
    assert secret.encode() not in covered
    assert len(covered) == len(raw)


@given(_SECRET, st.binary(max_size=5), st.binary(max_size=5))
def test_a_secret_within_base64_is_covered(
    secret: str, before: bytes, after: bytes
) -> None:
    raw = before + secret.encode() + after
    for code in (b64encode(raw), urlsafe_b64encode(raw)):
        covered = cover_bytes(code, _raw(secret))
        # At each end some bits of its first and last character may be left.
        assert covered.count(b"*") >= len(secret.encode()) * 8 // 6 - 2


@given(_SECRET)
def test_a_secret_in_an_url_and_in_json_is_covered(secret: str) -> None:
    for text in (
        quote(secret),
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    ):
        raw = text.encode()
        assert cover_bytes(raw, _raw(secret)) == b"*" * len(raw)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists), _SECRET)
def test_covered_output_is_json_still(value: object, secret: str) -> None:
    text = json.dumps([value, secret, {secret: 1}])
    shown = json.loads(cover_json(text, _raw(secret)))
    assert secret not in json.dumps(shown, ensure_ascii=False)
    assert set(shown[1]) == {"*"}


def test_each_line_of_a_secret_is_one() -> None:
    covered = cover_bytes(b"x line-two x", _raw("line-one\nline-two\nshort\n"))
    assert covered == b"x ******** x"


def test_a_number_becomes_a_word() -> None:
    assert cover_json('{"pin": 12345678}', _raw("12345678")) == '{"pin": "********"}'


@pytest.mark.parametrize("text", ["", "short", "12345"])
def test_what_is_short_is_left_alone(text: str) -> None:
    assert forms([text]) == []
    assert cover_json('{"a": "short"}', _raw(text)) == '{"a": "short"}'


def test_base64_in_lines_is_covered() -> None:
    secret = "0123456789" * 12
    code = b64encode(secret.encode()).decode()
    wrapped = "\n".join(code[at : at + 76] for at in range(0, len(code), 76))
    assert set(cover_bytes(wrapped.encode(), _raw(secret))) == {ord("*"), ord("\n")}


def test_an_overlapping_match_is_covered_too() -> None:
    assert cover_bytes(b"abcabcabc", [b"abcabc"]) == b"*********"
