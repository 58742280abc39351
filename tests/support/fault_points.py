"""Plays the same test at every fault point, each time in a new account."""

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
    """Play at each point and return the results.

    After all points it fails if some went wrong, and names them with their errors.
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
