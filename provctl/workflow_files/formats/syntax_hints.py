"""Hints for files that cannot be parsed: what is not closed and where, what is missing.

Parsers report where they gave up, often far below the mistake. A scan that knows
Nickel's texts, comments and brackets finds what is still open there; JSON and most of
TOML look the same to it. It gives no hint unless it is sure: a wrong hint is worse than
none.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Iterator, List, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from provctl.workflow_files.source_text import SourceText


_MAX_LENGTH = 64 << 10  # characters of a scanned file
_MAX_OPEN = 100  # nested texts with code
_MAX_TRIES = 20
_MAX_TRIED = 512 << 10  # characters that are scanned again for trial closings

_CODE = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)
    |(?P<block>(?:m|[a-z][a-z-]*-s)(?P<marks>%+)")
    |(?P<quote>")
    |(?P<name>_*[A-Za-z][A-Za-z0-9_'-]*)
    |(?P<number>[0-9][0-9A-Za-z_]*(?:\.[0-9]+)?)
    |(?P<tag>'[A-Za-z_][A-Za-z0-9_'-]*)
    |(?P<sign>=>|->|==|!=|<=|>=|//|\|\||&&|\+\+|\|>|.)""",
    re.DOTALL | re.VERBOSE,
)
_SPACES = re.compile(r"[ \t]*")
_IN_TEXT = re.compile(r'\\.|%\{|"', re.DOTALL)
_BLOCK = re.compile(r'(?<![A-Za-z0-9_])m%+"')
_IMPORT = re.compile(r'\blet\s+(\w+)\s*=\s*import\s*"provctl\.ncl"')
_ELSEWHERE = re.compile(r"\"\"\"|'|%\{|m%+\"|-s%+\"")
_QUOTED = re.compile(r"'[A-Za-z_][A-Za-z0-9_-]*'")
_CLOSERS = {"}": "{", "]": "[", ")": "("}
_NO_VALUES = frozenset(
    ["let", "in", "if", "then", "else", "fun", "import", "match", "forall", "rec"]
)
# Keywords after a `|` that have their own `=`.
_NO_FIELDS = frozenset(
    ["default", "force", "priority", "doc", "optional", "not_exported"]
)
_SPELLED = {"True": "true", "False": "false", "None": "null", "nil": "null"}
_PARSING = ("unexpected token", "unexpected end of file", "unmatched closing")
_CONTRACTS = ("invalid contract expression", "statically typed field without")


def nickel_hint(source: SourceText, at: int, message: str) -> str:
    """Return a hint about an error of Nickel at an offset; empty if not sure."""
    if len(source.text) > _MAX_LENGTH:
        return ""
    if message.startswith("unbound identifier"):
        return _unbound(source, message)
    scan = _scan(source.text)
    if message.startswith(_PARSING):
        return _hint_unclosed(scan, source) or _local(scan, source, at)
    if message.startswith(_CONTRACTS):
        return _colon(scan, source, at)
    if message.startswith("not a function"):
        return _hint_missing_comma(scan, source, at)
    return ""


def open_hint(source: SourceText) -> str:
    """Return what is not closed in a file of another format; empty if not sure."""
    # Texts that exist only there, or only here.
    if len(source.text) > _MAX_LENGTH or _ELSEWHERE.search(source.text):
        return ""
    return _hint_unclosed(_scan(source.text), source)


def quoted_tag(source: SourceText) -> Optional[int]:
    """Return where a tag was meant as a text: Nickel reads `'web'` as `web'`."""
    if len(source.text) > _MAX_LENGTH or _QUOTED.search(source.text) is None:
        return None
    tags = (token for token in _scan(source.text).tokens if token.kind == "tag")
    return next((tag.start for tag in tags if tag.text.endswith("'")), None)


# --- the scan ----------------------------------------------------------------------


class _Token(NamedTuple):
    """A word, a number, a sign, or a whole text."""

    kind: str
    text: str
    start: int
    end: int


class _Opener(NamedTuple):
    """An open bracket, text, or code in a text; `marks` of a block."""

    text: str
    start: int
    marks: int = 0


@dataclass
class _Scan:
    """What was found: tokens by their ends, and whatever is not in order.

    `open` is what the file ends in; `wrong` an opener and the place of another's
    closer; `outdented` openers and the places of their closers where the line of the
    closer begins further left than that `lines` the texts that do not end in their line; `blocks` those that have the
    beginning of another one in them.
    """

    tokens: List[_Token] = field(default_factory=list)
    open: List[_Opener] = field(default_factory=list)
    wrong: Optional[Tuple[_Opener, int]] = None
    extra: bool = False
    outdented: List[Tuple[_Opener, int]] = field(default_factory=list)
    lines: List[_Opener] = field(default_factory=list)
    blocks: List[_Opener] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not (self.open or self.wrong or self.extra)


def _scan(text: str) -> _Scan:
    scan, at = _Scan(), 0
    while at < len(text) and scan.wrong is None:
        top = scan.open[-1].text if scan.open else ""
        if top in ('"', "block"):
            at = _in_text(scan, text, at)
        else:
            at = _in_code(scan, text, at)
    texts = [opener for opener in scan.open if opener.text in ('"', "block")]
    for opener in texts[:_MAX_OPEN]:
        _note_text(scan, text, opener, len(text))
    return scan


def _in_code(scan: _Scan, text: str, at: int) -> int:
    found = _CODE.match(text, at)
    assert found is not None, "the last sign is any character"
    kind, word = str(found.lastgroup), found.group()
    if found.group("block"):
        scan.open.append(_Opener("block", at, len(found.group("marks"))))
    elif kind == "quote" or word in ("{", "[", "("):
        scan.open.append(_Opener(word, at))
        if kind != "quote":
            scan.tokens.append(_Token("sign", word, at, found.end()))
    elif word in _CLOSERS:
        _close(scan, text, word, at)
    elif kind != "skip":
        scan.tokens.append(_Token(kind, word, at, found.end()))
    return found.end()


def _close(scan: _Scan, text: str, word: str, at: int) -> None:
    if not scan.open:
        scan.extra = True
        return
    opener = scan.open[-1]
    if word == "}" and opener.text == "%{":
        scan.open.pop()
        return
    if opener.text != _CLOSERS[word]:
        scan.wrong = (opener, at)
        return
    scan.open.pop()
    scan.tokens.append(_Token("sign", word, at, at + 1))
    if at and not text[at - 1].isspace():
        return
    indent = _indent(text, at)
    if indent == at - _line(text, at) and indent < _indent(text, opener.start):
        scan.outdented.append((opener, at))


def _in_text(scan: _Scan, text: str, at: int) -> int:
    opener = scan.open[-1]
    inside = _IN_TEXT
    if opener.marks:
        inside = re.compile(rf'%{{{opener.marks},}}\{{|"%{{{opener.marks}}}')
    found = inside.search(text, max(at, opener.start + 1))
    if opener.marks and at == opener.start:
        found = inside.search(text, at + opener.marks + 2)
    if found is None:
        return len(text)
    word = found.group()
    if word.startswith('"'):
        scan.open.pop()
        scan.tokens.append(_Token("text", opener.text, opener.start, found.end()))
        _note_text(scan, text, opener, found.start())
    elif word.endswith("{"):
        scan.open.append(_Opener("%{", found.end() - 2))
    return found.end()


def _note_text(scan: _Scan, text: str, opener: _Opener, end: int) -> None:
    inside = text[opener.start + 1 : end]
    if opener.text == '"' and ("\n" in inside or end == len(text)):
        scan.lines.append(opener)
    if opener.text == "block" and _BLOCK.search(inside, opener.marks):
        scan.blocks.append(opener)


def _line(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _indent(text: str, at: int) -> int:
    """The indentation of the line of an offset."""
    found = _SPACES.match(text, _line(text, at))
    return 0 if found is None else len(found.group())


# --- what is open ------------------------------------------------------------------


def _hint_unclosed(scan: _Scan, source: SourceText) -> str:
    if scan.sound:
        return ""
    if scan.blocks:
        return _not_closed(scan.blocks[0], source)
    found = _open_text(scan, source) or _find_unmatched(scan, source)
    if found is not None:
        return _not_closed(found, source)
    if scan.lines:
        return ""  # brackets may be in texts, and texts between them
    if scan.wrong is not None:
        opener, at = scan.wrong
        closer = f"`{source.text[at]}` at {_place(source, at)}"
        return f"{_not_closed(opener, source)} before the {closer}"
    if scan.open:
        return f"{_not_closed(scan.open[-1], source)} at the end of the file"
    return ""


def _open_text(scan: _Scan, source: SourceText) -> Optional[_Opener]:
    """Return the text that is not closed: closing it in its line solves everything."""
    text, mending = source.text, set()
    remaining = min(_MAX_TRIES, _MAX_TRIED // (len(text) + 1))
    for opener in scan.lines:
        end = text.find("\n", opener.start)
        end = len(text) if end < 0 else end
        places = re.compile(r"[,)\]}]").finditer(text, _line(text, opener.start), end)
        for at in (*(place.start() for place in places), end):
            remaining -= 1
            if remaining < 0:
                return None
            mended = _string_start(f'{text[:at]}"{text[at:]}', at)
            if mended is not None:
                mending.add(mended)
    if len(mending) == 1:
        return _Opener('"', mending.pop())
    inner = [opener for opener in scan.open if opener.text == "%{"]
    return inner[0] if len(inner) == 1 and not mending else None


def _string_start(text: str, at: int) -> Optional[int]:
    """Return where the text begins that a `"` at `at` closes, if that solves all."""
    scan = _scan(text)
    closed = [n for n, token in enumerate(scan.tokens) if token.end == at + 1]
    if not scan.sound or not closed or scan.lines:
        return None
    around = scan.tokens[max(closed[0] - 1, 0) : closed[0] + 2]
    same_line = [t for t in around if _line(text, t.start) == _line(text, at)]
    if sum(token.kind in ("text", "name", "number") for token in same_line) > 1:
        return None
    return scan.tokens[closed[0]].start


def _find_unmatched(scan: _Scan, source: SourceText) -> Optional[_Opener]:
    """Return the bracket without a match whose closing solves everything."""
    if not scan.outdented or scan.wrong is not None:
        return None
    opener, at = scan.outdented[0]
    line = _line(source.text, at)
    closer = " " * _indent(source.text, opener.start) + source.text[at] + "\n"
    mended = _scan(source.text[:line] + closer + source.text[line:])
    return opener if mended.sound and not mended.outdented else None


def _not_closed(opener: _Opener, source: SourceText) -> str:
    word = source.text[opener.start :][: opener.marks + 2] if opener.marks else ""
    return (
        f"the `{word or opener.text}` at {_place(source, opener.start)} is not closed"
    )


def _place(source: SourceText, at: int) -> str:
    place = source.place(at, at + 1)
    return f"{place.file}:{place.line}:{place.column}"


# --- missing parts, and syntax of other languages ----------------------------------


def _local(scan: _Scan, source: SourceText, at: int) -> str:
    """Return what is wrong at a token that Nickel did not expect."""
    tokens = [*reversed(_before(scan, at))]
    here = next((token for token in scan.tokens if token.start == at), None)
    if here is None or not tokens:
        return ""
    last = tokens[0]
    if here.text == "//":
        return "comments begin with `#`"
    if here.text in ("}", "]", ")", ",") and last.text == "=":
        return f"the value after the `=` at {_place(source, last.start)} is missing"
    if here.text == "->" and "fun" in [token.text for token in tokens[:6]]:
        return "write `=>` after the arguments of a function"
    if here.text != "in" and _is_import(tokens[:5]):
        return f"`in` is missing after the import at {_place(source, tokens[1].start)}"
    return _at_equals(here, tokens, source)


def _at_equals(here: _Token, tokens: List[_Token], source: SourceText) -> str:
    """Return what is wrong with a key or before it, by the tokens before its `=`."""
    if here.text not in ("=", "=="):
        return ""
    before = next(_behind_key(tokens), None)
    if before is None or tokens[0].text in _NO_FIELDS:
        return ""
    if here.text == "==":
        return "write `=`: `==` compares" if before.text in ("{", ",") else ""
    if before.text == ";":
        return f"write `,` instead of the `;` at {_place(source, before.start)}"
    if _ends_value(before):
        return f"a `,` is missing after {_place(source, before.end - 1)}"
    return ""


def _before(scan: _Scan, at: int) -> List[_Token]:
    return scan.tokens[: bisect_left([token.end for token in scan.tokens], at + 1)]


def _is_import(tokens: List[_Token]) -> bool:
    """Whether the tokens, the last one first, are `let p = import "a file"`."""
    words = [token.text for token in tokens]
    return words[1:3] == ["import", "="] and words[4:] == ["let"]


def _behind_key(tokens: List[_Token]) -> Iterator[_Token]:
    """Return the token before a key such as `a."b".c`; the last one is the first."""
    for name, sign in zip(tokens[::2], tokens[1::2]):
        if name.kind not in ("name", "text") or name.text in _NO_VALUES:
            return
        if sign.text != ".":
            yield sign
            return


def _ends_value(token: _Token) -> bool:
    if token.kind == "name":
        return token.text not in _NO_VALUES
    return token.kind in ("text", "number", "tag") or token.text in _CLOSERS


def _colon(scan: _Scan, source: SourceText, at: int) -> str:
    """Return that a field has `:` instead of `=`, before or after the offset."""
    before = _before(scan, at)
    later = [token for token in scan.tokens if token.start > at]
    sign = next((t for t in (*before[-1:], *later[:1]) if t.text == ":"), None)
    if sign is None:
        return ""
    return f"write `=` instead of the `:` at {_place(source, sign.start)}"


def _hint_missing_comma(scan: _Scan, source: SourceText, at: int) -> str:
    """Return that a comma is missing after a value, which looks like a function."""
    tokens = [token for token in scan.tokens if token.start >= at]
    if not scan.sound or not tokens or tokens[0].start != at:
        return ""
    last, depth = tokens[0], 0
    for token in tokens if last.text in ("{", "[") else ():
        depth += (token.text in ("{", "[", "(")) - (token.text in _CLOSERS)
        if depth == 0:
            last = token
            break
    if not _ends_value(last) or last.kind == "name":
        return ""
    return f"a `,` is missing after {_place(source, last.end - 1)}"


def _unbound(source: SourceText, message: str) -> str:
    name = message.partition("`")[2].partition("`")[0]
    if name in _SPELLED:
        return f"write `{_SPELLED[name]}`"
    if name not in ("p", "provctl"):
        return ""
    imported = _IMPORT.search(source.text)
    if imported is not None and imported[1] != name:
        return f"the file imports provctl.ncl as `{imported[1]}`"
    used = re.search(rf"(?<![\w.]){name}\s*\.\s*[A-Za-z_]", source.text)
    if imported is None and used:
        return f'begin the file with: let {name} = import "provctl.ncl" in'
    return ""
