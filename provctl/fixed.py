"""Owns `fixed`: dataclasses that are frozen for who writes the program, and fast for it.

mypy refuses to change them, as it does with `frozen=True`. While it runs nothing does:
what would is compiled anew for each class, which is most of what it takes to define
one, and to make one takes four times as long with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Type, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_about: Any) -> Callable[[Any], Any]:
        return lambda decorator: decorator


__all__ = ["fixed"]

_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def fixed(cls: Type[_Class]) -> Type[_Class]:
    """Make a dataclass of it. Meant for what there is much of, or what many commands load."""
    return dataclass(unsafe_hash=True)(cls)
