"""Reads a Nushell library as text, without starting `nu`.

`SHIPPED` is the folder of the modules that come with this program: `provctl.nu` and its
parts. Every task finds them after those of its own library.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from provctl.base.suggest import closest_match
from provctl.errors import UsageError
from provctl.nushell.quoting import check_command, main_name, module_path

SHIPPED = Path(__file__).parents[1] / "lib"

_MAX_MODULES = 1000  # modules that are searched to suggest a name
_SUGGESTIONS = 5

_NAME = r"""("[^"]*"|'[^']*'|`[^`]*`|[^\s;\[\](){}=]+)"""
# Compiled when first used: a command of the library uses few of them.
_COMMENT = r"(?m)^\s*#.*$"
_EXPORT = rf"(?m)(?:^|[;{{])\s*export\s+(?:def|extern|alias)\s+(?:--\S+\s+)*{_NAME}"
_REEXPORT = r"\bexport\s+(?:use|module)\b"
# Anywhere, also in text: a false import only costs time.
_IMPORT = rf"(?<![\w$.-])(?:use|module|source|source-env)\s+{_NAME}"
# The module, and the two commands that Nushell has from it.
_STD = r"\b(?:std|pwd|banner)\b"
_CONFIG = r"(?<![\w-])load-config(?![\w-])"


class LibraryCallError(NamedTuple):
    """Why a call cannot work, and what to do about it.

    `field` is the wrong field of the call: "module" or "command".
    """

    message: str
    hint: str
    field: str = "module"


def check_call(library: Path, module: str, command: str) -> Optional[LibraryCallError]:
    """Return what is wrong with calling `command` of `module`, None if nothing is.

    It only reports certain problems: modules that re-export others are not searched.
    """
    try:
        module_path(str(library), module)
        check_command(command)
        if command == "main":
            main_name(module)
    except UsageError as problem:
        return LibraryCallError(problem.message, problem.hint or "")
    if not library.is_dir():
        message = f"the Nushell library {library} is not a directory"
        return LibraryCallError(
            message, "set `library` in the workflow, or nushell.provisioning_lib"
        )
    file = _module_file(library / module)
    if file is None:
        message = f"module {module!r} not found: looked for {library / module}"
        return LibraryCallError(message, _suggest(module, _modules(library), "modules"))
    text = _read(file)
    if text is None:
        return LibraryCallError(f"{file} cannot be read", "check its permissions")
    exported = [_bare(match) for match in re.findall(_EXPORT, text)]
    if command in exported or re.search(_REEXPORT, text):
        return None
    message = f"{file} does not export a command {command!r}"
    return LibraryCallError(
        message, _suggest(command, exported, "its commands"), field="command"
    )


class ModuleFeatures(NamedTuple):
    """The features that a task needs, by its text and its imports.

    `std`: perhaps the standard library, which nearly doubles the start of `nu`;
    `provctl`: the shipped module; `endpoint`: it contains the scheduler's address;
    `config`: it calls `load-config` without a definition.
    """

    std: bool = False
    provctl: bool = False
    endpoint: bool = False
    config: bool = False


def module_imports(
    library: Path, module: str, endpoints: Sequence[str] = ()
) -> ModuleFeatures:
    """Return what `module` needs; `endpoints` are spellings of that address."""
    file = _module_file(library / module)
    if file is None:
        return ModuleFeatures(std=True)
    return _imports(_read(file), file.parent, library, endpoints)


def module_needs_std(library: Path, module: str) -> bool:
    """Say whether `module`, or anything it imports, may use the standard library."""
    return module_imports(library, module).std


def script_imports(
    text: str, library: Path, endpoints: Sequence[str] = ()
) -> ModuleFeatures:
    """Return what a script needs; `endpoints` are spellings of the scheduler's."""
    return _imports(text, library, library, endpoints)


def module_files(library: Path, module: str) -> List[Path]:
    """Return the files of `module`: its own, and all it imports.

    Its own comes first; a missing module has none. What is not a file, such as the
    standard library, is left out.
    """
    own = _module_file(library / module)
    if own is None:
        return []
    files = [own]
    for file in files:
        imported = _imported_files(_read(file) or "", file.parent, library)
        files += [new for new in dict.fromkeys(imported) if new and new not in files]
    return files


def exporting_size(files: Sequence[Path]) -> int:
    """Return the size in bytes of the source of a module's exported commands.

    `files` are those of the module; re-exported commands may be in any of them.
    """
    own = files[:1]
    if own and re.search(_REEXPORT, _read(own[0]) or ""):
        own = files
    return sum(file.stat().st_size for file in own if file.is_file())


def _imports(
    text: Optional[str], directory: Path, library: Path, endpoints: Sequence[str]
) -> ModuleFeatures:
    texts, unknown = _texts(text, directory, library)
    own = [text for file, text in texts.items() if SHIPPED not in file.parents]
    calls_config = any(re.search(_CONFIG, text) for text in own)
    exported = {_bare(name) for text in own for name in re.findall(_EXPORT, text)}
    return ModuleFeatures(
        std=unknown or any(re.search(_STD, text) for text in own),
        provctl=SHIPPED / "provctl.nu" in texts,
        endpoint=any(endpoint in text for text in own for endpoint in endpoints),
        config=calls_config and "load-config" not in exported,
    )


def _texts(
    text: Optional[str], directory: Path, library: Path
) -> Tuple[Dict[Path, str], bool]:
    """Return the text and all imported ones, by file, without comments.

    Also return whether some import is unknown.
    """
    pending = [(directory / "", text, directory)]
    texts: Dict[Path, str] = {}
    unknown = False
    while pending:
        place, text, directory = pending.pop()
        if text is None:
            unknown = True
            continue
        texts[place] = text = re.sub(_COMMENT, "", text)
        for file in _imported_files(text, directory, library):
            if file is None:
                unknown = True
            elif file not in texts:
                texts[file] = ""
                pending.append((file, _read(file), file.parent))
    return texts, unknown


def _imported_files(
    text: str, directory: Path, library: Path
) -> Iterator[Optional[Path]]:
    """Yield the file of each module that `text` imports, None if it has none."""
    for match in re.findall(_IMPORT, re.sub(_COMMENT, "", text)):
        name = _bare(match)
        places = (directory / name, library / name, SHIPPED / name)
        yield next(filter(None, map(_module_file, places)), None)


def _module_file(path: Path) -> Optional[Path]:
    """Return the file of a module: itself, or `mod.nu` if it is a directory."""
    return next((file for file in (path / "mod.nu", path) if file.is_file()), None)


def _read(file: Path) -> Optional[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _bare(name: str) -> str:
    return name[1:-1] if name[0] in "\"'`" else name


def _modules(library: Path) -> List[str]:
    found = islice(library.rglob("*.nu"), _MAX_MODULES)
    return sorted(str(file.relative_to(library)) for file in found)


def _suggest(wanted: str, existing: Sequence[str], what: str) -> str:
    near = closest_match(wanted, existing)
    if near:
        return f"did you mean {near!r}?"
    if not existing:
        return f"{what}: none"
    more = ", ..." if len(existing) > _SUGGESTIONS else ""
    return f"{what}: {', '.join(existing[:_SUGGESTIONS])}{more}"
