"""`light_dataclass`: dataclasses that are frozen for mypy and fast to define.

mypy rejects assignments to their fields, as with `frozen=True`; at run time nothing
does. The checks, comparisons, hashes and reprs of dataclasses are compiled for each
class. That is most of the cost of defining one, and some commands define a hundred
before they can start. Creating a frozen instance also takes three times as long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Type, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_about: Any) -> Callable[[Any], Any]:
        """Do nothing: only type checkers read it."""
        return lambda decorator: decorator


_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def light_dataclass(cls: Type[_Class]) -> Type[_Class]:
    """Make a light dataclass: for classes with many instances, or loaded often."""
    for special in (_eq, _hash, _repr):
        setattr(cls, f"_{special.__name__}__", special)
    return dataclass(repr=False, eq=False)(cls)


def _eq(self: object, other: object) -> Any:
    if type(self) is not type(other):
        return NotImplemented
    return vars(self) == vars(other)


def _hash(self: object) -> int:
    return hash(tuple(vars(self).values()))


def _repr(self: object) -> str:
    values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
    return f"{type(self).__qualname__}({values})"
