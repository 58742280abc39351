"""The colours of foreign text: they pass, and nothing else that a screen obeys."""

from __future__ import annotations

import re

from provctl.render.text import sanitize, truncate_text

# "Select graphic rendition": colours, bold, underlined. Other sequences move, erase
# or set something.
_COLOUR = re.compile(r"(\x1b\[[0-9;:]{0,40}m)")
_PLAIN = "\x1b[0m"


def keep_sgr(text: str, *, limit: int = 1000) -> str:
    """Make foreign text safe to show on one line as `neutralise` does, with its colours.

    They end with the line, whatever it says itself.
    """
    parts = _COLOUR.split(truncate_text(text, limit))
    if len(parts) == 1:
        return sanitize(text, limit=limit)
    # Between two colours there is no escape sequence that both of them are part of.
    parts[::2] = [sanitize(part, limit=limit) for part in parts[::2]]
    shown = "".join(parts)
    return shown if shown.endswith(_PLAIN) else shown + _PLAIN
