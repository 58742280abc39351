"""`light_dataclass`: dataclasses that are frozen for mypy and fast to define.

mypy rejects assignments to their fields, as with `frozen=True`; at run time nothing
does. The methods of dataclasses are compiled for each class. That is most of the cost
of defining one, and some commands define a hundred before they can start. So there is
one method for all classes that compares, one that hashes and one that prints, and
`__init__` is compiled when the first instance is made. Creating a frozen instance also
takes three times as long.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Callable, Dict, Type, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_about: Any) -> Callable[[Any], Any]:
        """Do nothing: only type checkers read it."""
        return lambda decorator: decorator


_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def light_dataclass(cls: Type[_Class]) -> Type[_Class]:
    """Make a light dataclass: for classes with many instances, or loaded often.

    There is no `__post_init__`, and `cached_property` would count as a field.
    """
    for special in (_eq, _hash, _repr):
        setattr(cls, f"_{special.__name__}__", special)
    if cls.__doc__ is None:
        cls.__doc__ = ""  # else dataclasses writes one, which takes as long as all else

    def compile_and_init(self: object, *values: Any, **named: Any) -> None:
        init = _compile_init(cls)
        setattr(cls, "__init__", init)  # noqa: B010 - mypy allows no other way
        init(self, *values, **named)

    setattr(cls, "__init__", compile_and_init)  # noqa: B010
    return dataclass(init=False, repr=False, eq=False)(cls)


def _compile_init(cls: Type[Any]) -> Callable[..., None]:
    """Return the `__init__` that dataclasses makes for the fields of a class."""
    members: Dict[str, Any] = {"__module__": cls.__module__, "__doc__": ""}
    members["__qualname__"] = cls.__qualname__
    members["__annotations__"] = {each.name: each.type for each in fields(cls)}
    for each in fields(cls):
        if each.default is not MISSING:
            members[each.name] = each.default
        elif each.default_factory is not MISSING:
            members[each.name] = field(default_factory=each.default_factory)
    made: Any = dataclass(repr=False, eq=False)(type(cls.__name__, (), members))
    init: Callable[..., None] = made.__init__
    return init


def _eq(self: object, other: object) -> Any:
    if type(self) is not type(other):
        return NotImplemented
    return vars(self) == vars(other)


def _hash(self: object) -> int:
    return hash(tuple(vars(self).values()))


def _repr(self: object) -> str:
    values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
    return f"{type(self).__qualname__}({values})"
