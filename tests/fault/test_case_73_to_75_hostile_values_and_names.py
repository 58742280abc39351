"""Values are data: nothing in a workflow or a flag is run as code.

FAULT_VALUES=100000 tests more values; FAULT_SEED draws others.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any, Callable, Dict, List
from unicodedata import category

import pytest

from provctl.errors import InvalidWorkflow
from provctl.workflow_files.load import LoadContext, load_workflow
from tests.support.hostile_texts import Hostile

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

VALUES = int(os.environ.get("FAULT_VALUES", "1000"))
SEED = int(os.environ.get("FAULT_SEED", "73"))
PER_RUN = 10_000
MODULE = """\
export def echo-all [...values: any, --flag: any] { {values: $values, flag: $flag} }
"""
ENV = "0..99 | each {|n| $env | get $'X($n)' }"
PRINT = ["sh", "-c", 'printf "%s\\0" "$@"', "sh"]


def test_73_hostile_values_come_back_unchanged(provctl: Provctl) -> None:
    canary = provctl.folder / "canary"
    library = provctl.folder / "library"
    library.mkdir()
    (library / "m.nu").write_text(MODULE)
    print(f"seed {SEED}, {VALUES} values")  # noqa: T201  shown when it fails
    for first in range(0, VALUES, PER_RUN):
        hostile = Hostile(SEED + first, canary)
        tasks = _tasks(hostile, min(PER_RUN, VALUES - first))
        file = provctl.file(tasks, library="library")
        done = provctl("run", file, "-o", "json", within_s=500).json()
        outputs = {
            record["task"]: record.get("output")
            for record in provctl.journal(done["id"])
            if record["type"] == "attempt_finished"
        }
        for index, (name, task) in enumerate(tasks.items()):
            log = provctl.log(done["id"], index).read_bytes()
            assert _same(_expected(task), _returned(task, outputs[name], log)), name
        assert not canary.exists()


def test_73_control_hostile_values_in_a_command_line_run_as_code(
    provctl: Provctl,
) -> None:
    """The control inserts values into Nushell code."""
    canary = provctl.folder / "canary"
    made = 0
    for text in Hostile(SEED, canary).texts(60):
        command = f"def create-server [...words] {{ }}; create-server {text}"
        if "\0" not in command:
            subprocess.run(
                ["nu", "--no-config-file", "--no-std-lib", "--commands", command],
                cwd=str(provctl.folder),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
            )
        made += canary.exists()
        canary.unlink() if canary.exists() else None
    assert made > 5


def test_73_hostile_parameters_come_back_unchanged(provctl: Provctl) -> None:
    canary = provctl.folder / "canary"
    texts = Hostile(SEED, canary).texts(100)
    names = [f"v{n}" for n in range(len(texts))]
    flags = [w for name, text in zip(names, texts) for w in ("-p", f"{name}={text}")]
    params = dict.fromkeys(names, "")
    args = {name: {"$param": name} for name in names}
    files = [provctl.file({"a": {"script": "$args", "args": args}}, params=params)]
    fields = ", ".join(f'{name} | String | default = ""' for name in names)
    values = ", ".join(f"{name} = params.{name}" for name in names)
    text = f'{{ params = {{ {fields} }}, tasks.a = {{ script = "$args", '
    files.append(provctl.text("w.ncl", f"{text}args = {{ {values} }} }} }}"))
    for file in files:
        run = provctl("run", file, *flags, "-o", "json").json()["id"]
        told = provctl("workflow", "outputs", run, "a").json()
        assert told == dict(zip(names, texts))
        assert not canary.exists()


@pytest.mark.parametrize(
    "task",
    [
        {"command": ["echo", "a\0b"]},
        {"command": ["true"], "env": {"X": "a\0b"}},
        {"command": ["echo", "\ud800"]},
        {"script": "$args", "args": {"x": "\udcff"}},
        {"script": "$args", "args": {"\ud800": 1}},
        {"script": "1\ud800"},
        {"script": "$args", "args": {"x": 2**63}},
        {"script": "$args", "args": {"x": float("inf")}},
        {"script": "$args", "args": {"x": float("nan")}},
        {"script": "$args", "args": {"x": {"$output": "../x"}}},
        {"script": "$args", "args": {"x": {"$unknown": 1}}},
    ],
    ids=str,
)
def test_73_value_that_cannot_be_passed_is_refused(
    provctl: Provctl, task: Dict[str, Any]
) -> None:
    said = provctl("run", provctl.file({"a": task}), code=50).err
    assert re.search(r"w-1\.json(:\d+:\d+)?", said), said
    assert provctl.runs() == []


def test_73_numbers_of_64_bits_come_back_unchanged(provctl: Provctl) -> None:
    numbers = [2**63 - 1, -(2**63)]
    file = provctl.file({"a": {"script": "$args.x", "args": {"x": numbers}}})
    run = provctl("run", file, "-o", "json").json()["id"]
    assert provctl("workflow", "outputs", run, "a").json() == numbers


def _called(**call: Any) -> Dict[str, Any]:
    return {"call": {"module": "m.nu", "command": "echo-all", **call}}


_WORD = r"[A-Za-z_][A-Za-z0-9_-]*"
# A path below the library, of characters that can be seen.
_INSIDE = r"(?!/)(?!(.*/)?\.\.(/|$))(?=.*[^./]|.*[^/]\.|.*\.[^/.])[^\x00-\x1f\x7f]+"

# Where names stand, and which are right there; all others are to be refused.
PLACES: Dict[str, Any] = {
    "task": (lambda n: {n: {"command": ["true"]}}, r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}"),
    "module": (lambda n: {"a": _called(module=n)}, _INSIDE),
    "command": (
        lambda n: {"a": _called(command=n)},
        rf"(?!(?i:true|false|null|nan|inf)$){_WORD}( [A-Za-z0-9_][A-Za-z0-9_-]*)*",
    ),
    "flag": (lambda n: {"a": _called(flags={n: 1})}, rf"(?!help$){_WORD}"),
    "variable": (
        lambda n: {"a": {"command": ["true"], "env": {n: "1"}}},
        r"[A-Za-z_][A-Za-z0-9_]*",
    ),
    "argument": (
        lambda n: {"a": {"script": "1", "args": {n: 1}}},
        r"[A-Za-z_][A-Za-z0-9_-]*",
    ),
    "need": (lambda n: {"a": {"command": ["true"], "needs": [n]}}, r"(?!)"),
    "output": (
        lambda n: {
            "a": {
                "script": "1",
                "args": {"x": {"$output": {"task": n, "path": ""}}},
            }
        },
        r"(?!)",
    ),
}


def _can_be_seen(text: str) -> bool:
    return all(char == " " or category(char)[0] not in "CZ" for char in text)


@pytest.mark.parametrize("place", PLACES)
def test_74_invalid_names_are_refused(provctl: Provctl, place: str) -> None:
    canary = provctl.folder / "canary"
    tasks, right = PLACES[place]
    names = Hostile(SEED, canary).texts(300)
    refused = 0
    for name in names:
        file = provctl.folder / "w.json"
        file.write_text(json.dumps({"tasks": tasks(name)}))
        ok = re.fullmatch(right, name) is not None
        ok = ok and (place != "module" or _can_be_seen(name))
        try:
            load_workflow(file, {}, context=LoadContext(cwd="/"))
        except InvalidWorkflow:
            refused += 1
            assert not ok, name
        else:
            assert ok, name
    assert refused > 100
    together = {}
    for number, name in enumerate(names[:20]):
        for task, fields in tasks(name).items():
            together[task if task == name else f"a{number}"] = fields
    said = provctl("run", provctl.file(together), code=50).err
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert provctl.runs() == []
    assert not canary.exists()


def test_74_display_names_stay_unchanged(provctl: Provctl) -> None:
    canary = provctl.folder / "canary"
    for text in filter(None, Hostile(SEED, canary).texts(8)):
        name = "".join(filter(str.isprintable, text[:200])).strip() or "w"
        file = provctl.folder / "w.json"
        tasks = {"a": {"command": ["true"], "description": text}}
        file.write_text(json.dumps({"name": name, "description": text, "tasks": tasks}))
        run = provctl.submit(file, "--key", text[:200])
        provctl("wait", run)
        assert provctl.status(run)["name"] == name
        shown = provctl("ps").out + provctl("workflow", "status", run).out
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert re.fullmatch("[a-z][a-z2-9]{15}", run)
    assert not canary.exists()
    assert _outside(provctl) == {"account", "state", "w.json", "home"}


HOSTILE_IDS = [
    "../x",
    "..",
    ".",
    "",
    "a/b",
    "/etc",
    "%2e%2e%2f",
    "../runs",
    ".new-x",
    "CON",
    "\x1b[31m",
    "é\u202e",
    "x" * 10_240,
    "*",
    "$(touch canary)",
    "@first",
]


@pytest.mark.parametrize("verb", ["status", "cancel", "logs", "outputs", "wait"])
def test_75_invalid_run_id_is_not_found(provctl: Provctl, verb: str) -> None:
    run = provctl("run", provctl.file({"a": {"command": ["true"]}}), "-o", "json")
    provctl("workflow", "list")  # what is known of runs is in the cache from now on
    before = _everything(provctl.folder)
    for name in HOSTILE_IDS:
        said = provctl("workflow", verb, "--", name, code=40)
        assert "\x1b" not in said.err
        assert "\u202e" not in said.err
        assert said.out == ""
    assert _everything(provctl.folder) == before
    assert provctl("workflow", "status", run.json()["id"]).code == 0


def test_75_other_verbs_do_not_find_an_invalid_run_id(provctl: Provctl) -> None:
    provctl("run", provctl.file({"a": {"command": ["true"]}}))
    provctl("workflow", "list")
    before = _everything(provctl.folder)
    for verb in (("workflow", "resume"), ("workflow", "monitor"), ("batch", "status")):
        for name in HOSTILE_IDS[:6]:
            provctl(*verb, "--", name, code=40)
    assert _everything(provctl.folder) == before


def test_75_invalid_task_id_is_not_found(provctl: Provctl) -> None:
    tasks = {"CON": {"command": ["echo", "con"]}, "a.b-c_d": {"command": ["true"]}}
    run = provctl("run", provctl.file(tasks), "-o", "json").json()["id"]
    assert provctl("logs", run, "CON").out == "con\n"
    before = _everything(provctl.folder)
    for name in HOSTILE_IDS:
        if name not in ("CON", ""):
            assert provctl("logs", run, name, code=40).out == ""
    assert _everything(provctl.folder) == before


# -- how values travel ---------------------------------------------------------------


def _tasks(hostile: Hostile, number: int) -> Dict[str, Any]:
    """Tasks that get so many values in every possible way."""
    tasks: Dict[str, Any] = {}
    ways: List[Callable[[], Dict[str, Any]]] = [
        lambda: _called(args=hostile.values(100), flags={"flag": hostile.values(100)}),
        lambda: {"script": "$args.x", "args": {"x": hostile.values(200)}},
        lambda: {
            "script": ENV,
            "env": {f"X{n}": text for n, text in enumerate(hostile.texts(100))},
        },
        lambda: {"command": [*PRINT, *hostile.texts(100)]},
    ]
    while number > 0:
        for way in ways:
            tasks[f"t{len(tasks)}"] = way()
        number -= 600
    return tasks


def _expected(task: Dict[str, Any]) -> Any:
    if "call" in task:
        call = task["call"]
        return {"values": call["args"], "flag": call["flags"]["flag"]}
    if "env" in task:
        return list(task["env"].values())
    return task["args"]["x"] if "args" in task else task["command"][len(PRINT) :]


def _returned(task: Dict[str, Any], output: Any, log: bytes) -> Any:
    return output if "command" not in task else log.decode().split("\0")[:-1]


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one) == json.dumps(other)


def _outside(provctl: Provctl) -> set[str]:
    return {path.name for path in provctl.folder.iterdir()}


def _everything(folder: Path) -> Dict[str, int]:
    return {str(p): p.lstat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
