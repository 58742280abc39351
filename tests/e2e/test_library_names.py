"""Names of library commands, files and folders, and empty libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

NAMES = [
    "create",
    "create-server",
    "server_create_workflow",
    "on_servers",
    "main create",
    "server list",
    "list 2",
    "CreateServer",
    "_own",
]


def said(name: str) -> str:
    return f'export def "{name}" [text: string] {{ $"{name}: ($text)" }}\n'


@pytest.fixture
def library(provctl: Provctl) -> Path:
    folder = provctl.folder / "library"
    folder.mkdir()
    provctl.environ["PROVCTL_NUSHELL_PROVISIONING_LIB"] = str(folder)
    provctl.environ["XDG_CACHE_HOME"] = str(provctl.folder / "cache")
    provctl.environ["PROVCTL_EXECUTION_FORCE_ORCHESTRATED"] = "none.none"
    return folder


# -- names -------------------------------------------------------------------------------


def test_tasks_can_call_every_command_name_that_nushell_accepts(
    provctl: Provctl, library: Path
) -> None:
    folder = library / "my servers"
    folder.mkdir()
    folder.joinpath("all.nu").write_text("".join(map(said, NAMES)), encoding="utf-8")
    tasks = {
        f"t{number}": {
            "call": {"module": "my servers/all.nu", "command": name, "args": ["$(x);"]}
        }
        for number, name in enumerate(NAMES)
    }
    provctl("run", provctl.file(tasks))
    outputs = provctl("workflow", "outputs", "@last").json()
    assert [outputs[task] for task in tasks] == [f"{name}: $(x);" for name in NAMES]


@pytest.mark.parametrize("name", ["true", "let x", "x; touch canary", "x\ntouch y"])
def test_command_name_that_could_be_code_is_refused(
    provctl: Provctl, library: Path, name: str
) -> None:
    library.joinpath("all.nu").write_text(said("x"), encoding="utf-8")
    call = {"module": "all.nu", "command": name, "args": ["a"]}
    told = provctl("run", provctl.file({"t": {"call": call}}), code=50).err
    assert "must be a command such as create-server" in told


# -- flat files --------------------------------------------------------------------------


def test_library_file_is_a_noun(provctl: Provctl, library: Path) -> None:
    names = [
        *("create-server", "delete_servers", "main show", "server list", "resize"),
        *("resize-disk", "main"),
    ]
    library.joinpath("servers.nu").write_text("".join(map(said, names)))
    verbs = "create, delete, list, resize, resize-disk, show"
    assert f"server  {verbs}" in provctl("--help").out
    for verb, name in zip(["create", "delete", "show", "list", "resize"], names):
        done = provctl("server", verb, "a;b", "-o", "name")
        assert done.out == f"{name}: a;b\n"
    assert provctl("servers", "resize-disk", "x").out.strip() == "resize-disk: x"
    assert "no such command: main" in provctl("server", "main", "x", code=2).err


def test_shortest_name_of_a_command_becomes_its_verb(
    provctl: Provctl, library: Path
) -> None:
    names = ["create", "main create", "create-server"]
    library.joinpath("servers.nu").write_text("".join(map(said, names)))
    assert provctl("server", "create", "x").out.strip() == "create-server: x"


def test_folder_takes_precedence_over_a_file_of_the_same_noun(
    provctl: Provctl, library: Path
) -> None:
    library.joinpath("servers.nu").write_text(said("create") + said("list"))
    (library / "servers").mkdir()
    library.joinpath("servers", "create.nu").write_text(said("main"))
    assert provctl("server", "create", "x").out.strip() == "main: x"
    assert provctl("server", "list", "x").out.strip() == "list: x"


def test_command_of_a_file_can_be_orchestrated(provctl: Provctl, library: Path) -> None:
    library.joinpath("servers.nu").write_text(said("main create"))
    provctl("server", "create", "web-1", "--orchestrated", "--wait")
    (output,) = provctl("workflow", "outputs", "@last").json().values()
    assert output == "main create: web-1"


# -- emptiness ---------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "def hidden [] { }", "export def other [] { }"])
def test_noun_without_commands_says_so(
    provctl: Provctl, library: Path, text: str
) -> None:
    (library / "things").mkdir()
    library.joinpath("things", "show.nu").write_text(text)
    assert "none" in provctl("thing", "--help").out
    assert "thing" not in provctl("--help").out.partition("Commands of the library")[2]
    assert "show" in provctl("thing", "show", code=2).err


def test_empty_library_is_accepted(provctl: Provctl, library: Path) -> None:
    assert "Commands of the library" not in provctl("--help").out
    (library / "things").mkdir()
    assert "thing" in provctl("thing", "--help", code=2).err
