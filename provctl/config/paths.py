"""Paths: configuration files, the state directory, provctl's own programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from provctl.config.settings import Settings


_APPLICATION = "provctl"
_XDG = {
    "site_config": ("XDG_CONFIG_DIRS", "/etc/xdg"),
    "user_config": ("XDG_CONFIG_HOME", "~/.config"),
    "user_state": ("XDG_STATE_HOME", "~/.local/state"),
    "user_cache": ("XDG_CACHE_HOME", "~/.cache"),
    "user_data": ("XDG_DATA_HOME", "~/.local/share"),
}


class ConfigFile(NamedTuple):
    """A possible configuration file.

    `role` is "system", "user" or "given"; a given file must exist.
    """

    role: str
    path: Path


def config_files(
    *, environ: Mapping[str, str], config_file: Optional[str]
) -> Tuple[ConfigFile, ...]:
    """Return the configuration files in use, from weak to strong.

    A file given by `config_file`, else by PROVCTL_CONFIG, replaces the user's.
    """
    site = _place("site_config")
    system = ConfigFile("system", site / "config.toml")
    given = config_file or environ.get("PROVCTL_CONFIG")
    if given:
        return system, ConfigFile("given", Path(given).absolute())
    user = _place("user_config")
    return system, ConfigFile("user", user / "config.toml")


def state_dir(settings: Settings) -> Path:
    """Return the state directory: `storage.data_dir`, else the platform's default."""
    chosen = settings.storage.data_dir
    return Path(chosen) if chosen else _place("user_state")


def cache_dir() -> Path:
    """Return the folder for caches: the default of the platform."""
    return _place("user_cache")


def programs_dir() -> Path:
    """Return the folder of programs that provctl installs for itself.

    It is the folder of install.sh, on every platform.
    """
    return _xdg_place("user_data") / "bin"


def _place(kind: str) -> Path:
    """The platform's default folder for a kind of files, as in platformdirs.

    Importing platformdirs takes 4 ms, a tenth of the time of a command, for two lines
    of the XDG specification.
    """
    if sys.platform == "darwin":
        import platformdirs

        return Path(getattr(platformdirs, f"{kind}_dir")(_APPLICATION))
    return _xdg_place(kind)


def _xdg_place(kind: str) -> Path:
    variable, usual = _XDG[kind]
    chosen = os.environ.get(variable, "").split(os.pathsep)[0].strip()
    base = chosen if os.path.isabs(chosen) else os.path.expanduser(usual)  # noqa: PTH111, PTH117
    return Path(base) / _APPLICATION
