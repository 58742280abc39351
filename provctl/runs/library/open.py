"""Opens the configured library: its folder, its verbs, and the Nushell they use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, Optional, Type

from provctl.config.paths import cache_dir, programs_dir
from provctl.nushell.binary import find_nu
from provctl.nushell.library.index import LibraryIndex

if TYPE_CHECKING:
    from provctl.config.settings import Settings


def library_folder(settings: Settings) -> Optional[Path]:
    """Return the absolute folder of the configured library; None if not set."""
    configured = settings.nushell.provisioning_lib
    return None if configured is None else Path(configured).absolute()


def open_library(
    settings: Settings,
    environ: Mapping[str, str],
    index: Type[LibraryIndex] = LibraryIndex,
) -> Optional[LibraryIndex]:
    """Return the verbs of the configured library; None if none is configured.

    `environ` is the environment in which an `index` reads the library's modules.
    """
    folder = library_folder(settings)
    if folder is None:
        return None
    path = environ.get("PATH", os.defpath)
    return index(
        folder,
        cache_dir(),
        lambda: find_nu(settings.nushell.binary, path, str(programs_dir())),
        {**environ, **settings.nushell.env_vars},
    )
