"""Nushell libraries for benchmarks: 20 nouns with 10 verbs each, and large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_large_library", "write_library"]

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


_HELPER = """
# Help with number {number}.
export def helper-{number} [name: string, --zone (-z): string = "es-mad1"] {{
    if $name == "" {{ $zone }} else {{ $name | str upcase }}
}}
"""


def write_large_library(folder: Path, modules: int, commands: int) -> Path:
    """Write so many modules with so many commands in total below `folder`.

    Each module has one verb; its other commands are helpers.
    """
    for number in range(modules):
        noun, verb = f"thing{number // len(_VERBS)}", _VERBS[number % len(_VERBS)]
        helpers = (number + 1) * commands // modules - number * commands // modules - 1
        text = _MODULE.format(verb=verb, noun=noun)
        text += "".join(_HELPER.format(number=helper) for helper in range(helpers))
        (folder / f"{noun}s").mkdir(parents=True, exist_ok=True)
        (folder / f"{noun}s" / f"{verb}.nu").write_text(text, encoding="utf-8")
    return folder


def write_library(folder: Path) -> Path:
    """Write 200 commands below `folder`, each in its own module; return `folder`."""
    for letter in "abcdefghijklmnopqrst":
        noun = f"thing{letter}"
        (folder / f"{noun}s").mkdir(parents=True)
        for verb in _VERBS:
            text = _MODULE.format(verb=verb, noun=noun)
            (folder / f"{noun}s" / f"{verb}.nu").write_text(text, encoding="utf-8")
    return folder
