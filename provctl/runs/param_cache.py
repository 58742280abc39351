"""Caches parameters and tasks of workflow files, to know them without evaluation.

The parameters of Nickel and KCL files are only known after evaluation. So they are
cached whenever a file is loaded, until it is loaded again.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Collection, Dict, List, Mapping, Tuple

from provctl.base.record_cache import read_cache, write_cache
from provctl.base.safe_open import read_own
from provctl.base.text import decode

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.storage.layout import RunDir


_HEAD = "params 1"
_FILES = 200  # the most recently loaded ones
_MOST_BYTES = 16 << 20  # bytes of a file that is read while a user waits
_SHOWN = 500  # characters of a default


def remember_params(
    cache: Path, file: Path, params: Mapping[str, Any], given: Collection[str]
) -> None:
    """Cache the parameters of a workflow file that was just loaded, below `cache`.

    `params` are their values. The caller set those in `given`, so they are not defaults
    and are not cached. It does nothing for files that can be read at any time, or if
    the cache cannot be written.
    """
    if file.suffix in (".json", ".toml"):
        return
    shelf, name = _shelf(cache), _name(file)
    kept = read_cache(shelf, _HEAD)
    before = json.loads(kept.get(name, "{}"))
    now = {
        key: before.get(key, "") if key in given else _format_value(value)
        for key, value in params.items()
    }
    if now == before:
        return
    kept.pop(name, None)
    others = list(kept.items())[-_FILES + 1 :]
    write_cache(shelf, _HEAD, dict([*others, (name, json.dumps(now))]))


def params_of(cache: Path, file: Path) -> Dict[str, str]:
    """Return the parameters of a workflow file, each with its default as JSON.

    A default may be shortened, or empty if it is unknown. Raises OSError and ValueError
    for a file that cannot be read.
    """
    if file.suffix not in (".json", ".toml"):
        kept = read_cache(_shelf(cache), _HEAD)
        found: Dict[str, str] = json.loads(kept.get(_name(file), "{}"))
        return found
    document = _parse(file)
    params = document.get("params") if isinstance(document, dict) else None
    if not isinstance(params, dict):
        return {}
    return {key: _format_value(value) for key, value in params.items()}


def tasks_of(run: RunDir) -> List[Tuple[str, str]]:
    """Return the ids of a run's tasks, each with its description.

    Raises OSError, and ValueError for a file that is not a frozen workflow.
    """
    document = json.loads(read_own(run.workflow))
    return [(task["id"], task.get("description", "")) for task in document["tasks"]]


def _parse(file: Path) -> Any:
    text = decode(_content(file))
    if file.suffix == ".json":
        return json.loads(text)
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    return tomllib.loads(text)


def _content(file: Path) -> bytes:
    with file.open("rb") as opened:
        content = opened.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        message = f"{file}: more than {_MOST_BYTES} bytes"
        raise ValueError(message)
    return content


def _format_value(value: Any) -> str:
    """Return a value as JSON; dates of TOML, which JSON lacks, become text."""
    return json.dumps(value, ensure_ascii=False, default=str)[:_SHOWN]


def _shelf(cache: Path) -> Path:
    return cache / "params"


def _name(file: Path) -> str:
    """Return the cache key of a file: its path, spelled in ASCII on one line."""
    return json.dumps(str(file.absolute()))
