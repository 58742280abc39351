"""Owns playing the same story at every point, each time in an account of its own."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable, List, Sequence, Tuple

from tests.support.installed import Provctl

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["sweep"]

_AT_ONCE = 2
_SHOWN = 5  # failures that are told in full


def sweep(
    folder: Path, points: Sequence[Any], play: Callable[[Provctl, Any], str]
) -> List[str]:
    """Play at each point and return what the plays returned.

    Fails when all are played, and says at which points it went wrong and how.
    """

    def one(numbered: Tuple[int, Any]) -> str:
        number, point = numbered
        place = folder / f"{number:04}"
        place.mkdir(parents=True)
        provctl = Provctl(place)
        try:
            said = play(provctl, point)
        except Exception as problem:  # noqa: BLE001  all of them are shown below
            return f"FAILED at {point}\n{type(problem).__name__}: {problem}"
        finally:
            provctl.kill_everything()
        shutil.rmtree(str(place))
        return said

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        said = list(pool.map(one, enumerate(points)))
    bad = [text for text in said if text.startswith("FAILED")]
    shown = "\n\n".join(bad[:_SHOWN])
    assert not bad, f"wrong at {len(bad)} of {len(said)} points:\n{shown}"
    return said
