"""A mistake before its place is known: a path into the document and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Iterable, List, Optional, Tuple, Union

from provctl.base import suggest
from provctl.base.light_dataclass import light_dataclass

if TYPE_CHECKING:
    from provctl.core.model.workflow import NushellCall, Placement

DocPath = Tuple[Union[str, int], ...]

# What is generated wrongly may be wrong a million times; these are enough to see why.
MAX_FOUND = 10_000
# Comparing names costs; a file with more wrong names than this has one cause.
MAX_HINTS = 50


@light_dataclass
class SourceLocation:
    """A location: line and column from 1, and the text of the line."""

    file: str
    line: int
    column: int
    span: int
    text: str


@light_dataclass
class ValidationIssue:
    """One mistake; `path` leads to it, `on_key` if the field's name is at fault."""

    path: DocPath
    message: str
    hint: str = ""
    on_key: bool = False


@light_dataclass
class CallError:
    """What is wrong with a call: its `field` at fault, in words, what to do."""

    field: str
    message: str
    hint: str


# Looks whether a call can work; it is given the library, None for the configured one.
# Why no machine is as a task wants it; empty if one is.
PlaceCheck = Callable[["Placement"], str]
CallCheck = Callable[[Optional[str], "NushellCall"], Optional[CallError]]


class ValidationIssues:
    """The mistakes found so far, in the order they were found.

    `others` counts those after the first 10,000.
    """

    def __init__(self) -> None:
        self.found: List[ValidationIssue] = []
        self.others = 0
        self._hints = 0

    def add(
        self, path: DocPath, message: str, hint: str = "", *, on_key: bool = False
    ) -> None:
        """Note a mistake."""
        if len(self.found) == MAX_FOUND:
            self.others += 1
            return
        self.found.append(ValidationIssue(path, message, hint, on_key))

    def add_unknown(
        self,
        path: DocPath,
        message: str,
        name: str,
        known: Iterable[str],
        *,
        hint: str = "",
        on_key: bool = False,
    ) -> None:
        """Note a name that is not among `known`; hints at the nearest one."""
        self._hints += 1
        close = suggestion(name, known) if self._hints <= MAX_HINTS else ""
        self.add(path, message, close or hint, on_key=on_key)


def suggestion(name: str, known: Iterable[str]) -> str:
    """A question with the known name most like `name`; empty if none is."""
    close = suggest.closest_match(name, known)
    return f"did you mean `{close}`?" if close else ""
