"""When a terminal is asked for its cursor position: after a change of its size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Tuple

if TYPE_CHECKING:
    from provctl.render.live.terminal_input import Keys, Position


class Location:
    """The cursor position of a terminal after its last change of size.

    The terminal is asked after its size was stable for `settle_s`: while a window is
    being resized, tmux reports a size up to 0.25 s after it has wrapped its lines
    again.
    """

    def __init__(self, keys: Keys, *, settle_s: float) -> None:
        self._keys = keys
        self._settle_s = settle_s
        self.position: Optional[Position] = None  # for the next picture only
        self.forget()

    def forget(self) -> None:
        """Start with whatever size is seen next."""
        self._size: Optional[Tuple[int, int]] = None
        self._changed_at: Optional[float] = None  # while the position is unknown
        self._asked = False
        self._width: Optional[int] = None

    def see(self, size: Tuple[int, int], now: float) -> None:
        """Note the current width and height of the terminal."""
        self.position = None
        if self._size not in (None, size):
            self._changed_at, self._asked, self._width = now, False, None
        self._size = size

    @property
    def size(self) -> Tuple[int, int]:
        """The size to draw for: the terminal may be narrower than the system knows."""
        assert self._size is not None
        width, height = self._size
        return min(width, self._width or width), height

    def is_settled(self, now: float) -> bool:
        """Ask when it is time; return whether there is nothing left to wait for."""
        if self._changed_at is None:
            return True
        answer = self._keys.position()
        if (self._asked and answer) or not self._keys.can_ask:
            self._end(answer)
            return True
        # A clock that was set back must not stop the view.
        early = 0 <= now - self._changed_at < self._settle_s
        if not (self._asked or early or self._keys.awaits):
            self._ask()
        return False

    def settle(self) -> None:
        """Wait for the answer, at most twice the timeout of `Keys`."""
        if self._changed_at is None:
            return
        answer = self._keys.wait()
        if not self._asked and self._keys.can_ask:
            self._ask()
            answer = self._keys.wait()
        self._end(answer)

    def _ask(self) -> None:
        self._asked = True
        self._keys.ask()

    def _end(self, answer: Optional[Position]) -> None:
        self._changed_at = None
        if self._asked and answer:
            self.position, self._width = answer, answer.width
