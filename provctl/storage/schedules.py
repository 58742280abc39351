"""The files of schedules: the schedule itself, and its state.

 schedules/<name>.json     the schedule, written by commands, sealed like journal lines
 schedules/<name>.past     what became of its times; only the scheduler writes it
 schedules/.lock           held by a command that changes a schedule

Each file is written under another name, synced and renamed, so it is always complete
and survives a power cut.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Set

from provctl.base.safe_open import ForeignFile, check_folder, read_own
from provctl.core.model.schedule import Schedule, ScheduleState, initial_state
from provctl.errors import (
    JournalDamaged,
    JournalTooNew,
    NotFound,
    RequestRejected,
    StateDirError,
    UsageError,
)
from provctl.storage.journal.codec import FORMAT, NewerFormat, seal, unseal
from provctl.storage.layout import fsync_dir, write_fsync
from provctl.storage.lock import Lock

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import StateDir


NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_IS, _WAS = ".json", ".past"


class Schedules:
    """The schedules of one state directory."""

    def __init__(self, folder: StateDir) -> None:
        self._state = folder
        self._folder = folder.path / "schedules"

    def names(self) -> List[str]:
        """Return the names of all schedules, sorted; empty if there are none."""
        try:
            check_folder(self._folder)
            found = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as problem:
            message = f"{self._folder}: {problem.strerror}"
            raise StateDirError(message) from problem
        names = [name[: -len(_IS)] for name in found if name.endswith(_IS)]
        return sorted(name for name in names if re.fullmatch(NAME, name))

    def read(self, name: str) -> Schedule:
        """Return a schedule.

        Raises NotFound, JournalDamaged, JournalTooNew, StateDirError.
        """
        path = self._folder / (name + _IS)
        if not re.fullmatch(NAME, name) or not os.path.lexists(path):
            message = f"schedule {name} not found"
            raise NotFound(message, hint="provctl schedule list")
        return Schedule(**_read(path, name, Schedule))

    def past(self, schedule: Schedule) -> ScheduleState:
        """Return the state of a schedule: what became of its times.

        Raises JournalDamaged, JournalTooNew, StateDirError.
        """
        path = self._folder / (schedule.name + _WAS)
        if not os.path.lexists(path):
            return initial_state(schedule)
        record = _read(path, schedule.name, ScheduleState)
        past = ScheduleState(**{**record, "waiting": tuple(record.get("waiting", ()))})
        # The state of an earlier schedule of the same name does not apply.
        return past if past.made == schedule.made else initial_state(schedule)

    def add(self, schedule: Schedule) -> None:
        """Store a new schedule durably. Raises RequestRejected, StateDirError."""
        with self._held():
            if os.path.lexists(self._folder / (schedule.name + _IS)):
                message = f"schedule {schedule.name} already exists"
                hint = (
                    "choose another --name, or remove it: provctl schedule rm"
                    f" {schedule.name}"
                )
                raise RequestRejected(message, hint=hint)
            self._write(schedule.name + _IS, schedule)

    def change(self, name: str, change: Callable[[Schedule], Schedule]) -> Schedule:
        """Replace a schedule by the result of `change`. Raises what `change` raises."""
        with self._held():
            changed = change(self.read(name))
            self._write(name + _IS, changed)
            return changed

    def remove(self, name: str) -> None:
        """Remove a schedule, even a damaged one. Raises NotFound, StateDirError."""
        with self._held():
            if name not in self.names():
                self.read(name)
            # In this order: a schedule without its state would start over.
            for suffix in (_IS, _WAS):
                path = self._folder / (name + suffix)
                if os.path.lexists(path):
                    path.unlink()
                    fsync_dir(self._folder)

    def note(self, name: str, past: ScheduleState) -> None:
        """Store the state; only the scheduler may call it. Raises StateDirError."""
        with _report_errors(self._folder):
            self._write(name + _WAS, past)

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._state.prepare()
        with _report_errors(self._folder):
            if not self._folder.is_dir():
                self._folder.mkdir(mode=0o700, exist_ok=True)
                fsync_dir(self._folder.parent)
            lock = Lock.wait(self._folder / ".lock")
            try:
                for left in self._folder.glob(f".*{_IS}-*"):
                    left.unlink()  # left by a killed process
                yield
            finally:
                lock.release()

    def _write(self, name: str, what: Any) -> None:
        record = json.dumps({"v": FORMAT, **asdict(what)}, separators=(",", ":"))
        try:
            line, _ = seal(record)
        except ValueError as problem:
            message = f"{self._folder / name}: {problem}"
            raise UsageError(
                message, hint="a schedule is at most 1 MiB of JSON in ASCII"
            ) from None
        beside = self._folder / f".{name}-{os.getpid()}"
        write_fsync(beside, line)
        beside.replace(self._folder / name)
        fsync_dir(self._folder)


def _read(path: Path, name: str, kind: Any) -> Dict[str, Any]:
    hint = f"remove it and add it again: provctl schedule rm {name}"
    with _report_errors(path):  # a file that cannot be read now may be intact
        try:
            content = read_own(path)
        except ForeignFile as problem:
            message = f"{path}: damaged: {problem.strerror}"
            raise JournalDamaged(message, hint=hint) from None
    try:
        record, _ = unseal(content[:-1])
        return {
            name: record[name]
            for name in _required_fields(kind) | record.keys() & _of(kind)
        }
    except NewerFormat as newer:
        message = f"{path}: {newer}"
        raise JournalTooNew(message) from None
    except KeyError as missing:
        message = f"{path}: damaged: field {missing} is missing"
        raise JournalDamaged(message, hint=hint) from None
    except ValueError as problem:
        message = f"{path}: damaged: {problem}"
        raise JournalDamaged(message, hint=hint) from None


def _of(kind: Any) -> Set[str]:
    """Return the names of its fields; a later version may write more."""
    return {field.name for field in fields(kind)}


def _required_fields(kind: Any) -> Set[str]:
    """Return the fields that every version writes; others may have been added later."""
    return {f.name for f in fields(kind) if f.default is f.default_factory is MISSING}


@contextmanager
def _report_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        message = f"{problem.filename or folder}: {problem.strerror}"
        raise StateDirError(
            message, hint="the state directory must be readable and writable"
        ) from problem
