"""Covering texts that must not be seen: what is found becomes as many `*`.

As long as before, so that no offset moves and a full disk does not matter. The
forms to look for come from the owner (see `base.redact`).
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from functools import partial
from typing import Iterable, Iterator, List, Set

TYPE_CHECKING = False  # see `shim`
if TYPE_CHECKING:
    from typing import Dict, List, Sequence, Tuple


_BEGINNING = 12  # bytes

# What JSON consists of besides brackets, commas, colons and constants.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)


def find_secrets(data: bytes, forms: Sequence[bytes]) -> List[Tuple[int, int]]:
    """Where any of the forms begin and end in `data`; they may overlap."""
    # Many forms of a text have the same beginning: search for it once.
    alike: Dict[bytes, List[bytes]] = {}
    for form in forms:
        alike.setdefault(form[:_BEGINNING], []).append(form)
    found = []
    for beginning, those in alike.items():
        sought = beginning if len(those) > 1 else those[0]
        at = data.find(sought)
        while at >= 0:
            found += [(at, at + len(f)) for f in those if data.startswith(f, at)]
            at = data.find(sought, at + 1)
    return found


def redact_bytes(data: bytes, forms: Sequence[bytes]) -> bytes:
    """Return `data` with every form in it redacted."""
    covered = bytearray(data)
    for begin, end in find_secrets(data, forms):
        covered[begin:end] = b"*" * (end - begin)
    return bytes(covered)


def redact_json(text: str, forms: Sequence[bytes]) -> str:
    """Return a JSON text with every form in its strings and numbers redacted.

    Each value separately, in its decoded form, so the result is still JSON. A number
    becomes a string.
    """
    words = [_read(token[0]) for token in _TOKEN.finditer(text)]
    # All at once, because there are many. UTF-8 never has this byte, so none spans two.
    hidden = redact_bytes(b"\xff".join(words), forms).split(b"\xff")
    pairs = zip(words, hidden)

    def covered(token: re.Match[str]) -> str:
        word, shown = next(pairs)
        return (
            token[0] if word == shown else json.dumps(shown.decode("utf-8", "replace"))
        )

    return _TOKEN.sub(covered, text)


def _read(token: str) -> bytes:
    """Return the decoded text of a JSON string or number."""
    try:
        word = json.loads(token)
    except ValueError:
        word = token
    text = word if isinstance(word, str) else token
    return text.encode("utf-8", "surrogatepass")


LEAST = 6  # characters
# How programs wrap lines: `base64` and `openssl`; `xxd -p`.
_WRAPPED_AT = (76, 64)
_HEX_WRAPPED_AT = 60

# Characters that programs do not encode in a URL, beside ASCII letters and digits.
_UNQUOTED = (
    b"",  # Nushell: url encode --all
    b"./:",  # Nushell: url encode
    b"*-._",  # Nushell: url build-query; Java, browsers: forms
    b"-._",  # PHP
    b"-._~",  # RFC 3986: curl, Go, jq, Python
    b"-._~/",  # Python: paths
    b"-._~!'()*",  # JavaScript: encodeURIComponent
    b"-._~!'()*/",
    b"-._~!'()*/;,?:@&=+$#",  # JavaScript: encodeURI
)
# How they write `"`, `'` and `/` in HTML and XML.
_ENTITIES = (
    ('"', "'", "/"),
    ("&quot;", "'", "/"),
    ("&quot;", "&#x27;", "/"),  # Python
    ("&quot;", "&#x27;", "&#x2f;"),  # Nushell: to html
    ("&quot;", "&#x27;", "&#x2F;"),
    ("&quot;", "&#39;", "/"),  # JavaScript
    ("&quot;", "&#039;", "/"),  # PHP
    ("&quot;", "&apos;", "/"),  # XML; jq
    ("&#34;", "&#39;", "/"),  # Go, Jinja
)
# How shells write `'` between single quotes: most of them, Python's `shlex`.
_SINGLE_QUOTES = ("'\\''", "'\"'\"'")


def encodings_of(texts: Iterable[str]) -> List[str]:
    """Return all forms to be redacted for these texts, longest first."""
    found: Set[str] = set()
    for text in texts:
        whole = {text, text.strip(), *map(str.strip, text.splitlines())}
        for each in whole:
            if len(each) >= LEAST:
                found.update(_forms(each))
    wanted = (form for form in found if len(form) >= LEAST)
    return sorted(wanted, key=lambda form: (-len(form), form))


def _forms(text: str) -> Iterator[str]:
    """The text itself, and the forms in which programs encode it."""
    yield text
    yield from _in_json(text)
    yield from _in_urls(text)
    yield from _in_pages(text)
    yield from _quoted(text)
    raw = text.encode("utf-8", "surrogatepass")
    yield from _base64(raw)
    yield from _hexadecimal(raw)


def _in_json(text: str) -> Iterator[str]:
    for ascii_only in (True, False):
        form = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield form
        yield form.replace("/", "\\/")  # PHP
        # Go and others write special characters of HTML as numbers.
        yield re.sub("[<>&]", lambda sign: f"\\u{ord(sign.group()):04x}", form)


def _in_urls(text: str) -> Iterator[str]:
    raw = text.encode("utf-8", "surrogatepass")
    for unquoted in _UNQUOTED:
        others = b"[^A-Za-z0-9%s]" % re.escape(unquoted)
        for digits in (b"%%%02X", b"%%%02x"):
            form = re.sub(others, partial(_quote, digits), raw).decode()
            yield form
            yield form.replace("%20", "+")


def _quote(digits: bytes, byte: re.Match[bytes]) -> bytes:
    return digits % ord(byte.group())


def _in_pages(text: str) -> Iterator[str]:
    form = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for signs in _ENTITIES:
        yield form.translate(dict(zip(map(ord, "\"'/"), signs)))


def _quoted(text: str) -> Iterator[str]:
    """The text between quotes of shells and other languages, or with backslashes."""
    for instead in _SINGLE_QUOTES:
        yield text.replace("'", instead)
    for quote in "'\"":
        yield text.replace(quote, quote * 2)
    yield re.sub(r'["$`\\]', r"\\\g<0>", text)
    yield re.sub(r"[^\w%+,./:=@~-]", r"\\\g<0>", text)  # bash: printf %q


def _base64(raw: bytes) -> Iterator[str]:
    """The base64 characters that these bytes alone determine, at each offset."""
    for offset in range(3):
        code = b64encode(bytes(offset) + raw).decode()
        first = -(-offset * 8 // 6)
        last = (offset + len(raw)) * 8 // 6
        for alphabet in (code, code.replace("+", "-").replace("/", "_")):
            yield alphabet[first:last]
    code = b64encode(raw).decode()[: len(raw) * 8 // 6]
    for width in _WRAPPED_AT:
        yield from _lines(code, width)


def _hexadecimal(raw: bytes) -> Iterator[str]:
    for code in (raw.hex(), raw.hex().upper()):
        yield code
        yield from _lines(code, _HEX_WRAPPED_AT)


def _lines(code: str, width: int) -> Iterator[str]:
    """The lines into which a program wraps a code; none if one line is enough."""
    if len(code) > width:
        yield from (code[at : at + width] for at in range(0, len(code), width))
