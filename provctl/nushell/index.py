"""Owns the verbs of a library: where they are found, and the cache of their signatures.

    provctl NOUN VERB  ->  <library>/<noun>s/<verb>.nu  exporting  <verb>-<noun> or main

The folder may be called like the noun itself or have another plural, the module may
be a folder with a mod.nu, and the command may be spelled with `_`.

The cache is one file a library. A signature in it counts as long as its module, and
all that imports, have the same content, and Nushell is the same program.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional

from provctl.errors import UsageProblem
from provctl.nushell.library import Imports, module_files, module_imports
from provctl.nushell.names import is_word
from provctl.nushell.signatures import (
    Exports,
    Reader,
    Signature,
    signature_from_json,
    signature_to_json,
)
from provctl.shelf import read_shelf, shelf_of, write_shelf

__all__ = ["KeptIndex", "LibraryIndex", "Verb"]

_FORMAT = 2
# The scheduler may be at any port of it, by the settings of the time.
_OF_THIS_MACHINE = ("localhost:", "127.0.0.1:", "[::1]:")
# A file that was just written may change again without a trace in its times.
_SETTLED_NS = 2_000_000_000


class Verb(NamedTuple):
    """A verb of the library; `module` is its path below the library.

    `noun` is singular, `imports` what the module needs (`endpoint`: it speaks of some
    port of this machine). Without a signature, `problem` says why it cannot be read.
    """

    noun: str
    name: str
    module: str
    imports: Imports = Imports(std=True)
    signature: Optional[Signature] = None
    problem: str = ""


class LibraryIndex:
    """The verbs of the library in the folder `library`, with a cache below `cache`.

    `nu` gives the Nushell program when it is needed, `environ` is what it gets.
    Raises ToolMissing whenever Nushell is needed and does not answer.
    """

    def __init__(
        self,
        library: Path,
        cache: Path,
        nu: Callable[[], str],
        environ: Mapping[str, str],
    ) -> None:
        self._library = Path(os.path.abspath(library))  # noqa: PTH100
        self._nu = nu
        self._environ = environ
        self._file = shelf_of(cache / "signatures", self._library)
        self._stamps: Dict[str, Optional[List[int]]] = {}

    def find(self, noun: str, verb: str) -> Optional[Verb]:
        """Return a verb with its signature; None if the library has none of the name.

        The noun may be given in the plural. Raises UsageProblem if the module that
        should have it does not parse.
        """
        modules = [m for m in self._modules_of(noun) if _name(m) == verb]
        for found in _verbs(self._records(modules, doubting=True)):
            if found.signature is None:
                raise UsageProblem(found.problem)
            return found
        return None

    def has(self, noun: str) -> bool:
        """Whether there is a folder with modules for a noun, singular or plural."""
        return bool(self._modules_of(noun))

    def verbs(self, noun: str) -> List[Verb]:
        """Return the verbs of a noun by name; empty if the library has no such noun."""
        return _verbs(self._records(self._modules_of(noun)))

    def nouns(self) -> Dict[str, List[str]]:
        """Return the names of all verbs by noun, both in order.

        What does not parse is among them: asked for, it says so.
        """
        try:
            entries = list(os.scandir(self._library))
        except OSError:
            return {}
        folders = sorted(
            entry.name for entry in entries if is_word(entry.name) and entry.is_dir()
        )
        modules = [m for folder in folders for m in self._modules_in(folder)]
        nouns: Dict[str, List[str]] = {}
        for module, record in self._records(modules).items():
            if record["signature"] or record["problem"]:
                nouns.setdefault(_noun(module), []).append(_name(module))
        return {noun: sorted(set(nouns[noun])) for noun in sorted(nouns)}

    def complete(self, verb: Verb, completer: str) -> Iterable[Any]:
        """Return pairs of a value and a description that a completer offers."""
        assert verb.signature is not None, verb
        return self._reader().complete(verb.signature, completer)

    def _modules_of(self, noun: str) -> List[str]:
        if not is_word(noun):
            return []
        return [m for folder in _folders(noun) for m in self._modules_in(folder)]

    def _modules_in(self, folder: str) -> List[str]:
        """Return the paths of the modules in a folder of the library, by name."""
        try:
            entries = sorted(os.scandir(self._library / folder), key=lambda e: e.name)
        except OSError:
            return []
        modules = []
        for entry in entries:
            stem, dot, suffix = entry.name.partition(".")
            if not is_word(stem) or stem == "mod":
                continue
            if suffix == "nu" or (not dot and Path(entry.path, "mod.nu").is_file()):
                modules.append(f"{folder}/{entry.name}")
        return modules

    def _records(
        self, modules: List[str], *, doubting: bool = False
    ) -> Dict[str, Dict[str, Any]]:
        """Return what is known of modules, from the cache as far as that is right.

        `doubting`: what did not parse may do so now, without having changed.
        """
        if not modules:
            return {}
        head = json.dumps([_FORMAT, _stamp(self._nu()), str(self._library)])
        kept = read_shelf(self._file, head)
        known = {m: json.loads(kept[m]) for m in modules if m in kept}
        if doubting:
            known = {m: record for m, record in known.items() if not record["problem"]}
        stale = [m for m in modules if m not in known or not self._holds(known[m])]
        if stale:
            known.update(self._read(stale, known))
            kept.update((m, json.dumps(known[m])) for m in stale)
            there = {m: r for m, r in kept.items() if (self._library / m).exists()}
            write_shelf(self._file, head, there)
        return {module: known[module] for module in modules}

    def _read(
        self, stale: List[str], kept: Mapping[str, Any]
    ) -> Dict[str, Dict[str, Any]]:
        """Return the records of modules whose cached ones, if any, may be wrong."""
        records: Dict[str, Dict[str, Any]] = {}
        for module in stale:
            files = [str(file) for file in module_files(self._library, module)]
            records[module] = {
                "files": {file: self._settled(file) for file in files},
                "digest": _digest(files),
                "imports": module_imports(self._library, module, _OF_THIS_MACHINE),
            }
        changed = []
        for module, record in records.items():
            before = kept.get(module, {})
            if before.get("digest") == record["digest"]:
                records[module] = {**before, **record}  # only the times are others
            else:
                changed.append(module)
        answers = self._reader().read(changed) if changed else {}
        for module, exports in answers.items():
            records[module].update(_outcome(module, exports))
        return records

    def _reader(self) -> Reader:
        return Reader(self._library, self._nu(), self._environ)

    def _holds(self, record: Mapping[str, Any]) -> bool:
        files = record["files"]
        return bool(files) and all(
            stamp is not None and stamp == self._stamp_once(file)
            for file, stamp in files.items()
        )

    def _stamp_once(self, file: str) -> Optional[List[int]]:
        if file not in self._stamps:
            self._stamps[file] = _stamp(file)
        return self._stamps[file]

    def _settled(self, file: str) -> Optional[List[int]]:
        """Return the stamp of a file, None if it may change without changing it."""
        import time

        stamp = self._stamp_once(file)
        fresh = stamp is None or time.time_ns() - max(stamp[:2]) < _SETTLED_NS
        return None if fresh else stamp


class KeptIndex(LibraryIndex):
    """What is kept of a library, though it may have changed: nothing is read by Nushell.

    A module of which nothing is kept is taken to export what its name says; its
    `problem` says that it was not read.
    """

    def _records(
        self, modules: List[str], *, doubting: bool = False
    ) -> Dict[str, Dict[str, Any]]:
        kept = read_shelf(self._file, None)
        imports, problem = Imports(std=True), "not read yet"
        unread = {"signature": None, "problem": problem, "imports": imports}
        return {
            module: json.loads(kept[module]) if module in kept else unread
            for module in modules
        }


def _verbs(records: Mapping[str, Mapping[str, Any]]) -> List[Verb]:
    """Return the verbs of modules; of two with one name, the first."""
    verbs: Dict[str, Verb] = {}
    for module, record in records.items():
        noun, name = _noun(module), _name(module)
        imports = Imports(*record["imports"])
        if record["problem"]:
            verb = Verb(noun, name, module, imports, problem=record["problem"])
        elif record["signature"]:
            signature = signature_from_json(record["signature"])
            verb = Verb(noun, name, module, imports, signature)
        else:
            continue
        verbs.setdefault(name, verb)
    return list(verbs.values())


def _outcome(module: str, exports: Exports) -> Dict[str, Any]:
    """Return what is kept of what a module exports."""
    if isinstance(exports, UsageProblem):
        return {"signature": None, "problem": exports.message}
    commands = (exports.get(name) for name in _commands(module))
    signature = next(filter(None, commands), None)
    record = None if signature is None else signature_to_json(signature)
    return {"signature": record, "problem": ""}


def _commands(module: str) -> List[str]:
    """Return the names that the command of a verb may have, the best first."""
    noun, folder = _noun(module), module.split("/")[0]
    forms = dict.fromkeys([noun, folder, f"{noun}s"])
    return [f"{_name(module)}{joint}{form}" for joint in "-_" for form in forms] + [
        "main"
    ]


def _noun(module: str) -> str:
    """Return the noun of a module: the singular of the folder it is in."""
    folder = module.split("/")[0]
    if folder.endswith("ies"):
        return f"{folder[:-3]}y"
    if folder.endswith(("sses", "xes", "ches", "shes")):
        return folder[:-2]
    if folder.endswith("s") and not folder.endswith(("ss", "us", "is", "dns")):
        return folder[:-1]
    return folder


def _name(module: str) -> str:
    return module.split("/")[1].partition(".")[0]


def _folders(noun: str) -> List[str]:
    """Return what the folder of a noun may be called, which may be a plural itself."""
    names = [f"{noun}s", noun, f"{noun}es"]
    if noun.endswith("y"):
        names.append(f"{noun[:-1]}ies")
    return names


def _stamp(file: str) -> Optional[List[int]]:
    """Return what changes when a file does, None if it cannot be seen."""
    try:
        about = os.stat(file)  # noqa: PTH116 - many files, and a Path costs as much
    except OSError:
        return None
    return [about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino]


def _digest(files: Iterable[str]) -> str:
    from hashlib import sha256

    digest = sha256()
    for file in files:
        with suppress(OSError):
            content = Path(file).read_bytes()
            digest.update(f"{file}\0{len(content)}\0".encode(errors="surrogateescape"))
            digest.update(content)
    return digest.hexdigest()
