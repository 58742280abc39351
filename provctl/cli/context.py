"""Owns what every verb is handed: the session, and how records are printed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, List, Mapping, Optional, Sequence

import click

if TYPE_CHECKING:
    from provctl.app.reach import Reach
    from provctl.config.load import Loaded
    from provctl.journal.folder import StateFolder
    from provctl.journal.lock import Holder
    from provctl.nushell.index import LibraryIndex

__all__ = ["OUTPUTS", "Session", "emit", "plain", "tell_version", "width_of"]

OUTPUTS = ("table", "json", "jsonl", "name")


@dataclass(frozen=True)
class Session:
    """One invocation of provctl: what was asked, and the settings that follow.

    `output` is one of `OUTPUTS`; `flags` maps keys to what flags gave (see
    `load_settings`). Settings are read when first asked for, so that verbs
    which need none work beside a broken file; then ConfigInvalid is raised.
    """

    output: str = "table"
    flags: Mapping[str, object] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    config_file: Optional[str] = None

    @cached_property
    def loaded(self) -> Loaded:
        """The settings and where each comes from."""
        from provctl.config.load import load_settings

        return load_settings(
            flags=self.flags, environ=self.environ, config_file=self.config_file
        )

    @cached_property
    def state_dir(self) -> Path:
        """The state directory; it may not exist yet."""
        from provctl.config.paths import state_dir

        return state_dir(self.loaded.settings)

    @cached_property
    def folder(self) -> StateFolder:
        """The layout of the state directory."""
        from provctl.journal.folder import StateFolder

        return StateFolder(self.state_dir.absolute())

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
        )


def tell_version(owner: Holder) -> None:
    """Say on stderr if an owner of runs is of another version than this command."""
    from provctl.app.reach import version_note

    note = version_note(owner)
    if note is not None:
        versions, hint = note
        click.echo(f"{versions}\nhelp:  {hint}", err=True)


def plain(text: str) -> str:
    """Return `text` with everything escaped that a terminal could act upon."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


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
    import json

    if session.output == "json":
        click.echo(json.dumps(rows, indent=2))
    elif session.output == "jsonl":
        for row in rows:
            click.echo(json.dumps(row))
    elif session.output == "name":
        for row in rows:
            click.echo(_cell(row[name]))
    else:
        for line in _table(rows, columns):
            click.echo(line)


def _table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> List[str]:
    cells = [[column.upper() for column in columns]]
    cells += [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(width_of, column)) for column in zip(*cells)]
    return [
        "  ".join(
            cell + " " * (width - width_of(cell)) for cell, width in zip(line, widths)
        ).rstrip()
        for line in cells
    ]


def _cell(value: object) -> str:
    import json

    if value is None:
        return "-"
    return plain(value if isinstance(value, str) else json.dumps(value))


def width_of(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in text
    )
