"""Merges the sources into one set of settings, with the origin of each value."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Mapping, Optional

from provctl.base.light_dataclass import light_dataclass
from provctl.config.paths import ConfigFile, config_files
from provctl.config.registry import KEYS
from provctl.config.settings import Settings
from provctl.config.sources import SettingValue, read_environment, read_file, read_flags
from provctl.errors import InvalidConfig

if TYPE_CHECKING:
    from pathlib import Path


@light_dataclass
class LoadedSettings:
    """The settings, and the origin of each canonical key.

    An origin is "default", "/path/config.toml:12", "PROVCTL_..." or "flag --x".
    """

    settings: Settings
    origins: Mapping[str, str]


def load_settings(
    *,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    config_file: Optional[str],
) -> LoadedSettings:
    """Return the settings; if several sources give a key, the strongest one counts.

    From weak to strong: defaults, the system's file, the user's file or else the given
    one, the environment, `flags` (key to value, None for an absent flag). A list or a
    table is replaced as a whole. Raises InvalidConfig for the first error.
    """
    settled: Dict[str, SettingValue] = {}
    for entries in _sources(flags, environ, config_file):
        settled.update(_merge_aliases(entries))
    origins = {key.name: "default" for key in KEYS}
    origins.update((name, entry.origin) for name, entry in settled.items())
    return LoadedSettings(_settings(settled), origins)


def check_file(path: Path) -> LoadedSettings:
    """Return the settings of a configuration file, and the location of each key.

    Raises InvalidConfig for the first error.
    """
    settled = _merge_aliases(_read(ConfigFile("given", path)))
    origins = {name: entry.origin for name, entry in settled.items()}
    return LoadedSettings(_settings(settled), origins)


def _sources(
    flags: Mapping[str, object], environ: Mapping[str, str], config_file: Optional[str]
) -> Iterator[List[SettingValue]]:
    for file in config_files(environ=environ, config_file=config_file):
        yield _read(file)
    yield read_environment(environ)
    yield read_flags(flags)


def _read(file: ConfigFile) -> List[SettingValue]:
    try:
        return read_file(file.path)
    except FileNotFoundError as missing:
        if file.role != "given":
            return []
        message = f"{file.path}: configuration file not found"
        raise InvalidConfig(message) from missing


def _merge_aliases(entries: Iterable[SettingValue]) -> Dict[str, SettingValue]:
    """Return the entries of one source by key; all spellings of a key must agree."""
    settled: Dict[str, SettingValue] = {}
    for entry in entries:
        name = entry.key.name
        first = settled.setdefault(name, entry)
        if first.value != entry.value:
            message = (
                f"{first.subject} and {entry.subject} are the same setting but have"
                " different values"
            )
            raise InvalidConfig(
                message, hint=f"keep only one of them, preferably {name}"
            )
    return settled


def _settings(settled: Mapping[str, SettingValue]) -> Settings:
    values: Dict[str, Dict[str, object]] = {}
    for name, entry in settled.items():
        section, _, leaf = name.rpartition(".")
        values.setdefault(section, {})[leaf] = entry.value
    top: Dict[str, Any] = values.pop("", {})
    defaults = Settings()
    for section, given in values.items():
        top[section] = replace(getattr(defaults, section), **given)
    return Settings(**top)
