"""The input of the checks of `doctor`, and their possible results."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Mapping, Optional, Tuple

from provctl.base.light_dataclass import light_dataclass

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.config.settings import Settings
    from provctl.errors import InvalidConfig


@light_dataclass
class CheckNote:
    """A note that is not a problem: a fact, and what to do about it."""

    detail: str
    advice: str


@light_dataclass
class CheckContext:
    """The input of the checks; `broken` is why the settings are only defaults."""

    settings: Settings
    state_dir: Path
    environ: Mapping[str, str]
    now: float
    files: Tuple[Path, ...]
    broken: Optional[InvalidConfig]

    @property
    def search_path(self) -> str:
        """The folders in which programs are searched, as in PATH."""
        return self.environ.get("PATH", os.defpath)
