"""Owns how the sources become one set of settings, and where each value came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Mapping, Optional

from provctl.config.keys import KEYS
from provctl.config.paths import ConfigFile, config_files
from provctl.config.settings import Settings
from provctl.config.sources import Entry, read_environment, read_file, read_flags
from provctl.errors import ConfigInvalid

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Loaded", "check_file", "load_settings"]


@dataclass(frozen=True)
class Loaded:
    """The settings, and for each canonical key where its value came from.

    An origin is "default", "/path/config.toml:12", "PROVCTL_..." or "flag --x".
    """

    settings: Settings
    origins: Mapping[str, str]


def load_settings(
    *,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    config_file: Optional[str],
) -> Loaded:
    """Return the settings; of two sources that give a key, the stronger one counts.

    From weak to strong: defaults, the system's file, the user's file or else the
    given one, the environment, `flags` (key to value, None for an absent flag).
    A list or a table is replaced as a whole. Raises ConfigInvalid for the first
    thing that is not right.
    """
    settled: Dict[str, Entry] = {}
    for entries in _sources(flags, environ, config_file):
        settled.update(_settle(entries))
    origins = {key.name: "default" for key in KEYS}
    origins.update((name, entry.origin) for name, entry in settled.items())
    return Loaded(_settings(settled), origins)


def check_file(path: Path) -> Loaded:
    """Return what a configuration file gives, and where each of its keys stands in it.

    Raises ConfigInvalid for the first thing that is not right.
    """
    settled = _settle(_read(ConfigFile("given", path)))
    origins = {name: entry.origin for name, entry in settled.items()}
    return Loaded(_settings(settled), origins)


def _sources(
    flags: Mapping[str, object], environ: Mapping[str, str], config_file: Optional[str]
) -> Iterator[List[Entry]]:
    for file in config_files(environ=environ, config_file=config_file):
        yield _read(file)
    yield read_environment(environ)
    yield read_flags(flags)


def _read(file: ConfigFile) -> List[Entry]:
    try:
        return read_file(file.path)
    except FileNotFoundError as missing:
        if file.role != "given":
            return []
        message = f"{file.path}: no such configuration file"
        raise ConfigInvalid(message) from missing


def _settle(entries: Iterable[Entry]) -> Dict[str, Entry]:
    """Return the entries of one source by key; spellings of one key must agree."""
    settled: Dict[str, Entry] = {}
    for entry in entries:
        name = entry.key.name
        first = settled.setdefault(name, entry)
        if first.value != entry.value:
            message = (
                f"{first.subject} and {entry.subject} are the same setting, "
                "with different values"
            )
            raise ConfigInvalid(message, hint=f"keep one of them, best {name}")
    return settled


def _settings(settled: Mapping[str, Entry]) -> Settings:
    values: Dict[str, Dict[str, object]] = {}
    for name, entry in settled.items():
        section, _, leaf = name.rpartition(".")
        values.setdefault(section, {})[leaf] = entry.value
    top: Dict[str, Any] = values.pop("", {})
    defaults = Settings()
    for section, given in values.items():
        top[section] = replace(getattr(defaults, section), **given)
    return Settings(**top)
