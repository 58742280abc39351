"""JSON from strangers is strictly valid, or refused with a message."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.api.http.strict_json import read_strictly

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc\u00e9"), inner),
    max_leaves=20,
)


@given(value=_VALUES, ascii_only=st.booleans())
def test_valid_json_is_read(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert read_strictly(text.encode()) == value


@given(st.binary(max_size=40))
def test_invalid_json_raises_only_value_error(body: bytes) -> None:
    with suppress(ValueError):
        read_strictly(body)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b'{"a": 1, "a": 1}', "duplicate"),
        (b'[{"b": {"a": 1, "a": 2}}]', "duplicate"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"1e999", "too large"),
        (b"9" * 401, "digits"),
        (rb'"\ud800"', "UTF-8"),
        (rb'{"\udc00": 1}', "UTF-8"),
        (b'"\xff"', "UTF-8"),
        (b"[" * 65 + b"]" * 65, "deep"),
        (b"[" * 100_000, "deep"),
        (b"{} {}", "Extra"),
        (b"", "Expecting"),
    ],
)
def test_error_says_what_is_wrong(body: bytes, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        read_strictly(body)


def test_limits_accept_what_is_documented() -> None:
    assert read_strictly(b"[" * 64 + b"]" * 64)
    assert read_strictly(b"9" * 400)
    assert read_strictly(rb'"\ud83d\ude00"') == "\U0001f600"
    wide = b"[" + b",".join([b"[]"] * 1000) + b"]"
    assert len(read_strictly(wide)) == 1000
