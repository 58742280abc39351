"""Verbs and signatures of libraries in many styles."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Dict, List, Optional

import pytest

from provctl.errors import MissingTool, UsageError
from provctl.nushell.library.index import LibraryCommand, LibraryIndex
from provctl.nushell.library.signatures import Parameter, Signature

if TYPE_CHECKING:
    from pathlib import Path

FOUND = shutil.which("nu")
assert FOUND, "these tests need nu on PATH: bash tests/run puts it there"
NU: str = FOUND

PLAIN = "export def {0} [name: string] {{ {{name: $name}} }}\n"

# Modules as they are found in the wild: by path, with the verb that each is.
ZOO: Dict[str, str] = {
    "servers/create.nu": """
# A comment about the module, with words: export def create-server [] { }
use std/log
use ../lib/zones.nu [zone-names DEFAULT_ZONE]

const SIZE = 20gb
def helper [] { "no command of anybody" }
def "nu-complete plans" [] { [{value: small, description: "1 core"} large] }

# Create a server.
#
# And wait:
#     until it answers.
@search-terms vm machine
@category infrastructure
@example "a small one" { create-server web --plan small } --result {name: web}
export def --env create-server [
    name: string            # its "name", 'quoted' and [bracketed]
    count?: int = 3         # how many
    --zone (-z): string@zone-names = $DEFAULT_ZONE # where
    --plan: string@"nu-complete plans"
    --kind: string@[bare virtual] = "virtual"
    --size: filesize = $SIZE
    --timeout (-t): duration = 5min
    --tags: list<string> = [a b]
    --limits: record<cpu: int, memory: filesize>
    --then: closure
    --dry-run
    ...files: path          # more of them
]: [nothing -> record, string -> record] {
    $env.LAST_SERVER = $name
    {name: $name, zone: $zone}
}
""",
    "lib/zones.nu": 'export const DEFAULT_ZONE = "es-mad1"\n'
    "export def zone-names [] { [es-mad1 fi-hel1] }\n",
    # Its own command, called like the module.
    "servers/list.nu": "# All of them.\nexport def main [--long (-l)] { [] }\n",
    "servers/reboot.nu": PLAIN.format("reboot_server"),
    # Passed on from elsewhere.
    "servers/delete.nu": "export use ../lib/deleting.nu *\n",
    "lib/deleting.nu": PLAIN.format("delete-server"),
    # A folder that is a module.
    "servers/resize/mod.nu": "export use parts.nu resize-server\n",
    "servers/resize/parts.nu": PLAIN.format("resize-server"),
    # Whatever else is around.
    "servers/mod.nu": "export use create.nu *\n",
    "servers/README.md": "# servers\n",
    "servers/_private.nu": PLAIN.format("private-server"),
    "servers/notes.nu": "export def helper [] { 1 }\n",
    # Other plurals, and none.
    "taskservs/create.nu": PLAIN.format("create-taskserv"),
    "policies/show.nu": PLAIN.format("show-policy"),
    "dns/list.nu": PLAIN.format("list-dns"),
    "cluster/list.nu": PLAIN.format("list-clusters"),
    # Names with spaces and quotes beside the one that counts.
    "images/build.nu": 'export def "build layer" [] { }\n'
    "export alias rebuild = build layer\n" + PLAIN.format('"build-image"'),
    "images/tag.nu": "export def --wrapped tag-image [name: string ...rest] { $rest }\n",
}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for name, text in ZOO.items():
        write(tmp_path / "library" / name, text)
    return tmp_path / "library"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


class Asked:
    """A library that is indexed again each time; counts the starts of Nushell."""

    def __init__(self, library: Path, nu: str = NU) -> None:
        self.library, self.cache = library, library.parent / "cache"
        self.starts = library.parent / "starts"
        # As long as it is there, Nushell hangs over modules that are called slow.
        self.hangs = library.parent / "hangs"
        self.timeout_s = 60.0
        self.nu = library.parent / "nu"
        self.nu.write_text(f"""#!/bin/sh
echo >> "{self.starts}"
[ -e "{self.hangs}" ] && case "$*" in *slow*) exec sleep 600 ;; esac
exec "{nu}" "$@"
""")
        self.nu.chmod(0o755)

    @property
    def index(self) -> LibraryIndex:
        return LibraryIndex(
            self.library,
            self.cache,
            lambda: str(self.nu),
            dict(os.environ),
            timeout_s=self.timeout_s,
        )

    def find(self, noun: str, verb: str) -> Optional[LibraryCommand]:
        return self.index.find(noun, verb)

    def count(self) -> int:
        """The number of starts since the last count."""
        count = len(self.starts.read_bytes()) if self.starts.exists() else 0
        self.starts.write_bytes(b"")
        return count


@pytest.fixture
def asked(library: Path) -> Asked:
    return Asked(library)


def signature(found: Optional[LibraryCommand]) -> Signature:
    assert found is not None
    assert found.signature is not None, found.problem
    return found.signature


def by_name(found: Optional[LibraryCommand]) -> Dict[str, Parameter]:
    return {each.name: each for each in signature(found).parameters}


def test_signature_is_the_one_nushell_reports(asked: Asked) -> None:
    found = asked.find("server", "create")
    create, of = signature(found), by_name(found)
    assert found is not None
    assert (found.noun, found.module, found.imports.std) == (
        "server",
        "servers/create.nu",
        True,
    )
    assert create.command == "create-server"
    assert create.description == "Create a server."
    assert create.details == "And wait:\n    until it answers."
    assert create.search_terms == "vm, machine"
    assert create.examples == (("a small one", "create-server web --plan small"),)
    assert list(of) == [
        *("name", "count", "files", "zone", "plan", "kind", "size", "timeout"),
        *("tags", "limits", "then", "dry-run"),
    ]
    what = "its \"name\", 'quoted' and [bracketed]"
    assert of["name"] == Parameter(
        "name", "positional", "string", True, None, None, what
    )
    assert (of["count"].required, of["count"].default) == (False, "3")
    assert (of["files"].kind, of["files"].type) == ("rest", "path")
    assert (of["zone"].short, of["zone"].default) == ("z", "es-mad1")
    assert (of["zone"].completer, of["kind"].choices) == (
        "zone-names",
        ("bare", "virtual"),
    )
    assert (of["size"].type, of["size"].default) == ("filesize", "20.0 GB")
    assert (of["timeout"].type, of["timeout"].default) == ("duration", "5min")
    assert (of["tags"].type, of["tags"].default) == ("list<string>", '["a","b"]')
    assert of["limits"].type == "record<cpu: int, memory: filesize>"
    assert of["then"].type.startswith("closure")
    assert (of["dry-run"].kind, of["dry-run"].type) == ("switch", "bool")


def test_verbs_are_found_in_every_module_style(asked: Asked) -> None:
    assert asked.index.nouns() == {
        "cluster": ["list"],
        "dns": ["list"],
        "image": ["build", "tag"],
        "policy": ["show"],
        "server": ["create", "delete", "list", "reboot", "resize"],
        "taskserv": ["create"],
    }
    assert asked.count() == 1, "one start for all of it"
    commands = {
        "list": ("servers/list.nu", "main"),
        "reboot": ("servers/reboot.nu", "reboot_server"),
        "delete": ("servers/delete.nu", "delete-server"),
        "resize": ("servers/resize", "resize-server"),
    }
    for verb, (module, command) in commands.items():
        found = signature(asked.find("server", verb))
        assert (found.module, found.command) == (module, command)
    assert asked.count() == 0, "all was in the cache"


@pytest.mark.parametrize(
    ("noun", "verb", "canonical"),
    [
        ("servers", "list", "server"),
        ("policies", "show", "policy"),
        ("dns", "list", "dns"),
        ("clusters", "list", None),
        ("nothing", "list", None),
        ("server", "helper", None),
        ("server", "notes", None),
        ("..", "list", None),
        ("server", "../lib/zones", None),
    ],
)
def test_noun_and_verb_accept_only_documented_spellings(
    asked: Asked, noun: str, verb: str, canonical: Optional[str]
) -> None:
    found = asked.find(noun, verb)
    assert (found and found.noun) == canonical


def test_reading_a_module_does_not_run_its_export_env(asked: Asked) -> None:
    canary = asked.library.parent / "canary"
    text = f'export-env {{ "x" | save "{canary}" }}\n' + PLAIN.format("stop-server")
    write(asked.library / "servers" / "stop.nu", text)
    assert signature(asked.find("server", "stop")).command == "stop-server"
    assert not canary.exists()


def test_invalid_module_affects_only_itself(asked: Asked) -> None:
    write(asked.library / "servers" / "broken.nu", "export def broken-server [ {\n")
    nouns = asked.index.nouns()
    assert nouns["server"] == ["broken", "create", "delete", "list", "reboot", "resize"]
    with pytest.raises(UsageError) as refusal:
        asked.find("server", "broken")
    assert "broken.nu" in refusal.value.message
    assert "nu::parser" in refusal.value.message
    assert asked.count() > 1
    asked.index.nouns()
    assert asked.count() == 0, "what does not parse is known too"
    write(asked.library / "servers" / "broken.nu", PLAIN.format("broken-server"))
    assert signature(asked.find("server", "broken")).command == "broken-server"


def many(library: Path, noun: str, modules: int, helpers: int = 0) -> None:
    """Write so many modules of a noun, each with a verb and helpers."""
    text = PLAIN.format("{0}") + "".join(
        PLAIN.format(f"helper-{number}") for number in range(helpers)
    )
    for number in range(modules):
        verb = f"do{number:03}"
        text_of_it = text.replace("{0}", f"{verb}-{noun}")
        write(library / f"{noun}s" / f"{verb}.nu", text_of_it)


def test_large_library_is_read_in_parts(tmp_path: Path) -> None:
    asked = Asked(tmp_path / "library")
    many(asked.library, "small", 40)
    assert len(asked.index.nouns()["small"]) == 40
    assert asked.count() == 1
    many(asked.library, "large", 40, helpers=100)
    assert len(asked.index.nouns()["large"]) == 40
    assert 2 < asked.count() < 10
    asked.index.nouns()
    assert asked.count() == 0


@pytest.mark.parametrize("modules", [2, 40])
def test_invalid_module_costs_one_more_start_of_nushell(
    tmp_path: Path, modules: int
) -> None:
    asked = Asked(tmp_path / "library")
    many(asked.library, "thing", modules)
    for name in ("a", "b"):
        write(asked.library / "things" / f"{name}.nu", "export def x [ {\n")
    assert len(asked.index.nouns()["thing"]) == modules + 2
    assert asked.count() == 3


def test_modules_that_import_an_invalid_module_cost_no_more_starts(
    tmp_path: Path,
) -> None:
    asked = Asked(tmp_path / "library")
    many(asked.library, "thing", 5)
    many(asked.library, "user", 20)
    write(asked.library / "lib" / "broken.nu", "export def x [ {\n")
    for module in (asked.library / "users").iterdir():
        write(module, "use ../lib/broken.nu\n" + module.read_text())
    assert [v.problem for v in asked.index.verbs("thing")] == [""] * 5
    problems = [verb.problem for verb in asked.index.verbs("user")]
    assert len(problems) == 20
    for problem in problems:
        first = problem.partition("\n")[0]
        assert "cannot be parsed by Nushell: " in first
        assert "lib/broken.nu:1)" in first
    assert asked.count() == 2


def test_module_that_takes_too_long_affects_only_itself(tmp_path: Path) -> None:
    asked = Asked(tmp_path / "library")
    many(asked.library, "thing", 3)
    write(asked.library / "things" / "slow.nu", PLAIN.format("slow-thing"))
    asked.hangs.touch()
    asked.timeout_s = 5
    verbs = {verb.name: verb.problem for verb in asked.index.verbs("thing")}
    slow = "things/slow.nu cannot be parsed by Nushell: no answer within 5 seconds"
    assert verbs == {"do000": "", "do001": "", "do002": "", "slow": slow}
    asked.hangs.unlink()
    assert signature(asked.find("thing", "slow")).command == "slow-thing"


def test_signatures_already_read_are_kept_if_nushell_hangs(tmp_path: Path) -> None:
    asked = Asked(tmp_path / "library")
    many(asked.library, "thing", 3)
    many(asked.library, "slow", 60, helpers=100)
    asked.hangs.touch()
    asked.index.verbs("thing")
    asked.count()
    asked.timeout_s = 0.2
    with pytest.raises(MissingTool) as refusal:
        asked.index.nouns()
    assert refusal.value.message.count("\n") == 0
    assert "no answer within 0.2 seconds" in refusal.value.message
    assert asked.count() == 8
    asked.hangs.unlink()
    asked.timeout_s = 60
    asked.index.verbs("thing")
    assert asked.count() == 0
    assert len(asked.index.nouns()["slow"]) == 60


def test_top_level_file_is_a_noun_with_all_its_exports(tmp_path: Path) -> None:
    asked = Asked(tmp_path / "library")
    names = ["create-server", '"main show"', "delete_servers", '"server list"', "stop"]
    text = "".join(map(PLAIN.format, [*names, "main", '"a.b"', "_own", '"two words"']))
    write(asked.library / "servers.nu", text)
    write(asked.library / "mod.nu", PLAIN.format("create-mod"))
    write(asked.library / "_private.nu", PLAIN.format("create-private"))
    verbs = ["create", "delete", "list", "show", "stop"]
    assert asked.index.nouns() == {"server": verbs}
    commands = {v: signature(asked.find("server", v)).command for v in verbs}
    assert commands == {
        "create": "create-server",
        "delete": "delete_servers",
        "list": "server list",
        "show": "main show",
        "stop": "stop",
    }
    assert asked.count() == 1
    write(asked.library / "servers.nu", "export def x [ {\n")
    assert asked.index.nouns() == {"server": ["servers.nu"]}
    with pytest.raises(UsageError, match="cannot be parsed by Nushell"):
        asked.find("server", "create")


def test_completers_are_called(asked: Asked) -> None:
    found = asked.find("server", "create")
    assert found is not None
    offers: List[Any] = list(asked.index.complete(found, "nu-complete plans"))
    assert offers == [("small", "1 core"), ("large", "")]
    assert list(asked.index.complete(found, "zone-names")) == [
        ("es-mad1", ""),
        ("fi-hel1", ""),
    ]
    with pytest.raises(UsageError):
        list(asked.index.complete(found, 'x; "ran" | save canary'))


def test_cache_is_invalidated_by_changes_of_imported_files(asked: Asked) -> None:
    assert by_name(asked.find("server", "create"))["zone"].default == "es-mad1"
    asked.count()
    write(
        asked.library / "lib" / "zones.nu", ZOO["lib/zones.nu"].replace("mad1", "bcn1")
    )
    assert by_name(asked.find("server", "create"))["zone"].default == "es-bcn1"
    assert asked.count() == 1
    # The same content at another time is no reason to ask again.
    os.utime(asked.library / "lib" / "zones.nu", (1, 1))
    asked.find("server", "create")
    assert asked.count() == 0


def test_cache_is_invalidated_by_another_nushell(asked: Asked) -> None:
    asked.find("server", "create")
    asked.count()
    os.utime(asked.nu, (1, 1))
    asked.find("server", "create")
    assert asked.count() == 1


def test_cache_is_private_and_rebuilt_when_damaged(asked: Asked) -> None:
    asked.index.nouns()
    (file,) = (asked.cache / "signatures").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (b"", b"\xff\xfe", whole[: len(whole) // 2], bytes(flipped)):
        file.write_bytes(damaged)
        asked.count()
        assert "create" in asked.index.nouns()["server"]
        assert asked.count() == 1, damaged[:40]
        assert "create" in asked.index.nouns()["server"]
        assert asked.count() == 0, "it is kept again"


def test_index_works_without_a_cache_folder(library: Path) -> None:
    asked = Asked(library)
    asked.cache.write_text("not a folder")
    assert signature(asked.find("server", "list")).command == "main"


def test_missing_library_has_no_nouns(tmp_path: Path) -> None:
    index = Asked(tmp_path / "nowhere").index
    assert (index.nouns(), index.find("server", "list")) == ({}, None)
