"""A light dataclass behaves like a frozen one, but only mypy prevents changes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, List, Tuple

import pytest

from provctl.base.light_dataclass import light_dataclass


@light_dataclass
class Fixed:
    """The same as `Frozen`."""

    name: str
    number: int = 1
    more: Tuple[int, ...] = ()
    unhashable: List[int] = field(default_factory=list, metadata={"a": 1})


@dataclass(frozen=True)
class Frozen:
    """The same as `Fixed`."""

    name: str
    number: int = 1
    more: Tuple[int, ...] = ()
    unhashable: List[int] = field(default_factory=list, metadata={"a": 1})


@light_dataclass
class Small:
    """A class for defaults and keys."""

    name: str = "a"


@light_dataclass
class Large:
    """A class with such a default."""

    small: Small = Small()


@pytest.mark.parametrize("kind", [Fixed, Frozen])
def test_light_dataclass_compares_and_prints_like_a_frozen_one(kind: Any) -> None:
    one = kind("a", 2, more=(3,))
    assert one == kind("a", 2, (3,)) == replace(kind("b", 2, (3,)), name="a")
    assert one != kind("a", 2)
    assert one != ("a", 2, (3,), [])
    shown = f"{kind.__name__}(name='a', number=2, more=(3,), unhashable=[])"
    assert repr(one) == shown
    assert [each.name for each in fields(one)] == list(vars(one))
    assert one.unhashable is not kind("a").unhashable
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
    with pytest.raises(TypeError, match="name"):
        kind()


def test_light_dataclass_can_be_a_key_and_a_default() -> None:
    assert {Small("a"): 1, Small("b"): 2}[Small("b")] == 2
    assert Large() == Large(Small("a")) != Large(Small("b"))
    assert hash(Large()) == hash(Large(Small("a")))


def test_objects_of_other_classes_are_not_equal() -> None:
    other: Any = Frozen("a")
    assert Fixed("a") != other
