"""Writes the manual pages, from the same texts as `--help` and `provctl help`.

    python .ci/docs/manpages.py [FOLDER]        default: build/man

Commands are in section 1 (`man provctl-workflow-run`), topics in section 7
(`man provctl-recovery`). A short form, such as `provctl run`, is an alias of the page
of the long one. To read them: `man -M build/man provctl`.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

import click

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from provctl import __version__  # noqa: E402
from provctl.cli import help_pages  # noqa: E402
from provctl.cli.main import cli  # noqa: E402
from provctl.cli.session import Session  # noqa: E402

# Wide enough that no sentence of a help is wrapped: that is for `man` to do.
_WIDE = 2000
_GLOBAL = "Global options:"
_HEADING = re.compile(r"^(\S.*):$")


@dataclass(frozen=True)
class _Command:
    """A command by its words, without the program's name, and what lists say of it."""

    words: Tuple[str, ...]
    context: click.Context
    about: str

    @property
    def page(self) -> str:
        """The name of its page."""
        return "-".join(["provctl", *self.words])


def _commands(ctx: click.Context, about: str) -> Iterator[_Command]:
    yield _Command(tuple(ctx.command_path.split()[1:]), ctx, about)
    group = ctx.command
    if not isinstance(group, click.Group):
        return
    abouts = dict(getattr(group, "abouts", lambda _: ())(ctx))
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None, name
        below = click.Context(command, parent=ctx, info_name=name)
        yield from _commands(below, abouts.get(name, command.get_short_help_str()))


def commands() -> List[_Command]:
    """Return all commands and groups; a short form is one of its own."""
    root = click.Context(
        cli,
        info_name="provctl",
        obj=Session(),
        terminal_width=_WIDE,
        max_content_width=_WIDE,
    )
    return list(_commands(root, (cli.help or "").partition("\n")[0]))


def pages() -> Dict[str, str]:
    """Return all manual pages, by their paths in a folder of such pages."""
    found: Dict[str, str] = {}
    for each in commands():
        longer = long_form(each.words)
        is_alias = longer != each.words
        alias = f".so man1/{'-'.join(['provctl', *longer])}.1\n"
        found[f"man1/{each.page}.1"] = alias if is_alias else _of_command(each)
    for name, about in help_pages.topics().items():
        found[f"man7/provctl-{name}.7"] = _of_topic(name, about)
    return found


def long_form(words: Tuple[str, ...]) -> Tuple[str, ...]:
    """Return the words that a short form is short for; of any other the same."""
    if len(words) != 1:
        return words
    return tuple(cli.long_form(words[0]).split())


def _of_command(command: _Command) -> str:
    lines = help_pages.page(command.context).splitlines()
    usage = lines[0].replace("Usage: ", "", 1)
    head = _head(command.page, 1, command.about)
    synopsis = [".SH SYNOPSIS", _bold(usage), ".SH DESCRIPTION"]
    return _joined([*head, *synopsis, *_sections(lines[1:])])


def _of_topic(name: str, about: str) -> str:
    lines = help_pages.topic(name).splitlines()[1:]
    text = [".SH DESCRIPTION", ".nf", *map(_escaped, lines), ".fi"]
    return _joined([*_head(f"provctl-{name}", 7, about), *text])


def _head(page: str, section: int, about: str) -> List[str]:
    about = about.rstrip(".:")
    return [
        f'.TH {page.upper()} {section} "" "provctl {__version__}" "provctl"',
        ".SH NAME",
        f"{_escaped(page)} \\- {_escaped(about)}",
    ]


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _escaped(line: str) -> str:
    """Return a line as text: nothing in it is a request or an escape."""
    line = line.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti")
    line = line.replace("^", "\\(ha").replace("`", "\\(ga")
    return f"\\&{line}" if line[:1] in (".", "'") else line


def _bold(line: str) -> str:
    return f"\\fB{_escaped(line)}\\fR"


def _sections(lines: Sequence[str]) -> Iterator[str]:
    """Convert the lines of a help: paragraphs, then sections with entries."""
    heading = ""
    for line in lines:
        found = _HEADING.match(line)
        if found:
            heading = found[1]
            yield f".SH {_escaped(heading).upper()}"
        elif line.startswith(_GLOBAL):
            yield from (".SH GLOBAL OPTIONS", _escaped(line[len(_GLOBAL) :].strip()))
        elif not line.strip():
            yield from [".PP"] if not heading else []
        elif heading == "Examples":
            yield from (".br", _escaped(line.strip()))
        elif heading in ("", "See also"):
            yield _escaped(line.strip())
        else:
            yield from _entry(line)


def _entry(line: str) -> Iterator[str]:
    """Convert a line of a list: a term, what it means, or both."""
    if line.startswith("   "):  # the rest of an entry whose term is long
        yield _escaped(line.strip())
        return
    term, _, meaning = line.strip().partition("  ")
    yield from (".TP", _bold(term))
    if meaning:
        yield _escaped(meaning.strip())


def main() -> None:
    """Write the pages into a folder."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build" / "man"
    written = pages()
    for path, text in written.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(written)} pages in {folder}\n")


if __name__ == "__main__":
    main()
