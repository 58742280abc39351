"""Public names consist of glossary terms and ordinary words."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path
from typing import Dict, Iterator, List, Set

ROOT = Path(__file__).parents[3]
PLAIN = Path(__file__).with_name("plain_words.txt")
# Words that had other meanings in this project than anywhere else.
FORBIDDEN = (
    "almanac audience bells book catalogue door doom farewell forecast gist hall heed"
    " household lane law luck museum office outlook pace rank reach roster said shelf"
    " spoil spread surroundings taint told tries untaken wish wishes world"
)


def words(name: str) -> List[str]:
    """The words of a name: JournalOffset -> journal, offset."""
    found = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", name)
    return [word.lower() for word in found]


def stems(word: str) -> Set[str]:
    """The word and what it may be a form of: stopped -> stop, entries -> entry."""
    found = {word, word.rstrip("s"), re.sub("ies$", "y", word)}
    for ending in ("es", "ed", "d", "ing", "er", "or"):
        if word.endswith(ending):
            stem = word[: -len(ending)]
            found |= {stem, f"{stem}e"}
            if len(stem) > 2 and stem[-1] == stem[-2]:
                found.add(stem[:-1])
    return found


def terms() -> List[str]:
    """The terms of the glossary, as its table has them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("## Glossary", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (.+?) \| .+ \|$", table, re.MULTILINE)
    return [row for row in rows if row not in ("term", "---")]


def public_names() -> Iterator[str]:
    """Modules, and the classes, functions and methods that they define."""
    for module in sorted((ROOT / "provctl").rglob("*.py")):
        if module.stem != "__init__":
            yield module.stem
        for node in ast.parse(module.read_text(encoding="utf-8")).body:
            yield from _names_in(node)


def _names_in(node: ast.AST) -> Iterator[str]:
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if isinstance(node, named) and not node.name.startswith("_"):
        yield node.name
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            yield from _names_in(inner)


@lru_cache(maxsize=1)
def used() -> Dict[str, Set[str]]:
    """Each word that public names use, and the names."""
    found: Dict[str, Set[str]] = {}
    for name in public_names():
        for word in words(name):
            found.setdefault(word, set()).add(name)
    return found


def test_public_names_use_the_words_of_the_glossary() -> None:
    known = {word for term in terms() for word in words(term)}
    known |= set(PLAIN.read_text(encoding="utf-8").split())
    unknown = {w: sorted(n) for w, n in used().items() if not stems(w) & known}
    assert not unknown, "use a term of the glossary, or add one to CONTRIBUTING.md"


def test_words_with_private_meanings_are_not_used() -> None:
    names = used()
    assert not {word: names[word] for word in FORBIDDEN.split() if word in names}


def test_each_term_is_defined_once() -> None:
    assert len(terms()) >= 120
    assert len(terms()) == len(set(terms()))


def test_ordinary_words_are_sorted_and_used() -> None:
    plain = PLAIN.read_text(encoding="utf-8").split()
    known = {word for term in terms() for word in words(term)}
    needed = {stem for word in used() for stem in stems(word)}
    assert plain == sorted(set(plain))
    assert set(plain) <= needed, "nobody uses it any more"
    assert not {word for word in plain if stems(word) & known}, "a term says it"
