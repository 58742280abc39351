"""Owns where things are: the configuration files that count, and the state directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Mapping, NamedTuple, Optional, Tuple

import platformdirs

if TYPE_CHECKING:
    from provctl.config.settings import Settings

__all__ = ["ConfigFile", "cache_dir", "config_files", "state_dir"]

_APPLICATION = "provctl"


class ConfigFile(NamedTuple):
    """A place where settings may be.

    `role` is "system", "user" or "given"; a given file must exist.
    """

    role: str
    path: Path


def config_files(
    *, environ: Mapping[str, str], config_file: Optional[str]
) -> Tuple[ConfigFile, ...]:
    """Return the configuration files that count, from weak to strong.

    A file given by `config_file`, else by PROVCTL_CONFIG, replaces the user's.
    """
    site = Path(platformdirs.site_config_dir(_APPLICATION))
    system = ConfigFile("system", site / "config.toml")
    given = config_file or environ.get("PROVCTL_CONFIG")
    if given:
        return system, ConfigFile("given", Path(given).absolute())
    user = Path(platformdirs.user_config_dir(_APPLICATION))
    return system, ConfigFile("user", user / "config.toml")


def state_dir(settings: Settings) -> Path:
    """Return the state directory: `storage.data_dir`, else the platform's place."""
    chosen = settings.storage.data_dir
    return Path(chosen or platformdirs.user_state_dir(_APPLICATION))


def cache_dir() -> Path:
    """Return where things are kept that can be made again: the platform's place."""
    return Path(platformdirs.user_cache_dir(_APPLICATION))
