"""Owns what every verb is handed: the session, and how records are printed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, List, Mapping, Optional, Sequence

import click

from provctl.cli.called import Called

if TYPE_CHECKING:
    from provctl.app.reach import Reach
    from provctl.config.load import Loaded
    from provctl.journal.folder import StateFolder
    from provctl.journal.lock import Holder
    from provctl.journal.summary import RunSummary
    from provctl.nushell.index import LibraryIndex

__all__ = [
    "OUTPUTS",
    "VIEWS",
    "Session",
    "emit",
    "many",
    "plain",
    "session_of",
    "tell_help",
    "tell_version",
    "width_of",
]

OUTPUTS = ("table", "json", "jsonl", "name")
VIEWS = ("live", "plain", "group")


@dataclass(frozen=True)
class Session:
    """One invocation of provctl: what was asked, and the settings that follow.

    `output` is one of `OUTPUTS`; `shown` one of `VIEWS`, "" for what fits; `flags`
    maps keys to what flags gave (see `load_settings`). Settings are read when first asked for, so that verbs
    which need none work beside a broken file; then ConfigInvalid is raised.
    `quiet`: only results and errors are told; `verbosity` counts how much more is.
    `called` knows the flags for commands that people are told of.
    """

    output: str = "table"
    shown: str = ""
    flags: Mapping[str, object] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    config_file: Optional[str] = None
    quiet: bool = False
    verbosity: int = 0
    called: Called = field(default_factory=Called)

    def say(self, words: str, level: int = 1) -> None:
        """Tell what is being done, on stderr, to who asked for so much of it."""
        if self.verbosity >= level:
            click.echo(plain(words), err=True)

    @cached_property
    def loaded(self) -> Loaded:
        """The settings and where each comes from."""
        from provctl.config.load import load_settings

        loaded = load_settings(
            flags=self.flags, environ=self.environ, config_file=self.config_file
        )
        if self.verbosity:
            self._say_origins(loaded)
        return loaded

    def _say_origins(self, loaded: Loaded) -> None:
        from provctl.config.paths import config_files

        files = config_files(environ=self.environ, config_file=self.config_file)
        for file in files:
            read = "read" if os.access(file.path, os.F_OK) else "not there"
            self.say(f"configuration: {file.path} ({file.role}, {read})")
        for key, origin in loaded.origins.items():
            if origin != "default":
                self.say(f"setting: {key} by {origin}", 2)

    @cached_property
    def state_dir(self) -> Path:
        """The state directory; it may not exist yet."""
        from provctl.config.paths import state_dir

        return state_dir(self.loaded.settings)

    @cached_property
    def folder(self) -> StateFolder:
        """The layout of the state directory."""
        from provctl.journal.folder import StateFolder

        self.say(f"state directory: {self.state_dir.absolute()}")
        return StateFolder(self.state_dir.absolute())

    def accounts(self) -> List[RunSummary]:
        """Return the account of every run, oldest first. Raises StateUnusable."""
        from provctl.app.roster import accounts

        return accounts(self.folder)

    @cached_property
    def library_folder(self) -> Optional[Path]:
        """The folder of the configured library, None if there is none."""
        from provctl.app.library import library_folder

        return library_folder(self.loaded.settings)

    @cached_property
    def library(self) -> Optional[LibraryIndex]:
        """The commands of the configured library, None if there is none."""
        if self.library_folder is None:
            return None
        from provctl.app.library import open_library

        return open_library(self.loaded.settings, self.environ)

    @cached_property
    def nu(self) -> str:
        """The Nushell program. Raises ToolMissing."""
        from provctl.nushell.binary import find_nu

        path = self.environ.get("PATH", os.defpath)
        return find_nu(self.loaded.settings.nushell.binary, path)

    @cached_property
    def reach(self) -> Reach:
        """The way to the owners of runs."""
        from provctl.app.reach import Reach

        orchestrator = self.loaded.settings.orchestrator
        environ = dict(self.environ)
        # The scheduler starts in another directory, and is told no flags.
        environ["PROVCTL_STATE_DIR"] = str(self.folder.path)
        if self.config_file:
            environ["PROVCTL_CONFIG"] = str(Path(self.config_file).absolute())
        return Reach(
            self.folder,
            environ=environ,
            timeout_s=orchestrator.timeout_seconds,
            auto_start=orchestrator.enabled and orchestrator.auto_start,
            tell=self.say,
        )


def tell_help(session: Session, words: str) -> None:
    """Say on stderr what there is to do."""
    click.echo(f"help:  {session.called.retold(words)}", err=True)


def tell_version(session: Session, owner: Holder) -> None:
    """Say on stderr if an owner of runs is of another version than this command."""
    from provctl.app.reach import version_note

    note = version_note(owner)
    if note is not None:
        versions, hint = note
        click.echo(versions, err=True)
        tell_help(session, hint)


def many(count: int, word: str) -> str:
    """Return so many of what a word stands for: "1 task", "2 tasks"."""
    return f"1 {word}" if count == 1 else f"{count} {word}s"


def plain(text: str) -> str:
    """Return `text` with everything escaped that a terminal could act upon."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def session_of(ctx: click.Context) -> Session:
    """Return the session so far; a first one when there is none yet."""
    if not isinstance(ctx.obj, Session):
        ctx.obj = Session(environ=dict(os.environ))
    return ctx.obj


def emit(
    session: Session,
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str],
    *,
    name: str,
) -> None:
    """Print records to stdout in the session's output format.

    A table shows `columns`; json and jsonl hold the whole records; name is the
    column `name` alone, one value a line.
    """
    if session.output == "table":
        click.echo("\n".join(_table(rows, columns)))
    elif session.output == "name":
        for value in _cells([row[name] for row in rows]):
            click.echo(value)
    else:
        import json

        records = [rows] if session.output == "json" else rows
        indent = 2 if session.output == "json" else None
        for record in records:
            click.echo(json.dumps(record, indent=indent))


def _table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> List[str]:
    cells = [
        _padded([column.upper(), *_cells([row.get(column) for row in rows])])
        for column in columns
    ]
    return ["  ".join(line).rstrip() for line in zip(*cells)]


def _padded(column: Sequence[str]) -> List[str]:
    """Cells, each with spaces behind it up to the width of the widest."""
    if all(map(str.isascii, column)):
        width = max(map(len, column))
        return [cell.ljust(width) for cell in column]
    widths = list(map(width_of, column))
    width = max(widths)
    return [cell + " " * (width - own) for cell, own in zip(column, widths)]


def _cells(values: Sequence[object]) -> List[str]:
    cells = [value if isinstance(value, str) else _written(value) for value in values]
    # All at once: of a list of a thousand runs it is most of the time.
    return cells if "".join(cells).isprintable() else list(map(plain, cells))


def _written(value: object) -> str:
    """A value that is no text; JSON is only imported for what needs it."""
    if value is None:
        return "-"
    if type(value) is int:
        return str(value)
    import json

    return json.dumps(value)


def width_of(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in text
    )
