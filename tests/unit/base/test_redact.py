"""Secrets are redacted also in encoded form."""

from __future__ import annotations

import html
import json
import shlex
import string
from base64 import b64encode, urlsafe_b64encode
from binascii import hexlify
from typing import Callable
from urllib.parse import quote, quote_plus
from xml.sax import saxutils

import markupsafe
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provctl.base.redact import (
    encodings_of,
    find_secrets,
    redact_bytes,
    redact_json,
)

_SECRET = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=80)


def _raw(*texts: str) -> list[bytes]:
    return [form.encode() for form in encodings_of(texts)]


@given(_SECRET, st.binary(max_size=5), st.binary(max_size=5))
def test_secret_is_redacted_anywhere_in_the_text(
    secret: str, before: bytes, after: bytes
) -> None:
    raw = before + secret.encode() + after
    covered = redact_bytes(raw, _raw(secret))
    assert secret.encode() not in covered
    assert len(covered) == len(raw)


@given(_SECRET, st.binary(max_size=5), st.binary(max_size=5))
def test_secret_inside_base64_is_redacted(
    secret: str, before: bytes, after: bytes
) -> None:
    raw = before + secret.encode() + after
    for code in (b64encode(raw), urlsafe_b64encode(raw)):
        covered = redact_bytes(code, _raw(secret))
        # At each end some bits of its first and last character may be left.
        assert covered.count(b"*") >= len(secret.encode()) * 8 // 6 - 2


def _percent(text: str, unquoted: str, digits: str) -> str:
    letters = string.ascii_letters + string.digits + unquoted
    return "".join(
        chr(byte) if chr(byte) in letters else f"%{format(byte, digits)}"
        for byte in text.encode()
    )


_ENCODERS: dict[str, Callable[[str], str]] = {
    "url encode": lambda text: _percent(text, "./:", "02X"),
    "url encode --all": lambda text: _percent(text, "", "02X"),
    "url encode --all, lower case": lambda text: _percent(text, "", "02x"),
    "url build-query": lambda t: _percent(t, "*-._", "02X").replace("%20", "+"),
    "quote": quote,
    "quote all": lambda text: quote(text, safe=""),
    "quote_plus": quote_plus,
    "encodeURI": lambda text: quote(text, safe="!'()*/;,?:@&=+$#"),
    "hex": lambda text: text.encode().hex(),
    "hex, upper case": lambda text: text.encode().hex().upper(),
    "HTML": html.escape,
    "HTML of Jinja": lambda text: str(markupsafe.escape(text)),
    "XML": lambda text: saxutils.escape(text, {'"': "&quot;", "'": "&apos;"}),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON of PHP": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "shlex": lambda text: shlex.quote(f"{text} ")[1:-2],
    "single quotes": lambda text: text.replace("'", "'\\''"),
    "CSV": lambda text: text.replace('"', '""'),
}


@pytest.mark.parametrize("encoder", _ENCODERS)
@given(secret=_SECRET)
@example(secret="p@ss-w0rd/+&<x>\"y'z$`\\ %_.~!*()")
def test_secret_encoded_by_a_program_is_redacted(encoder: str, secret: str) -> None:
    raw = _ENCODERS[encoder](secret).encode()
    assert redact_bytes(raw, _raw(secret)) == b"*" * len(raw)


@pytest.mark.parametrize("encoder", _ENCODERS)
def test_control_other_value_is_not_redacted(encoder: str) -> None:
    raw = _ENCODERS[encoder]("p@ss-w0rd/no-secret").encode()
    assert redact_bytes(raw, _raw("p@ss-w0rd/a-secret")) == raw


@given(st.lists(st.text("ab", min_size=6, max_size=20), max_size=6), st.text("ab"))
def test_search_finds_the_same_as_one_search_for_each_form(
    those: list[str], text: str
) -> None:
    raw = [each.encode() for each in those]
    alone = [place for form in raw for place in find_secrets(text.encode(), [form])]
    assert sorted(find_secrets(text.encode(), raw)) == sorted(alone)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists), _SECRET)
def test_redacted_output_is_still_json(value: object, secret: str) -> None:
    text = json.dumps([value, secret, {secret: 1}])
    shown = json.loads(redact_json(text, _raw(secret)))
    assert secret not in json.dumps(shown, ensure_ascii=False)
    assert set(shown[1]) == {"*"}


def test_each_long_line_of_a_secret_is_redacted() -> None:
    covered = redact_bytes(b"x line-two x", _raw("line-one\nline-two\nshort\n"))
    assert covered == b"x ******** x"


def test_each_json_string_is_redacted_separately() -> None:
    text = '["correct-", "horse", 1, "correct-horse", "ÿ"]'
    covered = redact_json(text, _raw("correct-horse"))
    assert covered == '["correct-", "horse", 1, "*************", "ÿ"]'


def test_redacted_number_becomes_a_string() -> None:
    assert redact_json('{"pin": 12345678}', _raw("12345678")) == '{"pin": "********"}'


@pytest.mark.parametrize("text", ["", "short", "12345"])
def test_short_secret_is_not_redacted(text: str) -> None:
    assert encodings_of([text]) == []
    assert redact_json('{"a": "short"}', _raw(text)) == '{"a": "short"}'


@pytest.mark.parametrize(
    ("encode", "width"),
    [(b64encode, 76), (b64encode, 64), (hexlify, 60)],
    ids=["base64", "openssl", "xxd"],
)
def test_encoded_secret_with_line_breaks_is_redacted(
    encode: Callable[[bytes], bytes], width: int
) -> None:
    secret = "0123456789" * 12
    code = encode(secret.encode()).decode()
    wrapped = "\n".join(code[at : at + width] for at in range(0, len(code), width))
    assert set(redact_bytes(wrapped.encode(), _raw(secret))) == {ord("*"), ord("\n")}


def test_overlapping_matches_are_redacted() -> None:
    assert redact_bytes(b"abcabcabc", [b"abcabc"]) == b"*********"
