"""Collects data on a run and its scheduler for a bug report; changes nothing.

The data is limited in size. Values that a workflow was given are left out unless
requested, and all known secrets are redacted everywhere. Nothing here raises an error
for damaged or missing files, because a bug report is often about such files.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Tuple,
)

from provctl.base.light_dataclass import light_dataclass
from provctl.base.redact import encodings_of, redact_bytes
from provctl.base.safe_open import ForeignFile, reader
from provctl.base.text import plain
from provctl.core.model.secret_reference import parse_reference
from provctl.errors import ProvctlError
from provctl.scheduler.secrets import find_secret
from provctl.storage.log_rotation import older

if TYPE_CHECKING:
    from provctl.storage.layout import RunDir, StateDir


_JOURNAL_MAX = 16 << 20  # bytes
_HEAD = 64 << 10
_WORKFLOW_MAX = 64 << 20
_LOG_END = 64 << 10
_SCHEDULER_LOG_END = 256 << 10
_RECORD_MAX = 1 << 20
_ATTEMPTS = 100
_LOOKED_AT = 2_000  # attempts, the latest ones
_LISTED = 10_000  # files

_ATTEMPT = re.compile(r"\d+\.\d+[up]?")
_LEFT_OUT = "(omitted)"
# Fields that describe how a workflow is built, without the values it is given.
_BUILD = frozenset(
    {
        *("v", "name", "id", "parent", "needs", "priority", "timeout_s", "retry"),
        *("pools", "on_failure", "on_interrupt", "idempotent", "library"),
        *("keep_processes", "secrets_once", "finalizer", "on_cancel", "on_timeout"),
        *("cwd", "source", "max_parallel", "module", "on", "workflow", "into"),
    }
)
_NAMES = frozenset({"params", "env", "environment", "flags"})  # names, no values
_PARTS = frozenset({"call", "script", "command", "undo", "probe"})


@light_dataclass
class Part:
    """A file of the bundle; `about` describes content that may be sensitive."""

    name: str
    content: bytes
    about: str


def collect_run(folder: RunDir, *, with_inputs: bool) -> Iterator[Part]:
    """Return the files of a run: journal, workflow, exit records, ends of logs."""
    yield from _journal(folder)
    yield _workflow(folder.workflow, with_inputs=with_inputs)
    yield Part(
        "run/files.txt", _listing(folder.path), "names and sizes of the run's files"
    )
    for name in _chosen_attempts(folder.attempts):
        place = folder.attempts / name
        record = _read(Path(f"{place}.go"), _RECORD_MAX).rstrip(b"\0")
        yield Part(f"run/attempts/{name}.go", record, "result and output of an attempt")
        log = _read(Path(f"{place}.log"), _LOG_END, end=True)
        if log:
            yield Part(f"run/attempts/{name}.log", log, "the end of the log of a task")
        given = _read(Path(f"{place}.in"), _RECORD_MAX) if with_inputs else b""
        if given:
            yield Part(f"run/attempts/{name}.in", given, "values passed to it")


def collect_scheduler(folder: StateDir) -> Iterator[Part]:
    """Return the files of the background scheduler."""
    log = folder.scheduler / "log"
    said = b"".join(
        _read(file, _SCHEDULER_LOG_END, end=True) for file in (older(log), log)
    )
    about = "the end of the scheduler's log"
    yield Part("scheduler/log", said[-_SCHEDULER_LOG_END:], about)
    listing = _listing(folder.scheduler) + _listing(folder.queue)
    yield Part(
        "scheduler/files.txt", listing, "names and sizes of the run's files, the queue"
    )


def secrets(
    run: Optional[RunDir], state: StateDir, environ: Mapping[str, str]
) -> List[str]:
    """Return all available secrets: the API's token and those of the run's tasks.

    No program is run to look a secret up: if it gave a task one, the log of the task is
    already redacted.
    """
    found = [_read(state.scheduler / "token", _RECORD_MAX).decode("utf-8", "replace")]
    tasks: Any = [] if run is None else _json(run.workflow).get("tasks", [])
    for name, reference in _references(tasks):
        try:
            found.append(find_secret(name, reference, environ))
        except ProvctlError:
            continue  # not available here, so it cannot be searched for
    return [text.strip() for text in found if text.strip()]


def redacted(part: Part, texts: Iterable[str]) -> Part:
    """Return a part in which `*` replaces these texts, in all their encodings."""
    raw = [form.encode("utf-8", "surrogatepass") for form in encodings_of(texts)]
    return replace(part, content=redact_bytes(part.content, raw))


def write_archive(parts: Iterable[Part], root: str, now: float) -> bytes:
    """Return a compressed tar archive with all parts in the folder `root`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for part in parts:
            entry = tarfile.TarInfo(f"{root}/{part.name}")
            entry.size, entry.mtime, entry.mode = len(part.content), int(now), 0o600
            archive.addfile(entry, io.BytesIO(part.content))
    return buffer.getvalue()


def _journal(folder: RunDir) -> Iterator[Part]:
    about = "events: outputs of tasks, reasons, labels"
    if _size(folder.journal) <= _JOURNAL_MAX:
        yield Part("run/journal.jsonl", _read(folder.journal, _JOURNAL_MAX), about)
        return
    yield Part("run/journal.head.jsonl", _read(folder.journal, _HEAD), about)
    end = _read(folder.journal, _JOURNAL_MAX, end=True)
    yield Part("run/journal.tail.jsonl", end, about)


def _workflow(file: Path, *, with_inputs: bool) -> Part:
    if with_inputs:
        content = _read(file, _WORKFLOW_MAX)
        return Part("run/workflow.json", content, "the workflow WITH ALL VALUES")
    about = "the structure of the workflow, without values"
    outline = json.dumps(_outline(_json(file)), indent=1).encode("ascii")
    return Part("run/workflow.json", outline, about)


def _outline(record: Mapping[str, Any]) -> Dict[str, Any]:
    return {key: _outline_value(key, value) for key, value in record.items()}


def _outline_value(key: str, value: Any) -> Any:
    if key == "tasks" and isinstance(value, list):
        return [_outline(task) if isinstance(task, dict) else None for task in value]
    if key in _PARTS and isinstance(value, dict):
        return _outline(value)
    if key in _NAMES and isinstance(value, dict):
        return dict.fromkeys(value, _LEFT_OUT)
    if key == "secrets" and isinstance(value, dict):
        return {name: _outline_reference(str(where)) for name, where in value.items()}
    if key == "argv" and isinstance(value, list):
        return [*value[:1], f"({len(value) - 1} omitted)"]  # keeps the program
    # In a `call` it is a name, in a task it is the command.
    is_name = key == "command" and isinstance(value, str)
    return value if key in _BUILD or is_name else _LEFT_OUT


def _outline_reference(text: str) -> str:
    """Return a reference, which names a place; of a command only the program."""
    try:
        argv = parse_reference(text).argv
    except ValueError:
        return _LEFT_OUT
    return f"cmd:{argv[0]} ({len(argv) - 1} omitted)" if argv else text


def _references(tasks: Any) -> Iterator[Tuple[str, str]]:
    for task in tasks if isinstance(tasks, list) else []:
        found = task.get("secrets") if isinstance(task, dict) else None
        if isinstance(found, dict):
            yield from ((str(name), str(where)) for name, where in found.items())


def _chosen_attempts(folder: Path) -> List[str]:
    """Return the most informative attempts: those that failed, then the latest ones."""
    try:
        files = [file for file in folder.iterdir() if file.suffix in (".go", ".log")]
        dated = [(file.lstat().st_mtime, file.stem) for file in files]
    except OSError:
        return []
    names = dict.fromkeys(name for _, name in sorted(dated, reverse=True))
    latest = [name for name in names if _ATTEMPT.fullmatch(name)][:_LOOKED_AT]
    return sorted(latest, key=lambda name: _ended_well(folder / f"{name}.go"))[
        :_ATTEMPTS
    ]


def _ended_well(file: Path) -> bool:
    return _json(file).get("exit_code") == 0


def _json(file: Path) -> Dict[str, Any]:
    try:
        found = json.loads(_read(file, _WORKFLOW_MAX))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(file: Path, most: int, *, end: bool = False) -> bytes:
    """Return up to `most` bytes of a regular file, or of its end; else nothing."""
    try:
        with reader(file) as stream:
            if end:
                stream.seek(max(0, _size(file) - most))
            return stream.read(most)
    except (FileNotFoundError, ForeignFile):
        return b""  # also for a socket or a symlink
    except OSError as problem:
        return f"(cannot be read: {problem.strerror})\n".encode()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _listing(folder: Path) -> bytes:
    lines = [f"{plain(str(folder))}\n"]
    try:
        for path in sorted(folder.rglob("*"))[:_LISTED]:
            info = path.lstat()
            about = (
                f"{info.st_mode:o} {info.st_uid} {info.st_size:>10} {info.st_mtime:.3f}"
            )
            lines.append(f"{about} {plain(str(path.relative_to(folder)))}\n")
    except OSError as problem:
        lines.append(f"(cannot be read: {problem.strerror})\n")
    return "".join(lines).encode("utf-8", "backslashreplace")
