"""Labels: valid labels, and which runs a label condition matches."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.core.model.labels import MOST, Condition, check_labels, conditions, label

LABELS = {"env": "prod", "team/web": "a b", "empty": ""}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("env=prod", True),
        ("env==prod", True),
        ("env=test", False),
        ("env!=test", True),
        ("env!=prod", False),
        ("none!=x", True),
        ("env", True),
        ("none", False),
        ("!none", True),
        ("!env", False),
        ("empty=", True),
        ("env=", False),
        ("team/web=a b", True),
        ("env=prod,team/web", True),
        ("env=prod, !env", False),
    ],
)
def test_condition_matches_labels(text: str, fits: bool) -> None:
    assert all(each.fits(LABELS) for each in conditions(text)) is fits


@pytest.mark.parametrize(
    "text", ["", "=x", "!", "-a", "a-", "a b=1", "a" * 64, "é=1", "a=x\x1b[2J", "a=1,,"]
)
def test_invalid_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"label|is no key"):
        conditions(text)


def test_label_is_split_at_the_first_equals_sign() -> None:
    assert label("url=http://x?a=b") == ("url", "http://x?a=b")
    assert label("flag=") == ("flag", "")


@pytest.mark.parametrize("text", ["env", "=x", "a=1,b=2", "a=" + "x" * 201, "a=\n"])
def test_invalid_label_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"KEY=VALUE|label"):
        label(text)


def test_number_of_labels_is_limited() -> None:
    most = {f"k{n}": "" for n in range(MOST)}
    check_labels(most)
    with pytest.raises(ValueError, match="at most 32 labels, not 33"):
        check_labels({**most, "one-more": ""})


@given(st.text(max_size=80))
def test_any_text_is_a_condition_or_is_refused(text: str) -> None:
    with suppress(ValueError):
        assert all(isinstance(each, Condition) for each in conditions(text))
