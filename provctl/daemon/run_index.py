"""The index of all runs for the API: active runs from the state, others from disk.

For runs on disk it caches the summary, as long as `stat` shows an unchanged journal,
and the tasks of the runs that were requested last. A thread scans the disk, at most
once a second. No request waits if the last scan is recent.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Tuple

from provctl.api.http.responses import as_json
from provctl.api.http.serializers import platform_task_record
from provctl.api.records import run_record, summary_record
from provctl.base.flock import is_locked
from provctl.base.light_dataclass import light_dataclass
from provctl.core.engine.reopen import why_stale
from provctl.core.engine.view import view
from provctl.core.model.labels import fit_all
from provctl.daemon.task_pages import TaskPageCache
from provctl.errors import JournalDamaged, JournalTooNew, NotFound
from provctl.runs.follow import Follower, ownerless_status
from provctl.runs.task_progress import TaskProgressReader
from provctl.storage.run_summary import (
    RunSummary,
    journal_fingerprint,
    summarise_or_damaged,
)

if TYPE_CHECKING:
    from provctl.api.http.backend import ListQuery
    from provctl.core.engine.state import RunState
    from provctl.scheduler.ports import RunUpdate
    from provctl.storage.layout import StateDir


_FRESH_SAID_S = 0.5  # between two reads of the progress in logs
_LISTENED_TO = 256  # tasks whose logs are read at a time
_FRESH_S = 1.0  # a scan is not repeated within this time
_STALE_S = 3.0  # a request waits for a new scan if the last one is older
_SHELF = 100_000  # cached tasks of runs that are not active
_PAGES = 256  # cached answers for identical requests
_WHOLE_RUN = 1000  # tasks in the record of a run


@light_dataclass
class _CachedSummary:
    """The summary of a run on disk; `stamp` is the fingerprint of its journal."""

    stamp: str
    summary: RunSummary


class RunIndex:
    """Answers with encoded JSON. Used in the event loop; `live` are the active runs."""

    def __init__(self, folder: StateDir, live: Mapping[str, RunState]) -> None:
        self._folder = folder
        self._live = live
        self._cards: Dict[str, _CachedSummary] = {}
        self._books: OrderedDict[str, Tuple[str, TaskPageCache]] = OrderedDict()
        self._order: Optional[List[str]] = None
        self._pages: Dict[Tuple[str, ListQuery], bytes] = {}
        self._looked_at: Optional[float] = None
        self._looking: Optional[asyncio.Future[None]] = None
        self._said = TaskProgressReader(folder)
        self._listened_at = 0.0

    def on_events(self, facts: RunUpdate) -> None:
        """Process events of an active run."""
        self._pages = {}
        run, run_id = facts.run, facts.run.submitted.run
        if self._looked_at is None and not self._books:
            return  # not requested yet
        if run_id not in self._cards:
            self._order = None
            self._cards[run_id] = _CachedSummary("", _summary_of(run))
        book = self._books[run_id][1] if run_id in self._books else None
        if book is not None and book.run is run:
            book.on_event(facts.events)
        if run.outcome is not None:
            self._said.forget(run_id)
            # From now on it is not active, and on disk it has the same state as here.
            stamp = self._stamp(run_id)
            self._cards[run_id] = _CachedSummary(stamp, _summary_of(run))
            if book is not None and book.run is run:
                self._books[run_id] = (stamp, book)

    # -- lists -----------------------------------------------------------------------

    async def tasks(self, page: ListQuery) -> bytes:
        """Return task records. Raises NotFound for a run that does not exist."""
        if page.run is not None:
            self._check_there(page.run)
        await self._look()
        self._read_progress()
        return self._cached_page("tasks", page) or await self._tasks(page)

    async def _tasks(self, page: ListQuery) -> bytes:
        skip, pages = page.offset, self._pages
        parts: List[bytes] = []
        for run_id in [page.run] if page.run else self._ids():
            if len(parts) >= page.limit:
                break
            count = self._count(run_id, page.status)
            if count is not None and count <= skip:
                skip -= count
                continue
            book = await self._book(run_id)
            if book is None:
                continue
            parts += book.records_json(page.status, skip, page.limit - len(parts))
            skip = max(0, skip - book.count(page.status))
        return self._keep("tasks", page, parts, pages)

    async def runs(self, page: ListQuery) -> bytes:
        """Return records of runs, newest first."""
        await self._look()
        kept = self._cached_page("runs", page)
        if kept is not None:
            return kept
        accounts = map(self._summary, self._ids())
        word = page.status
        found = [
            each
            for each in accounts
            if word in (None, each.status, each.outcome)
            and fit_all(page.labels, each.labels)
        ][page.offset : page.offset + page.limit]
        parts = [as_json(summary_record(each)) for each in found]
        return self._keep("runs", page, parts, self._pages)

    def _cached_page(self, kind: str, page: ListQuery) -> Optional[bytes]:
        return self._pages.get((kind, page))

    def _keep(
        self,
        kind: str,
        page: ListQuery,
        parts: List[bytes],
        pages: Dict[Tuple[str, ListQuery], bytes],
    ) -> bytes:
        body = b"[" + b",".join(parts) + b"]"
        if pages is self._pages:
            if len(pages) >= _PAGES:
                pages.clear()
            pages[kind, page] = body
        return body

    # -- one run or task -------------------------------------------------------------

    async def run(self, run_id: str) -> bytes:
        """Return a run with its first thousand tasks. Raises NotFound."""
        book = await self._present(run_id)
        self._read_progress()
        owned = self._is_owned(run_id)
        if not owned:
            book.leave(
                ownerless_status(self._folder.run(run_id), book.run, owned=False)
            )
        told = run_record(view(book.run, rows=0), owned=owned)
        if told["status"] == "queued" and not owned:
            told["status"] = summarise_or_damaged(self._folder.run(run_id)).status
        record = as_json(told)
        tasks = b",".join(book.records_json(None, 0, _WHOLE_RUN))
        return record[:-1] + b',"tasks":[' + tasks + b"]}"

    async def task(self, run_id: str, task_id: Optional[str]) -> bytes:
        """Return a task with its complete output. Raises NotFound."""
        name = await self.only_task(run_id) if task_id is None else task_id
        run = (await self._present(run_id)).run
        task = run.tasks.get(name)
        if task is None:
            message = f"run {run_id} has no task {name}"
            raise NotFound(message)
        progress = None
        if task.attempt and task.status in ("running", "finished"):
            progress = self._said.newest(run, task)
        if run_id not in self._live:
            self._said.forget(run_id)
        folder, owned = self._folder.run(run_id), self._is_owned(run_id)
        left, stale = ownerless_status(folder, run, owned=owned), why_stale(run)
        return as_json(
            platform_task_record(
                run, task, whole=True, stale=stale, unattended=left, said=progress
            )
        )

    def _is_owned(self, run_id: str) -> bool:
        return run_id in self._live or is_locked(self._folder.run(run_id).lock)

    def _read_progress(self) -> None:
        """Read the progress of running tasks from their logs, unless just done."""
        now = asyncio.get_running_loop().time()
        if now - self._listened_at < _FRESH_SAID_S:
            return
        self._listened_at = now
        left = _LISTENED_TO
        for run_id, (_, book) in self._books.items():
            run = self._live.get(run_id)
            if run is None or book.run is not run:
                continue
            for name in islice(run.active, left):
                task = run.tasks[name]
                if task.status != "running" or not task.attempt:
                    continue
                left -= 1
                if book.on_events(name, self._said.newest(run, task)):
                    self._pages = {}

    async def only_task(self, run_id: str) -> str:
        """Return the name of a run's only task. Raises NotFound."""
        run = self._live.get(run_id) or (await self._present(run_id)).run
        if len(run.tasks) != 1:
            message = f"run {run_id} has {len(run.tasks)} tasks: name one"
            raise NotFound(message, hint=f"/tasks/{run_id}/TASK")
        return next(iter(run.tasks))

    async def _present(self, run_id: str) -> TaskPageCache:
        """Return the tasks of a run. Raises NotFound, JournalDamaged, JournalTooNew."""
        self._check_there(run_id)
        stamp = "" if run_id in self._live else self._stamp(run_id)
        return await self._load_tasks(run_id, stamp)

    def _check_there(self, run_id: str) -> None:
        if run_id not in self._live and not self._stamp(run_id):
            message = f"run {run_id} not found"
            raise NotFound(message, hint="GET /workflows lists them")

    # -- cached data -----------------------------------------------------------------

    def _ids(self) -> List[str]:
        """Return the ids of all runs, newest first."""
        if self._order is None:
            created = {
                run_id: card.summary.created_at for run_id, card in self._cards.items()
            }
            created.update({i: run.submitted.at for i, run in self._live.items()})
            self._order = sorted(created, key=lambda i: (created[i], i), reverse=True)
        return self._order

    def _summary(self, run_id: str) -> RunSummary:
        run = self._live.get(run_id)
        return self._cards[run_id].summary if run is None else _summary_of(run)

    def _count(self, run_id: str, status: Optional[str]) -> Optional[int]:
        """Return how many tasks of a run have a status, None if that is unknown."""
        run = self._live.get(run_id)
        if run is not None:
            return len(run.tasks) if status is None else None
        card = self._cards.get(run_id)
        if card is None or not card.stamp:
            return None
        stamp, book = self._books.get(run_id, (None, None))
        if book is not None and stamp == card.stamp:
            return book.count(status)
        return card.summary.tasks if status is None else None

    async def _book(self, run_id: str) -> Optional[TaskPageCache]:
        card = self._cards.get(run_id)
        try:
            return await self._load_tasks(run_id, card.stamp if card else "")
        except (JournalDamaged, JournalTooNew):
            return None  # the list of runs shows the damage

    async def _load_tasks(self, run_id: str, stamp: str) -> TaskPageCache:
        run = self._live.get(run_id)
        before, book = self._books.get(run_id, (None, None))
        if book is not None and (book.run is run if run else before == stamp):
            self._books.move_to_end(run_id)
            return book
        if run is not None:
            book = TaskPageCache(run)
        else:
            loop = asyncio.get_running_loop()
            book = await loop.run_in_executor(None, _from_disk, self._folder, run_id)
        self._books[run_id] = (stamp, book)
        self._make_room()
        return book

    def _make_room(self) -> None:
        size = sum(
            len(book) for i, (_, book) in self._books.items() if i not in self._live
        )
        for run_id in list(self._books):
            if size <= _SHELF or len(self._books) == 1:
                return
            if run_id not in self._live:
                size -= len(self._books.pop(run_id)[1])

    def _stamp(self, run_id: str) -> str:
        return journal_fingerprint(str(self._folder.runs), run_id)

    # -- the disk ----------------------------------------------------------------------

    async def _look(self) -> None:
        """Make sure that the summaries from disk are recent."""
        now = asyncio.get_running_loop().time()
        age = _STALE_S if self._looked_at is None else now - self._looked_at
        if age < _FRESH_S:
            return
        if self._looking is None:
            self._looking = asyncio.ensure_future(self._look_at_disk())
        if age >= _STALE_S:
            await asyncio.shield(self._looking)

    async def _look_at_disk(self) -> None:
        loop = asyncio.get_running_loop()
        live, known = set(self._live), dict(self._cards)
        try:
            seen = await loop.run_in_executor(
                None, _scan_disk, self._folder, live, known
            )
        finally:
            self._looking = None
        for run_id, card in known.items():
            # Events received meanwhile are newer than what was read.
            is_gone = run_id not in seen and run_id not in live
            if is_gone and self._cards.get(run_id) is card:
                del self._cards[run_id]
                self._books.pop(run_id, None)
                self._drop_pages()
        for run_id, card in seen.items():
            if self._cards.get(run_id) is known.get(run_id) and card is not known.get(
                run_id
            ):
                self._cards[run_id] = card
                self._drop_pages()
        self._looked_at = loop.time()

    def _drop_pages(self) -> None:
        self._order = None
        self._pages = {}


def _scan_disk(
    folder: StateDir, live: set[str], known: Mapping[str, _CachedSummary]
) -> Dict[str, _CachedSummary]:
    """Return summaries of all inactive runs on disk; unchanged ones are reused."""
    seen: Dict[str, _CachedSummary] = {}
    runs = str(folder.runs)
    for run_id in folder.run_ids():
        if run_id in live:
            continue
        stamp, card = journal_fingerprint(runs, run_id), known.get(run_id)
        if not stamp:
            continue
        if (
            card is not None
            and card.stamp == stamp
            and card.summary.outcome is not None
        ):
            seen[run_id] = card
            continue
        fresh = _CachedSummary(stamp, summarise_or_damaged(folder.run(run_id)))
        seen[run_id] = card if card == fresh and card is not None else fresh
    return seen


def _from_disk(folder: StateDir, run_id: str) -> TaskPageCache:
    follower = Follower(folder.run(run_id))
    follower.read()
    return TaskPageCache(follower.run)


def _summary_of(run: RunState) -> RunSummary:
    submitted = run.submitted
    return RunSummary(
        id=submitted.run,
        name=submitted.name,
        status=run.status,
        outcome=run.outcome,
        created_at=submitted.at,
        finished_at=run.finished_at,
        tasks=len(run.tasks),
        priority=submitted.priority,
        batch=submitted.batch,
        labels=submitted.labels,
        owned=run.outcome is None,
    )
