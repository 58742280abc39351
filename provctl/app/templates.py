"""Owns templates: Jinja2 text and values become text, or a mistake with its place.

A template is code of its author, but values are not: what they contain is never
read as a template. Expressions are sandboxed, a name that has no value is a
mistake, and what is included lies in the template's own folder.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Iterator, List, Mapping

from jinja2 import (
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from provctl.errors import Mistake, TemplateInvalid

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Optional

__all__ = ["MAX_OUTPUT", "render"]

MAX_OUTPUT = 64 << 20  # characters
_MAX_BITS = 1 << 16  # of a power


class _Environment(ImmutableSandboxedEnvironment):
    """Refuses what would make much of little: `'x' * 10 ** 10`."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and isinstance(left, int) and isinstance(right, int):
            if left.bit_length() * right > _MAX_BITS:
                message = "the power is too large"
                raise OverflowError(message)
        elif _length(left, right) > MAX_OUTPUT:
            message = "the text or list would be too large"
            raise OverflowError(message)
        return super().call_binop(context, operator, left, right)


def _length(left: Any, right: Any) -> int:
    """Of a text or list that is repeated; 0 where two numbers are multiplied."""
    for many, times in ((left, right), (right, left)):
        if hasattr(many, "__len__") and isinstance(times, int):
            return len(many) * times
    return 0


def render(file: Path, values: Mapping[str, Any]) -> str:
    """Return what the template in `file` becomes with `values`.

    The last newline stays. `tojson` writes JSON as it is, not for HTML. Raises
    TemplateInvalid with file and line of what is wrong.
    """
    environment = _Environment(
        loader=FileSystemLoader(str(file.parent)),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # these are files, not pages
    )
    environment.filters["tojson"] = _tojson
    try:
        pieces = environment.get_template(file.name).generate(dict(values))
        return "".join(_bounded(pieces))
    except TemplateSyntaxError as problem:
        where = problem.filename or str(file)
        raise _invalid(problem.message or "", where, problem.lineno) from problem
    except TemplateNotFound as problem:
        why = f"no template {problem.name!r} in {file.parent}"
        raise _at(problem, why, file) from problem
    except (TemplateError, ArithmeticError, LookupError, TypeError) as problem:
        raise _at(problem, str(problem), file) from problem
    except (AttributeError, ValueError, RecursionError, MemoryError) as problem:
        raise _at(problem, str(problem), file) from problem


def _bounded(pieces: Iterator[str]) -> Iterator[str]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_OUTPUT:
            message = f"it becomes more than {MAX_OUTPUT} characters"
            raise OverflowError(message)
        yield piece


def _tojson(value: Any, indent: Optional[int] = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _at(problem: BaseException, why: str, file: Path) -> TemplateInvalid:
    """Return the mistake at the innermost line of a template that is under way."""
    place, line = str(file), 0
    for name, number in _lines(problem.__traceback__):
        if name.startswith(str(file.parent)):
            place, line = name, number
    return _invalid(why or type(problem).__name__, place, line)


def _lines(trace: Optional[TracebackType]) -> Iterator[Any]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


def _invalid(why: str, place: str, line: int) -> TemplateInvalid:
    text = _source(place)[line - 1 : line] if line else []
    shown = text[0] if text else ""
    column = len(shown) - len(shown.lstrip()) + 1
    mistake = Mistake(why, place, line, column, shown, len(shown.strip()) or 1)
    return TemplateInvalid([mistake])


def _source(place: str) -> List[str]:
    try:
        with open(place, encoding="utf-8") as file:  # noqa: PTH123  # a name from Jinja2
            return file.read().splitlines()
    except (OSError, UnicodeError):
        return []
