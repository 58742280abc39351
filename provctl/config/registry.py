"""The table of all keys with every spelling, from the fields of the settings.

Records inside this package are named tuples: every command loads it before it can
start, and a dataclass costs ten times as much to define.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Dict, Iterator, NamedTuple, Tuple

from provctl.config.settings import Settings, SettingSpec


class SettingKey(NamedTuple):
    """A setting: its canonical name, its default, and its description."""

    name: str
    default: object
    description: SettingSpec

    @property
    def spellings(self) -> Tuple[str, ...]:
        """The canonical name, then the aliases."""
        return (self.name, *self.description.aliases)

    @property
    def variables(self) -> Tuple[str, ...]:
        """The environment variables that set it, the main one first."""
        main = tuple(variable_of(spelling) for spelling in self.spellings)
        short = self.description.variable
        return main if short is None else (*main, short)


def variable_of(spelling: str) -> str:
    """Return the environment variable of a key (or the prefix of a section)."""
    return "PROVCTL_" + spelling.replace(".", "_").upper()


def value_of(settings: Settings, name: str) -> object:
    """Return the value of the key with the canonical name `name`."""
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _keys() -> Iterator[SettingKey]:
    defaults = Settings()
    for section in fields(defaults):
        value = getattr(defaults, section.name)
        if "description" in section.metadata:
            yield SettingKey(section.name, value, section.metadata["description"])
            continue
        for entry in fields(value):
            name = f"{section.name}.{entry.name}"
            default = getattr(value, entry.name)
            yield SettingKey(name, default, entry.metadata["description"])


KEYS: Tuple[SettingKey, ...] = tuple(_keys())
SPELLINGS: Dict[str, SettingKey] = {name: key for key in KEYS for name in key.spellings}
SECTIONS: Tuple[str, ...] = tuple(entry.name for entry in fields(Settings))
VARIABLES: Dict[str, SettingKey] = {name: key for key in KEYS for name in key.variables}
