"""What the checks of `doctor` look at, and what they may answer."""

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
    """Something worth saying that is no fault: what is so, and what to do about it."""

    detail: str
    advice: str


@light_dataclass
class CheckContext:
    """What the checks look at; `broken` is why the settings are only defaults."""

    settings: Settings
    state_dir: Path
    environ: Mapping[str, str]
    now: float
    files: Tuple[Path, ...]
    broken: Optional[InvalidConfig]

    @property
    def search_path(self) -> str:
        """Where programs are looked for, as in PATH."""
        return self.environ.get("PATH", os.defpath)
