"""Owns which packages provctl needs: by its own metadata, and which of them are there."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from typing import List, NamedTuple, Optional

__all__ = ["Package", "packages"]


class Package(NamedTuple):
    """A package by its name; `version` is None where it is not there.

    `always`: it is needed whatever the version of Python and the extras that were asked for.
    """

    name: str
    version: Optional[str]
    always: bool


def packages() -> List[Package]:
    """Return all packages that provctl uses, but for those of its developers."""
    try:
        requirements = requires("provctl") or []
    except PackageNotFoundError:  # in the single file, where there are no others
        return [
            Package(each.metadata["Name"], each.version, always=False)
            for each in distributions()
        ]
    found = []
    for line in requirements:
        requirement, _, condition = line.partition(";")
        if not _DEVELOPERS.search(condition):
            name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
            found.append(Package(name, _version(name), always=not condition))
    return found


_DEVELOPERS = re.compile(r"extra == .(test|real|dev)\b")


def _version(name: str) -> Optional[str]:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
