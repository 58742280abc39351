"""The imports of a Nickel file, for files with a byte-order mark.

Nickel treats the mark as a mistake. So the files are laid out again below a new folder
with the same paths: marked files as copies without the mark, all others as links.
Relative imports between them work there.
"""

from __future__ import annotations

import codecs
import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, Optional

_IMPORT = re.compile(rb'\bimport\s+"([^"\\]+)"')
# In other files, those imported as text, a mark is a part of the content.
_LANGUAGES = (".ncl", ".json", ".toml", ".yaml", ".yml")
_MAX_BYTES = 16 << 20
_MAX_FILES = 1_000


@contextmanager
def unmarked(main: Path) -> Iterator[Optional[str]]:
    """Yield the folder of a layout without marks; None if no file has one."""
    files = _files(main)
    if not any(files.values()):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="provctl-") as root:
        for path, has_mark in files.items():
            copy = Path(f"{root}{path}")
            copy.parent.mkdir(parents=True, exist_ok=True)
            if has_mark:
                copy.write_bytes(path.read_bytes()[len(codecs.BOM_UTF8) :])
            else:
                copy.symlink_to(path)
        yield root


def _files(main: Path) -> Dict[Path, bool]:
    """Return the file and all its imports, each with whether it has a mark."""
    found: Dict[Path, bool] = {}
    work = [main]
    while work and len(found) < _MAX_FILES:
        path = work.pop()
        if path in found or not path.is_file():
            continue
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES)
        marked = content.startswith(codecs.BOM_UTF8)
        found[path] = marked and path.suffix in _LANGUAGES
        if path.suffix == ".ncl":
            names = map(os.fsdecode, _IMPORT.findall(content))
            work += [Path(os.path.normpath(path.parent / name)) for name in names]
    return found
