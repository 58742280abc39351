"""The packages that doctor checks are the dependencies in pyproject.toml."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version

from provctl.cli.doctor.checks import packages
from tests.support.installed import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def test_checked_packages_are_the_dependencies_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["kcl"], *extras["keyring"]]
    found = packages()
    names = [re.match(r"[\w.-]+", line) for line in needed]
    assert {each.name for each in found} == {name and name[0] for name in names}
    assert len(found) == len(needed)
    for each in found:
        assert each.version is not None or not each.always, "it is there now"
    assert {each.name: each.version for each in found}["click"] == version("click")
    always = {each.name for each in found if each.always}
    assert {"click", "pydantic", "tzlocal"} <= always
    assert not always & {"tomli", "py-nickel", "kcl-lib"}
