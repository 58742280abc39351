"""The verbs of a library: where they are found, and the cache of their signatures.

    provctl NOUN VERB  ->  <library>/<noun>s/<verb>.nu  exporting  <verb>-<noun> or main
                           <library>/<noun>s.nu         exporting  <verb>-<noun>,
                                                        "main <verb>" or <verb>

The folder, or the file, may be called like the noun itself or have another plural, the
module of a verb may be a folder with a mod.nu, and the command may be spelled with `_`.

The cache is one file a library. A signature in it counts as long as its module, and
all that imports, have the same content, and Nushell is the same program.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
)

from provctl.base.record_cache import cache_path, read_cache, write_cache
from provctl.core.model.nushell_names import is_word
from provctl.errors import UsageError
from provctl.nushell.library.scan import (
    ModuleFeatures,
    exporting_size,
    module_files,
    module_imports,
)
from provctl.nushell.library.signatures import (
    Exports,
    Signature,
    SignatureReader,
    Source,
    signature_from_json,
    signature_to_json,
)

_FORMAT = 3
# The scheduler may use any of these ports, depending on the settings.
_OF_THIS_MACHINE = ("localhost:", "127.0.0.1:", "[::1]:")
# A file that was just written may change again without a change of its times.
_SETTLED_NS = 2_000_000_000


class LibraryCommand(NamedTuple):
    """A verb of the library; `module` is its path below the library.

    `noun` is singular, `imports` what the module needs (`endpoint`: it speaks of some
    port of this machine). Without a signature, `problem` says why it cannot be read.
    """

    noun: str
    name: str
    module: str
    imports: ModuleFeatures = ModuleFeatures(std=True)
    signature: Optional[Signature] = None
    problem: str = ""


class LibraryIndex:
    """The verbs of the library in the folder `library`, with a cache below `cache`.

    `nu` gives the Nushell program when it is needed, `environ` is what it gets, and
    `timeout_s` the time limit of each of its starts. Raises MissingTool whenever
    Nushell is needed and does not answer.
    """

    def __init__(
        self,
        library: Path,
        cache: Path,
        nu: Callable[[], str],
        environ: Mapping[str, str],
        *,
        timeout_s: float = 30,
    ) -> None:
        self._library = Path(os.path.abspath(library))  # noqa: PTH100
        self._nu = nu
        self._environ = environ
        self._timeout_s = timeout_s
        self._file = cache_path(cache / "signatures", self._library)
        self._stamps: Dict[str, Optional[List[int]]] = {}

    def find(self, noun: str, verb: str) -> Optional[LibraryCommand]:
        """Return a verb with its signature; None if the library has none of the name.

        The noun may be given in the plural. Raises UsageError if the module that
        should have it does not parse.
        """
        modules = [m for m in self._modules_of(noun) if _may_have(m, verb)]
        verbs = _verbs(self._records(modules, doubting=True))
        found = next((each for each in verbs if each.name == verb), None)
        unread = [each for each in verbs if each.signature is None]
        if found is None and unread:
            found = unread[0]  # it may be in there
        if found is not None and found.signature is None:
            raise UsageError(found.problem)
        return found

    def has(self, noun: str) -> bool:
        """Whether there is a module for a noun, singular or plural."""
        return bool(self._modules_of(noun))

    def verbs(self, noun: str) -> List[LibraryCommand]:
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
        entries.sort(key=lambda entry: entry.name)
        folders = [e.name for e in entries if _is_public(e.name) and e.is_dir()]
        modules = [m for folder in folders for m in self._modules_in(folder)]
        modules += [entry.name for entry in entries if _is_flat(entry)]
        nouns: Dict[str, List[str]] = {}
        for module, record in self._records(modules).items():
            names = _names(module, record)
            if names:
                nouns.setdefault(_noun(module), []).extend(names)
        return {noun: sorted(set(nouns[noun])) for noun in sorted(nouns)}

    def complete(self, verb: LibraryCommand, completer: str) -> Iterable[Any]:
        """Return pairs of a value and a description that a completer offers."""
        assert verb.signature is not None, verb
        return self._reader().complete(verb.signature, completer)

    def _modules_of(self, noun: str) -> List[str]:
        if not _is_public(noun):
            return []
        names = _folders(noun)
        files = [f"{name}.nu" for name in names if name != "mod"]
        return [
            *(module for folder in names for module in self._modules_in(folder)),
            *(file for file in files if (self._library / file).is_file()),
        ]

    def _modules_in(self, folder: str) -> List[str]:
        """Return the paths of the modules in a folder of the library, by name."""
        try:
            entries = sorted(os.scandir(self._library / folder), key=lambda e: e.name)
        except OSError:
            return []
        modules = []
        for entry in entries:
            stem, dot, suffix = entry.name.partition(".")
            if not _is_public(stem) or stem == "mod":
                continue
            if suffix == "nu" or (not dot and Path(entry.path, "mod.nu").is_file()):
                modules.append(f"{folder}/{entry.name}")
        return modules

    def _records(
        self, modules: List[str], *, doubting: bool = False
    ) -> Dict[str, Dict[str, Any]]:
        """Return what is known of modules, from the cache as far as it is valid.

        `doubting`: modules that did not parse are read again, although they are
        unchanged.
        """
        if not modules:
            return {}
        head = json.dumps([_FORMAT, _stamp(self._nu()), str(self._library)])
        kept = read_cache(self._file, head)
        known = {m: json.loads(kept[m]) for m in modules if m in kept}
        if doubting:
            known = {m: record for m, record in known.items() if not record["problem"]}
        stale = [m for m in modules if m not in known or not self._holds(known[m])]
        kept = {m: r for m, r in kept.items() if not stale or self._is_there(m)}
        for read in self._read(stale, known):
            known.update(read)
            kept.update((module, json.dumps(read[module])) for module in read)
            write_cache(self._file, head, kept)
        return {module: known[module] for module in modules}

    def _is_there(self, module: str) -> bool:
        return (self._library / module).exists()

    def _read(
        self, stale: List[str], kept: Mapping[str, Any]
    ) -> Iterator[Dict[str, Dict[str, Any]]]:
        """Yield records of modules whose cached ones, if any, may be outdated."""
        same: Dict[str, Dict[str, Any]] = {}
        changed: Dict[str, Dict[str, Any]] = {}
        sources: Dict[str, Source] = {}
        for module in stale:
            paths = module_files(self._library, module)
            files = [str(file) for file in paths]
            imports = module_imports(self._library, module, _OF_THIS_MACHINE)
            record = {
                "files": {file: self._stable_stamp(file) for file in files},
                "digest": _digest(files),
                "imports": imports,
            }
            before = kept.get(module, {})
            if before.get("digest") == record["digest"]:
                same[module] = {**before, **record}  # only the times differ
            else:
                changed[module] = record
                sources[module] = Source(files, exporting_size(paths), imports.std)
        if same:
            yield same
        for answers in self._reader().read(sources) if sources else ():
            yield {m: {**changed[m], **_outcome(m, answers[m])} for m in answers}

    def _reader(self) -> SignatureReader:
        return SignatureReader(
            self._library, self._nu(), self._environ, timeout_s=self._timeout_s
        )

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

    def _stable_stamp(self, file: str) -> Optional[List[int]]:
        """Return the stamp of a file, None if the file may change without it."""
        import time

        stamp = self._stamp_once(file)
        fresh = stamp is None or time.time_ns() - max(stamp[:2]) < _SETTLED_NS
        return None if fresh else stamp


class CachedLibraryIndex(LibraryIndex):
    """The cached index of a library, maybe outdated: Nushell reads nothing.

    A module that is not in the cache is assumed to export the command of its name; its
    `problem` says that it was not read.
    """

    def _records(
        self, modules: List[str], *, doubting: bool = False
    ) -> Dict[str, Dict[str, Any]]:
        kept = read_cache(self._file, None)
        unread = {
            "verbs": {},
            "problem": "not read yet",
            "imports": ModuleFeatures(std=True),
        }
        return {
            module: json.loads(kept[module]) if module in kept else unread
            for module in modules
            if module in kept or "/" in module  # its name does not tell its verbs
        }


def _verbs(records: Mapping[str, Mapping[str, Any]]) -> List[LibraryCommand]:
    """Return the verbs of modules; the first one of each name."""
    verbs: Dict[str, LibraryCommand] = {}
    for module, record in records.items():
        imports, problem = ModuleFeatures(*record["imports"]), record["problem"]
        for name in _names(module, record):
            known = record["verbs"].get(name)
            signature = None if known is None else signature_from_json(known)
            verb = LibraryCommand(
                _noun(module), name, module, imports, signature, problem
            )
            verbs.setdefault(name, verb)
    return list(verbs.values())


def _names(module: str, record: Mapping[str, Any]) -> List[str]:
    """Return the names of a module's verbs; its own name, if it cannot be read."""
    return [_name(module)] if record["problem"] else list(record["verbs"])


def _outcome(module: str, exports: Exports) -> Dict[str, Any]:
    """Return the cached exports of a module."""
    if isinstance(exports, UsageError):
        return {"verbs": {}, "problem": exports.message}
    verbs: Dict[str, Any] = {}
    for verb, commands in _commands(module, exports).items():
        signature = next(filter(None, map(exports.get, commands)), None)
        if signature is not None:
            verbs[verb] = signature_to_json(signature)
    return {"verbs": verbs, "problem": ""}


def _commands(module: str, exports: Iterable[str]) -> Dict[str, List[str]]:
    """Return the possible command names of each verb, the best first."""
    noun, place = _noun(module), _place(module)
    forms = dict.fromkeys([noun, place, f"{noun}s"])
    ends = [f"{joint}{form}" for joint in "-_" for form in forms]
    if "/" in module:
        name = _name(module)
        return {name: [*(f"{name}{end}" for end in ends), "main"]}
    verbs: Dict[str, List[str]] = {}
    for end in ends:
        for name in exports:
            if name.endswith(end):
                verbs.setdefault(name[: -len(end)], []).append(name)
    known = {name for names in verbs.values() for name in names}
    for begin in ["main ", *(f"{form} " for form in forms), ""]:
        for name in exports:
            if name.startswith(begin) and name not in known and name != "main":
                verbs.setdefault(name[len(begin) :], []).append(name)
                known.add(name)
    return {verb: verbs[verb] for verb in sorted(verbs) if _is_public(verb)}


def _may_have(module: str, verb: str) -> bool:
    return "/" not in module or _name(module) == verb


def _is_public(name: str) -> bool:
    """Whether a noun or a verb can have this name."""
    return is_word(name) and name[0] != "_"


def _is_flat(entry: os.DirEntry[str]) -> bool:
    """Whether a file is the only module of a noun."""
    stem, _, suffix = entry.name.partition(".")
    return suffix == "nu" and _is_public(stem) and stem != "mod" and entry.is_file()


def _noun(module: str) -> str:
    """Return the noun of a module: the singular of its folder, or of itself."""
    place = _place(module)
    if place.endswith("ies"):
        return f"{place[:-3]}y"
    if place.endswith(("sses", "xes", "ches", "shes")):
        return place[:-2]
    if place.endswith("s") and not place.endswith(("ss", "us", "is", "dns")):
        return place[:-1]
    return place


def _place(module: str) -> str:
    """Return the folder of a module, or the name of its file at the top."""
    return module.split("/")[0].partition(".")[0]


def _name(module: str) -> str:
    """Return the verb of a module; for several verbs its file."""
    folder, _, name = module.partition("/")
    return name.partition(".")[0] if name else folder


def _folders(noun: str) -> List[str]:
    """Return the possible names of a noun's folder, which may be a plural."""
    names = [f"{noun}s", noun, f"{noun}es"]
    if noun.endswith("y"):
        names.append(f"{noun[:-1]}ies")
    return names


def _stamp(file: str) -> Optional[List[int]]:
    """Return a value that changes with a file, None if it cannot be read."""
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
