"""The documentation as tests read it: README and the pages of docs/."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, NamedTuple

__all__ = [
    "DOCUMENTS",
    "README",
    "ROOT",
    "Block",
    "all_blocks",
    "blocks",
    "page",
    "section",
    "spans",
]

ROOT = Path(__file__).resolve().parents[2]
README = "README.md"

# The texts by their paths. Pages that include CONTRIBUTING.md and CHANGELOG.md have no
# text of their own.
DOCUMENTS: Dict[str, str] = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / README, *sorted((ROOT / "docs").glob("*.md"))]
}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of code: its document, its language, and its text."""

    document: str
    language: str
    text: str

    def __str__(self) -> str:
        words = re.findall(r"[a-z]\w*", self.text)
        return "-".join([Path(self.document).stem, *words[:4]])


def page(name: str) -> str:
    """The text of a page of docs/."""
    return DOCUMENTS[f"docs/{name}.md"]


def section(name: str, heading: str) -> str:
    """The text below a heading of a page, up to the next one."""
    _, found, rest = page(name).partition(f"\n## {heading}\n")
    assert found, f"docs/{name}.md has no section {heading!r}"
    return rest.partition("\n## ")[0]


def blocks(language: str) -> List[Block]:
    """The blocks of code in one language, in all documents."""
    found = [each for each in all_blocks() if each.language == language]
    assert found, f"no document has a block in {language}"
    return found


def all_blocks() -> List[Block]:
    """All blocks of code."""
    return [
        Block(name, *found)
        for name, text in DOCUMENTS.items()
        for found in _BLOCK.findall(text)
    ]


def spans(document: str) -> List[str]:
    """The code spans within the sentences of a document, each on one line."""
    text = _BLOCK.sub("", DOCUMENTS[document])
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]
