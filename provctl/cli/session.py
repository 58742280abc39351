"""The session that every verb gets, and the output of records."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

import click

from provctl.base.cell_width import (
    shortened,
    terminal_width,
    truncate_to_width,
    width_of,
    wrap,
)
from provctl.base.text import plain
from provctl.cli.invocation import CommandLine

if TYPE_CHECKING:
    from provctl.config.load import LoadedSettings
    from provctl.nushell.library.index import LibraryIndex
    from provctl.runs.owner_client import OwnerClient
    from provctl.storage.layout import RunDir, StateDir
    from provctl.storage.lock import LockOwner
    from provctl.storage.run_summary import RunSummary


Value = TypeVar("Value")

_NARROW = 19  # cells of a column that is never cut: the width of a date and a time

OUTPUTS = ("table", "json", "jsonl", "name")
VIEWS = ("live", "plain", "group")


@dataclass(frozen=True)
class Session:
    """One invocation of provctl: global options and settings.

    `output` is one of `OUTPUTS`; `shown` one of `VIEWS`, "" for what fits; `flags` maps
    keys to what flags gave (see `load_settings`). Settings are read when first asked
    for, so that verbs which need none work beside a broken file; then InvalidConfig is
    raised. `quiet`: print only results and errors; `verbosity`: print more. `called`
    adds the global options to commands in hints.
    """

    output: str = "table"
    shown: str = ""
    flags: Mapping[str, object] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    config_file: Optional[str] = None
    quiet: bool = False
    verbosity: int = 0
    called: CommandLine = field(default_factory=CommandLine)

    def log_verbose(self, words: str, level: int = 1) -> None:
        """Print details to stderr, if the user asked for this level."""
        if self.verbosity >= level:
            print_message(words)

    @cached_property
    def loaded(self) -> LoadedSettings:
        """The settings and where each comes from."""
        from provctl.config.load import load_settings

        loaded = load_settings(
            flags=self.flags, environ=self.environ, config_file=self.config_file
        )
        if self.verbosity:
            self._say_origins(loaded)
        return loaded

    def _say_origins(self, loaded: LoadedSettings) -> None:
        from provctl.config.paths import config_files

        files = config_files(environ=self.environ, config_file=self.config_file)
        for file in files:
            read = "read" if os.access(file.path, os.F_OK) else "not found"
            self.log_verbose(f"configuration: {file.path} ({file.role}, {read})")
        for key, origin in loaded.origins.items():
            if origin != "default":
                self.log_verbose(f"setting: {key} by {origin}", 2)

    @cached_property
    def state_dir(self) -> Path:
        """The state directory; it may not exist yet."""
        from provctl.config.paths import state_dir

        return state_dir(self.loaded.settings)

    @cached_property
    def folder(self) -> StateDir:
        """The layout of the state directory."""
        from provctl.storage.layout import StateDir

        self.log_verbose(f"state directory: {self.state_dir.absolute()}")
        return StateDir(self.state_dir.absolute())

    def run_dir(self, name: str) -> RunDir:
        """Return the folder of the named run. Raises NotFound."""
        from provctl.runs.find import find_run

        return self.folder.run(find_run(self.folder, name))

    def accounts(self) -> List[RunSummary]:
        """Return the summaries of all runs, oldest first. Raises StateDirError."""
        from provctl.runs.summary_cache import accounts

        return accounts(self.folder)

    def latest_runs(self, most: int) -> List[RunSummary]:
        """Return the summaries of the latest runs, oldest first."""
        from provctl.runs.summary_cache import summary_cache

        return summary_cache(self.folder).latest(most=most)[::-1]

    @cached_property
    def library_folder(self) -> Optional[Path]:
        """The folder of the configured library, None if there is none."""
        from provctl.runs.library.open import library_folder

        return library_folder(self.loaded.settings)

    @cached_property
    def library(self) -> Optional[LibraryIndex]:
        """The commands of the configured library, None if there is none."""
        if self.library_folder is None:
            return None
        from provctl.runs.library.open import open_library

        return open_library(self.loaded.settings, self.environ)

    @cached_property
    def nu(self) -> str:
        """The Nushell program. Raises MissingTool."""
        from provctl.config.paths import programs_dir
        from provctl.nushell.binary import find_nu

        path = self.environ.get("PATH", os.defpath)
        binary = self.loaded.settings.nushell.binary
        return find_nu(binary, path, str(programs_dir()))

    @cached_property
    def owner_client(self) -> OwnerClient:
        """The client for owners of runs."""
        from provctl.runs.owner_client import OwnerClient

        orchestrator = self.loaded.settings.orchestrator
        environ = dict(self.environ)
        # The scheduler starts in another directory and gets no flags.
        environ["PROVCTL_STATE_DIR"] = str(self.folder.path)
        if self.config_file:
            environ["PROVCTL_CONFIG"] = str(Path(self.config_file).absolute())
        return OwnerClient(
            self.folder,
            environ=environ,
            timeout_s=orchestrator.timeout_seconds,
            auto_start=orchestrator.enabled and orchestrator.auto_start,
            tell=self.log_verbose,
        )

    @property
    def endpoint(self) -> Optional[str]:
        """The address for modules with a port, None if the scheduler has none."""
        settings = self.loaded.settings
        if settings.addresses:
            return settings.endpoint
        # A scheduler may have got a port when it was started.
        ports = (
            each for each in self.owner_client.api_status() if each.startswith("http:")
        )
        return next(ports, None)


def print_message(words: str) -> None:
    """Print a message to stderr, as one line."""
    click.echo(plain(words), err=True)


def print_hint(session: Session, words: str) -> None:
    """Print a hint to stderr."""
    print_message(f"help:  {session.called.with_flags(words)}")


def warn_version(session: Session, owner: LockOwner) -> None:
    """Print a warning if an owner of runs has another version than this command."""
    from provctl.runs.owner_client import version_mismatch

    note = version_mismatch(owner)
    if note is not None:
        versions, hint = note
        print_message(versions)
        print_hint(session, hint)


def plural(count: int, word: str) -> str:
    """Return a count with its noun: "1 task", "2 tasks"."""
    return f"1 {word}" if count == 1 else f"{count} {word}s"


def by_key(flag: str, pairs: Iterable[Tuple[str, Value]]) -> Dict[str, Value]:
    """Return the pairs of a flag as a record.

    Raises UsageError for a key that is given twice with different values.
    """
    from provctl.errors import UsageError

    found: Dict[str, Value] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            message = f"{flag} {key} is given twice with different values"
            raise UsageError(plain(message), hint="remove one of them")
    return found


def session_of(ctx: click.Context) -> Session:
    """Return the session; create it if there is none yet."""
    if not isinstance(ctx.obj, Session):
        ctx.obj = Session(environ=dict(os.environ))
    return ctx.obj


def emit(
    session: Session,
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str],
    *,
    name: str,
    fits: bool = True,
) -> None:
    """Print records to stdout in the session's output format.

    A table shows `columns`, at a terminal as many as fit if `fits`; json and jsonl
    contain the whole records; name prints only the column `name`, one value per line.
    """
    if session.output == "table":
        width = terminal_width(sys.stdout) if fits else None
        click.echo("\n".join(_table(rows, columns, name=name, width=width)))
    elif session.output == "name":
        for value in _cells([row[name] for row in rows]):
            click.echo(value)
    else:
        import json

        records = [rows] if session.output == "json" else rows
        indent = 2 if session.output == "json" else None
        for record in records:
            click.echo(json.dumps(record, indent=indent))


# Cells longer than this are cut to it before a column is omitted.
_LEAST = 12
_GAP = "  "
_FOLDED = ("reason", "problem", "note")  # columns of sentences, if they are the last


def _table(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str],
    *,
    name: str,
    width: Optional[int],
) -> List[str]:
    """Return the lines of a table, of at most `width` columns if possible.

    The first column is cut only if it takes half of the width, and then in its middle.
    """
    cells = [
        [column.upper(), *_cells([row.get(column) for row in rows])]
        for column in columns
    ]
    if width is None:
        return _lines([_pad(column) for column in cells])
    whole = [max(map(width_of, column)) for column in cells]
    if _total(whole) <= width:
        return _lines([_pad(column) for column in cells])
    named = [column in (name, "id", "run") for column in columns]
    # A name that takes half of the terminal is cut too, or there is room for nothing
    # else.
    kept = [is_name and most <= width // 2 for is_name, most in zip(named, whole)]
    widths = next(
        (
            found
            for count in range(len(columns), 0, -1)
            for found in [_narrow_columns(whole[:count], kept, width)]
            if found is not None
        ),
        whole[:1],
    )
    fit = [
        [(shortened if is_name else truncate_to_width)(cell, room) for cell in column]
        for column, room, is_name in zip(cells, widths, named)
    ]
    if columns[len(widths) - 1] not in _FOLDED:
        return _lines([_pad(column) for column in fit])
    before = _lines([_pad(column) for column in fit[:-1]])
    indent = " " * (_total(widths[:-1]) + len(_GAP))
    return [
        (indent if n else line.ljust(len(indent))) + part
        for line, text in zip(before, cells[len(widths) - 1])
        for n, part in enumerate(wrap(text, widths[-1]))
    ]


def _narrow_columns(
    widths: Sequence[int], kept: Sequence[bool], room: int
) -> Optional[List[int]]:
    """Return the widths with which columns fit, with the widest ones cut; or None."""
    found = list(widths)
    while _total(found) > room:
        most = max((w for w, keep in zip(found, kept) if not keep), default=0)
        if most <= _LEAST:
            return None
        widest = next(n for n, w in enumerate(found) if w == most and not kept[n])
        found[widest] -= 1
    return found


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _lines(cells: Sequence[Sequence[str]]) -> List[str]:
    return [_GAP.join(line).rstrip() for line in zip(*cells)]


def _pad(column: Sequence[str]) -> List[str]:
    """Cells, each filled with spaces up to the width of the widest."""
    if all(map(str.isascii, column)):
        width = max(map(len, column))
        return [cell.ljust(width) for cell in column]
    widths = list(map(width_of, column))
    width = max(widths)
    return [cell + " " * (width - own) for cell, own in zip(column, widths)]


def _cells(values: Sequence[object]) -> List[str]:
    cells = [
        value if isinstance(value, str) else _format_value(value) for value in values
    ]
    # All at once: for a list of a thousand runs it is most of the time.
    return cells if "".join(cells).isprintable() else list(map(plain, cells))


def _format_value(value: object) -> str:
    """Format a value that is not text; JSON is only imported if needed."""
    if value is None:
        return "-"
    if type(value) is int:
        return str(value)
    import json

    return json.dumps(value)
