"""Owns a Nushell library for benchmarks: 20 nouns with 10 verbs each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_library"]

_VERBS = [
    "create",
    "delete",
    "list",
    "show",
    "start",
    "stop",
    "resize",
    "rename",
    "tag",
    "move",
]

_MODULE = """\
# {verb} things of the kind {noun}

# Do {verb} with a {noun}.
export def {verb}-{noun} [
    name: string # its name
    --zone (-z): string = "es-mad1" # where
    --size: filesize = 10gb
    --wait # until it is there
    ...tags: string
] {{
    {{name: $name, zone: $zone, size: $size}}
}}
"""


def write_library(folder: Path) -> Path:
    """Write 200 commands below `folder`, each a module of its own; return `folder`."""
    for letter in "abcdefghijklmnopqrst":
        noun = f"thing{letter}"
        (folder / f"{noun}s").mkdir(parents=True)
        for verb in _VERBS:
            text = _MODULE.format(verb=verb, noun=noun)
            (folder / f"{noun}s" / f"{verb}.nu").write_text(text, encoding="utf-8")
    return folder
