"""Loads a script of `.ci` as a module."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

from tests.support.documents import ROOT

__all__ = ["load_script"]


def load_script(path: str) -> Any:
    """The script with this path in the repository, loaded but not run."""
    name = path.replace("/", "_").replace(".", "_")
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
