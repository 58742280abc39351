"""Templates: Jinja2 text and values become text, or a mistake with its location.

A template is code of its author, but values are not: they are never read as a template.
Expressions are sandboxed, an undefined name is a mistake, and included templates must
be in the template's own folder.

Values are JSON, not Python: a name after a dot is a field before it is a method, and a
method can only be called. Printed values are text, numbers, `true`, `false` or JSON. A
value without text, such as null, is a mistake.
"""

from __future__ import annotations

import json
from functools import wraps
from typing import TYPE_CHECKING, Any, Iterable, Iterator, List, Mapping, Union

from jinja2 import (
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    nodes,
    pass_environment,
)
from jinja2.exceptions import TemplateRuntimeError
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from provctl.errors import Diagnostic, TemplateInvalid

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Optional

    from jinja2 import Environment


MAX_OUTPUT = 64 << 20  # characters
_MAX_BITS = 1 << 16  # of a power
# The filters that accept any value as text.
_TO_TEXT = (
    *("capitalize", "center", "e", "escape", "forceescape", "indent", "lower"),
    *("replace", "safe", "string", "striptags", "title", "trim", "truncate"),
    *("upper", "urlize", "wordcount", "wordwrap"),
)
_DATA = (Mapping, list, tuple, str, int, float, type(None))


class _Method(StrictUndefined):
    """A method of a value: not a field, so undefined, but callable."""

    __slots__ = ("method",)
    method: Any


class _Environment(ImmutableSandboxedEnvironment):
    """Values with JSON semantics; refuses small expressions with huge results."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        found = super().getattr(obj, attribute)
        if not isinstance(obj, _DATA) or isinstance(found, StrictUndefined):
            return found
        if not callable(found):
            return self.undefined(obj=obj, name=attribute)
        hint = (
            f"there is no field {attribute!r}; to call the method write {attribute}()"
        )
        wrapped = _Method(hint, obj, attribute)
        wrapped.method = found
        return wrapped

    def getitem(self, obj: Any, argument: Union[str, Any]) -> Any:
        if not isinstance(obj, _DATA):
            return super().getitem(obj, argument)
        value: Any = obj
        try:
            return value[argument]
        except (TypeError, LookupError):
            return self.undefined(obj=obj, name=argument)

    def call(
        __self,  # noqa: N805
        __context: Any,
        __obj: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        called = __obj.method if isinstance(__obj, _Method) else __obj
        return super().call(__context, called, *args, **kwargs)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(_Concat().visit(source), *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and isinstance(left, int) and isinstance(right, int):
            if left.bit_length() * right > _MAX_BITS:
                message = "the result of ** is too large"
                raise OverflowError(message)
        elif operator == "%" and isinstance(left, str):
            right = _arguments(right)
        elif _length(left, right) > MAX_OUTPUT:
            message = "the text or list would be too large"
            raise OverflowError(message)
        return super().call_binop(context, operator, left, right)


class _Concat(NodeTransformer):
    """Turns `a ~ b` into `[a, b] | join`: one function converts values to text."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "join", [], [], None, None, lineno=node.lineno)


def _length(left: Any, right: Any) -> int:
    """The length of a repeated text or list; 0 if two numbers are multiplied."""
    for many, times in ((left, right), (right, left)):
        if hasattr(many, "__len__") and isinstance(times, int):
            return len(many) * times
    return 0


def render(file: Path, values: Mapping[str, Any]) -> str:
    """Return the text of the template in `file` with `values`.

    The last newline stays. `tojson` writes plain JSON, not for HTML. Raises
    TemplateInvalid with file and line of the mistake.
    """
    environment = _Environment(
        loader=FileSystemLoader(str(file.parent), encoding="utf-8-sig"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # these are files, not pages
        finalize=_text,
    )
    environment.filters.update(_filters())
    try:
        pieces = environment.get_template(file.name).generate(dict(values))
        return "".join(_limit(pieces))
    except TemplateSyntaxError as problem:
        where = problem.filename or str(file)
        raise _invalid(problem.message or "", where, problem.lineno) from problem
    except TemplateNotFound as problem:
        why = f"template {problem.name!r} not found in {file.parent}"
        raise _at(problem, why, file) from problem
    except UnicodeDecodeError as problem:
        why = "the template is not UTF-8 text: save it as UTF-8"
        raise _at(problem, why, file) from problem
    except (TemplateError, ArithmeticError, LookupError, TypeError) as problem:
        raise _at(problem, str(problem), file) from problem
    except (AttributeError, ValueError, RecursionError, MemoryError) as problem:
        raise _at(problem, str(problem), file) from problem


def _limit(pieces: Iterator[str]) -> Iterator[str]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_OUTPUT:
            message = f"the output is longer than {MAX_OUTPUT} characters"
            raise OverflowError(message)
        yield piece


def _filters() -> Mapping[str, Any]:
    """Return the filters that convert values to text, with our conversion."""
    ours = {name: _of_text(FILTERS[name]) for name in _TO_TEXT}
    return {**ours, "format": _format, "join": _join, "tojson": _tojson}


def _of_text(made: Any) -> Any:
    at = 1 if hasattr(made, "jinja_pass_arg") else 0

    @wraps(made)
    def of_text(*args: Any, **kwargs: Any) -> Any:
        return made(*args[:at], _text(args[at]), *args[at + 1 :], **kwargs)

    return of_text


def _format(value: Any, *args: Any, **kwargs: Any) -> str:
    return str(_text(value) % _arguments(kwargs or args))


def _arguments(given: Any) -> Any:
    """Return the right side of `%`, with values converted to our text."""
    if isinstance(given, tuple):
        return tuple(map(_arguments, given))
    if isinstance(given, Mapping):
        return {name: _arguments(value) for name, value in given.items()}
    number = isinstance(given, (int, float)) and not isinstance(given, bool)
    return given if number else _text(given)


@pass_environment
def _join(
    environment: Environment,
    value: Iterable[Any],
    d: str = "",
    attribute: Union[str, int, None] = None,
) -> str:
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    return _text(d).join(map(_text, value))


def _text(value: Any) -> str:
    """Return the text of a value."""
    if isinstance(value, str):
        return value
    if isinstance(value, StrictUndefined):
        return str(value)  # raises what it is the mistake of
    if value is None:
        message = (
            "null cannot be printed; give a default, `default('none', true)`, or"
            " `tojson`"
        )
        raise TemplateRuntimeError(message)
    return _tojson(value)


def _tojson(value: Any, indent: Optional[int] = None) -> str:
    return json.dumps(
        value, ensure_ascii=False, indent=indent, allow_nan=False, default=_refuse
    )


def _refuse(value: Any) -> str:
    if isinstance(value, StrictUndefined):
        return str(value)  # raises what it is the mistake of
    message = f"{type(value).__name__} cannot be printed; if it is a list, add `| list`"
    raise TemplateRuntimeError(message)


def _at(problem: BaseException, why: str, file: Path) -> TemplateInvalid:
    """Return the mistake at the innermost line of the running template."""
    place, line = [(str(file), 0), *_lines(problem.__traceback__)][-1]
    return _invalid(why or type(problem).__name__, place, line)


def _lines(trace: Optional[TracebackType]) -> Iterator[Any]:
    """Return the lines of templates in a traceback."""
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_globals.get("__name__") == frame.f_code.co_filename:
            yield frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


def _invalid(why: str, place: str, line: int) -> TemplateInvalid:
    text = _source(place)[line - 1 : line] if line else []
    shown = text[0] if text else ""
    column = len(shown) - len(shown.lstrip()) + 1
    mistake = Diagnostic(why, place, line, column, shown, len(shown.strip()) or 1)
    return TemplateInvalid([mistake])


def _source(place: str) -> List[str]:
    try:
        with open(place, encoding="utf-8-sig") as file:  # noqa: PTH123  # a name from Jinja2
            return file.read().splitlines()
    except (OSError, UnicodeError):
        return []
