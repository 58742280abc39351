"""Owns what can be told of a Nushell library by reading it, without starting `nu`."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Iterator, List, NamedTuple, Optional, Sequence, Set

from provctl.errors import UsageProblem
from provctl.nushell.names import check_command, module_path

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CallProblem",
    "check_call",
    "module_files",
    "module_needs_std",
    "script_needs_std",
]

_MAX_MODULES = 1000  # looked at to suggest a name
_SUGGESTIONS = 5

_NAME = r"""("[^"]*"|'[^']*'|`[^`]*`|[^\s;\[\](){}=]+)"""
# Not compiled before they are used: a command of the library uses few of them.
_COMMENT = r"(?m)^\s*#.*$"
_EXPORT = rf"(?m)(?:^|[;{{])\s*export\s+(?:def|extern|alias)\s+(?:--\S+\s+)*{_NAME}"
_REEXPORT = r"\bexport\s+(?:use|module)\b"
# Anywhere, so also in text: taking too much for an import only costs time.
_IMPORT = rf"(?<![\w$.-])(?:use|module|source|source-env)\s+{_NAME}"
# Its module, and the two commands that Nushell has from it.
_STD = r"\b(?:std|pwd|banner)\b"


class CallProblem(NamedTuple):
    """Why a call cannot work, in words, and what to do about it.

    `field` of the call is at fault: "module" or "command".
    """

    message: str
    hint: str
    field: str = "module"


def check_call(library: Path, module: str, command: str) -> Optional[CallProblem]:
    """Return what is wrong with calling `command` of `module`, None if nothing is seen.

    It objects only when sure: a module that passes on what others export is
    not looked through.
    """
    try:
        module_path(str(library), module)
        check_command(command)
    except UsageProblem as problem:
        return CallProblem(problem.message, problem.hint or "")
    if not library.is_dir():
        message = f"the Nushell library {library} is not a directory"
        return CallProblem(
            message, "set `library` in the workflow, or nushell.provisioning_lib"
        )
    file = _module_file(library / module)
    if file is None:
        message = f"no module {module!r}: looked for {library / module}"
        return CallProblem(message, _suggest(module, _modules(library), "modules"))
    text = _read(file)
    if text is None:
        return CallProblem(f"{file} cannot be read", "check its permissions")
    exported = [_bare(match) for match in re.findall(_EXPORT, text)]
    if command in exported or re.search(_REEXPORT, text):
        return None
    message = f"{file} exports no command {command!r}"
    return CallProblem(
        message, _suggest(command, exported, "its commands"), field="command"
    )


def module_needs_std(library: Path, module: str) -> bool:
    """Say whether `module`, or anything it imports, may use the standard library.

    Loading it nearly doubles the start of `nu`.
    """
    file = _module_file(library / module)
    return file is None or _needs_std(_read(file), file.parent, library)


def script_needs_std(text: str, library: Path) -> bool:
    """Say whether a script, or anything it imports, may use the standard library."""
    return _needs_std(text, library, library)


def module_files(library: Path, module: str) -> List[Path]:
    """Return the files that `module` is made of: its own, and all it imports.

    Its own comes first, and there is none if the module is not there. What is not
    a file, such as the standard library, is left out.
    """
    own = _module_file(library / module)
    if own is None:
        return []
    files = [own]
    for file in files:
        imported = _imports(_read(file) or "", file.parent, library)
        files += [new for new in dict.fromkeys(imported) if new and new not in files]
    return files


def _needs_std(text: Optional[str], directory: Path, library: Path) -> bool:
    pending = [(text, directory)]
    seen: Set[Path] = set()
    while pending:
        text, directory = pending.pop()
        if text is None or re.search(_STD, text):
            return True
        for file in _imports(text, directory, library):
            if file is None:
                return True  # who knows what it is
            if file not in seen:
                seen.add(file)
                pending.append((_read(file), file.parent))
    return False


def _imports(text: str, directory: Path, library: Path) -> Iterator[Optional[Path]]:
    """Yield the file of each module that `text` imports, None if it has none."""
    for match in re.findall(_IMPORT, re.sub(_COMMENT, "", text)):
        name = _bare(match)
        yield _module_file(directory / name) or _module_file(library / name)


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
    from difflib import get_close_matches

    near = get_close_matches(wanted, existing, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    if not existing:
        return f"{what}: none"
    more = ", ..." if len(existing) > _SUGGESTIONS else ""
    return f"{what}: {', '.join(existing[:_SUGGESTIONS])}{more}"
