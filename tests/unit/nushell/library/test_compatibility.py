"""Whether a library is compatible, by its `versions.toml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, List

import pytest

from provctl import __version__
from provctl.errors import LibraryIncompatible
from provctl.nushell.library.compatibility import API, PLATFORM, check_library

if TYPE_CHECKING:
    from pathlib import Path

# As the platform publishes it.
PUBLISHED = """
[compatibility.platform."2.5.3"]
core = "^3.2"
min-core = "3.2.0"
api-version = "v1"

[compatibility.core."3.2.1"]
platform = "^2.5"
min-platform = "2.5.0"
orchestrator-api = "v1"
"""


def why(folder: Path, text: str) -> List[str]:
    (folder / "versions.toml").write_text(text)
    with pytest.raises(LibraryIncompatible) as refusal:
        check_library(folder)
    prefix = f"{folder / 'versions.toml'}: "
    lines = refusal.value.message.splitlines()
    assert all(line.startswith(prefix) for line in lines)
    assert refusal.value.exit_code == 52
    return [line[len(prefix) :] for line in lines]


def test_library_without_requirements_is_compatible(tmp_path: Path) -> None:
    assert check_library(tmp_path) is None
    (tmp_path / "versions.toml").write_text("")
    assert check_library(tmp_path) is None


def test_published_file_is_compatible(tmp_path: Path) -> None:
    (tmp_path / "versions.toml").write_text(PUBLISHED)
    assert check_library(tmp_path) == "3.2.1"


@pytest.mark.parametrize(
    "place",
    [
        "versions.toml",
        "provisioning-distribution/versions.toml",
        "provisioning-core/versions.toml",
        "provisioning-core/nulib/provisioning-distribution/versions.toml",
    ],
)
def test_versions_file_is_found_beside_and_above_the_library(
    tmp_path: Path, place: str
) -> None:
    library = tmp_path / "provisioning-core" / "nulib"
    library.mkdir(parents=True)
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.write_text(PUBLISHED)
    assert check_library(library) == "3.2.1"
    file.write_text(PUBLISHED.replace("^2.5", "^9.9"))
    with pytest.raises(LibraryIncompatible) as refusal:
        check_library(library)
    assert refusal.value.message.startswith(f"{file}: ")
    # The nearest one counts.
    (library / "versions.toml").write_text(PUBLISHED)
    assert check_library(library) == "3.2.1"


def test_foreign_versions_file_above_the_library_is_ignored(
    tmp_path: Path,
) -> None:
    library = tmp_path / "a" / "b" / "nulib"
    library.mkdir(parents=True)
    (library.parent / "versions.toml").write_text("version = 5\n")
    assert check_library(library) is None
    # Further away than the platform has it, it is not looked for.
    (tmp_path / "versions.toml").write_text(PUBLISHED)
    assert check_library(library) is None


US = f"provctl {__version__} is platform {PLATFORM} with API {API}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"^2.5"', '"^2.6"', f"the library 3.2.1 needs platform ^2.6; {US}"),
        ('"^2.5"', '"~2.4"', f"the library 3.2.1 needs platform ~2.4; {US}"),
        (
            '"2.5.0"',
            '"2.5.4"',
            f"the library 3.2.1 needs platform 2.5.4 or newer; {US}",
        ),
        (
            'orchestrator-api = "v1"',
            'orchestrator-api = "v2"',
            f"the library 3.2.1 needs API v2; {US}",
        ),
        (
            'min-platform = "2.5.0"',
            'provctl = ">=9"',
            f"the library 3.2.1 needs provctl >=9; {US}",
        ),
        (
            '"^3.2"',
            '"^4"',
            f"platform {PLATFORM} needs core ^4; the library 3.2.1 is not compatible",
        ),
        (
            '"3.2.0"',
            '"3.3"',
            f"platform {PLATFORM} needs core 3.3 or newer; the library 3.2.1 is not compatible",
        ),
        (
            'api-version = "v1"',
            'api-version = "v9"',
            f"platform {PLATFORM} must have API v9; {US}",
        ),
    ],
)
def test_unmet_requirement_is_reported(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert PUBLISHED.count(old) == 1
    assert why(tmp_path, PUBLISHED.replace(old, new)) == [said]


def test_entries_of_other_versions_are_ignored(tmp_path: Path) -> None:
    other = PUBLISHED.replace('"^2.5"', '"^9"') + '[compatibility.core."3.3"]\n'
    (tmp_path / "versions.toml").write_text('version = "3.3.0"\n' + other)
    assert check_library(tmp_path) == "3.3.0"
    # Of two versions nobody can know which it is.
    (tmp_path / "versions.toml").write_text(other)
    assert check_library(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = ", "Invalid value"),
        ("version = 3", "version: expected a text such as 3.2.1"),
        ("compatibility = 1", "compatibility: expected a table"),
        ("[compatibility]\ncore = 1", "core: expected a table"),
        (PUBLISHED.replace('"^2.5"', "2"), 'core."3.2.1".platform: expected a text'),
        (
            PUBLISHED.replace('"^2.5"', '"newer"'),
            "'newer' is not a version range such as ^3.2",
        ),
        (PUBLISHED.replace('"2.5.0"', '"x"'), "'x' is not a version such as 3.2.1"),
        ("a = " + "[" * 5000, ""),
    ],
)
def test_unreadable_requirement_is_reported(
    tmp_path: Path, text: str, said: str
) -> None:
    assert said in why(tmp_path, text)[0]
