"""A log with the output of tasks: attempt by attempt, while they write.

Groups do not interleave. One attempt at a time streams into the open group. The others
write to their files, and are shown from them at their turn: when the first one has
finished, was silent while another was not, or when another has failed. Changes of
others wait for half a minute at most.
"""

from __future__ import annotations

import io
from collections import deque
from functools import partial
from typing import (
    TYPE_CHECKING,
    Callable,
    Deque,
    Dict,
    List,
    Optional,
    Sequence,
    TextIO,
    Tuple,
)

from provctl.base.stdio import raw_output
from provctl.base.text import plain, visible
from provctl.nushell.source_file import with_origins
from provctl.render.text import encodable
from provctl.runs.attempt_store import attempt_store
from provctl.runs.log_tail import last_lines

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.render.ci_dialects import CiLogFormat


_MOST = 1 << 18  # bytes of an attempt that are streamed; then only its end
_END_LINES = 100
_LINE = 160  # approximate bytes of a line
_FAILED_LINES = 10  # lines that are repeated below a folded group
_PATIENCE_S = 10.0  # of silence
_TURN_S = 30.0  # during which changes of other attempts wait
_LINE_MAX = 4000  # characters
_REPEATED_MAX = 1000

_Key = Tuple[str, str, int]  # run, task, attempt


class _Attempt:
    """One attempt, and how much of its log was written."""

    def __init__(self, title: str, key: str, log: Path, *, streams: bool) -> None:
        self.title = title
        self.streams = streams
        self.key = key
        self.log = log
        self.reader = attempt_store().open_log(log)
        self.parts = 0  # number of its groups
        self.written = 0  # bytes
        self.looked_at = 0  # size of the file
        self.heard_at = 0.0
        self.is_over = False
        self.was_folded = False

    @property
    def is_full(self) -> bool:
        """Whether no more of it is streamed."""
        return self.written >= _MOST

    def has_news(self) -> bool:
        """Whether it has new output to be streamed."""
        if not self.streams or self.is_full:
            return False
        try:
            return self.log.stat().st_size != self.looked_at
        except OSError:
            return False


class TaskLogStream:
    """Writes lines and logs to a stream. Lines wait while a group is open.

    `now` gives seconds since the epoch. The first line that cannot be written raises
    its OSError; after that nothing is written.
    """

    def __init__(
        self, stream: TextIO, dialect: CiLogFormat, now: Callable[[], float]
    ) -> None:
        self.wrote_at = now()
        self.lines: TextIO = _Lines(self.print_note)
        self._stream: Optional[TextIO] = raw_output(stream)
        self._dialect = dialect
        self._now = now
        self._running: Dict[_Key, _Attempt] = {}
        self._pending: Deque[Callable[[], None]] = deque()
        self._open: Optional[_Attempt] = None
        self._urgent = False
        self._waits_since = 0.0

    def print_note(self, text: str) -> None:
        """Write whole lines when no group is open."""
        lines = text.split("\n")[: text.count("\n")]
        self._later(partial(self._write, lines))

    def print_note_now(self, line: str) -> None:
        """Write a line at once, also inside a group."""
        self._write([line])

    def on_start(self, key: _Key, title: str, log: Path, *, streams: bool) -> None:
        """An attempt of (run, task, number) writes into a file.

        If it does not stream, its log is shown after it has finished.
        """
        name = f"provctl_{key[0]}_{log.stem}"
        self._running.setdefault(key, _Attempt(title, name, log, streams=streams))

    def on_end(self, key: _Key, *, failed: bool) -> None:
        """It writes no more. If it failed, its log is shown as soon as possible."""
        attempt = self._running.get(key)
        if attempt is None:
            return
        attempt.is_over = True
        self._urgent = self._urgent or failed
        self._later(partial(self._finish, key, failed=failed))

    def repeat_end(self, key: _Key) -> None:
        """Write the end of its log below the result, if its group is folded."""
        attempt = self._running.get(key)
        if attempt is not None:
            self._later(partial(self._repeat, attempt))

    def pump(self) -> None:
        """Write new output; a group may stay open."""
        if self._open is not None:
            self._copy(self._open)
            if not self._is_to_close(self._open):
                return
        self.settle()
        chatty = self._with_news()
        if chatty is not None:
            self._copy(chatty)

    def settle(self) -> None:
        """Close the open group and write all that waited for it."""
        self._close_group()
        self._urgent = False
        while self._pending:
            self._pending.popleft()()

    def _later(self, call: Callable[[], None]) -> None:
        if not self._pending:
            self._waits_since = self._now()
        self._pending.append(call)

    # -- turns -------------------------------------------------------------------------

    def _is_to_close(self, attempt: _Attempt) -> bool:
        if attempt.is_over or attempt.is_full or self._urgent:
            return True
        now = self._now()
        if self._pending and now - self._waits_since >= _TURN_S:
            return True
        silent = now - attempt.heard_at >= _PATIENCE_S
        return silent and (bool(self._pending) or self._with_news() is not None)

    def _with_news(self) -> Optional[_Attempt]:
        """The next attempt: the oldest with new output, except the current one."""
        others = (each for each in self._running.values() if each is not self._open)
        return next((each for each in others if each.has_news()), None)

    def _finish(self, key: _Key, *, failed: bool) -> None:
        """Write the rest of a log as one group."""
        attempt = self._running.pop(key)
        self._copy(attempt, folded=not failed)
        left = attempt.looked_at - attempt.written
        if attempt.is_full and left > 0:
            lines = last_lines(attempt.log, min(_END_LINES, left // _LINE))
            self._write_log(attempt, lines, folded=not failed)
        self._close_group()

    def _repeat(self, attempt: _Attempt) -> None:
        if attempt.was_folded:
            lines = last_lines(attempt.log, _FAILED_LINES)
            shown = [self._dialect.shown(line, _REPEATED_MAX) for line in lines]
            self._put([f"    {line}" for line in shown])

    def _close_group(self) -> None:
        """Close the open group, if any."""
        if self._open is not None:
            key = f"{self._open.key}_{self._open.parts}"
            self._open = None
            end = self._dialect.end(key, self._now())
            self._put([end] if end else [])

    # -- writing -----------------------------------------------------------------------

    def _copy(self, attempt: _Attempt, *, folded: bool = True) -> None:
        """Write the new part of a log, up to the limit."""
        try:
            attempt.looked_at = attempt.log.stat().st_size
        except OSError:
            return
        if attempt.is_full:
            return
        for piece in map(with_origins, attempt.reader.pieces(last=attempt.is_over)):
            attempt.written += len(piece)
            self._write_log(attempt, _text_of(piece), folded=folded)
            if attempt.is_full:
                note = (
                    f"... lines omitted; the full log is {attempt.log}; its end follows"
                )
                self._write([plain(note)])
                return

    def _write_log(self, attempt: _Attempt, lines: List[str], *, folded: bool) -> None:
        dialect, at = self._dialect, self._now()
        if self._open is not attempt:
            self._close_group()
            self._open = attempt
            attempt.parts += 1
            attempt.was_folded = attempt.was_folded or dialect.is_folded(folded)
            goes_on = ", continued" if attempt.parts > 1 else ""
            key = f"{attempt.key}_{attempt.parts}"
            title = attempt.title + goes_on
            self._put([dialect.begin(key, title, at, folded=folded)])
        attempt.heard_at = at
        self._put([self._dialect.shown(line, _LINE_MAX) for line in lines])

    def _write(self, lines: Sequence[str]) -> None:
        self._put([self._dialect.harmless(visible(line)) for line in lines])

    def _put(self, lines: Sequence[str]) -> None:
        """Write lines that are our own, or harmless."""
        if not lines or self._stream is None:
            return
        self.wrote_at = self._now()
        text = "\n".join(lines) + "\n"
        try:
            self._stream.write(encodable(text, self._stream.encoding or "utf-8"))
            self._stream.flush()
        except OSError:
            self._stream = None
            raise


class _Lines(io.StringIO):
    """A stream whose lines are written to a log."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def write(self, text: str) -> int:
        self._say(text)
        return len(text)


def _text_of(piece: bytes) -> List[str]:
    lines = piece.decode("utf-8", "replace").split("\n")
    return lines if lines[-1] else lines[:-1]
