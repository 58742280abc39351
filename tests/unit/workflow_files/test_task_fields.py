"""Checks of the task fields for undo, probe, retry and secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, List, Optional

import pytest

from provctl.core.model.workflow import (
    Command,
    Dependency,
    NushellCall,
    RetryPolicy,
    Script,
    Task,
    Undo,
)
from provctl.errors import InvalidWorkflow
from provctl.workflow_files.diagnostics import render_mistakes
from provctl.workflow_files.load import LoadContext, load_workflow
from provctl.workflow_files.problems import CallError

if TYPE_CHECKING:
    from pathlib import Path

TRUE: Dict[str, Any] = {"command": ["true"]}
CALL = {"module": "m.nu", "command": "go"}
HIDDEN = "hunter2hunter2"


def no_calls(library: Optional[str], call: NushellCall) -> Optional[CallError]:
    """A Nushell library with only the command `go`."""
    if call.command == "go":
        return None
    return CallError("command", f"no command `{call.command}`", "did you mean `go`?")


CONTEXT = LoadContext(cwd="/", check_call=no_calls)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "w.json"


def load(file: Path, tasks: Any, **fields: Any) -> Dict[str, Task]:
    file.write_text(json.dumps({"tasks": tasks, **fields}))
    return {task.id: task for task in load_workflow(file, {}, context=CONTEXT).tasks}


def refused(file: Path, tasks: Any, **fields: Any) -> InvalidWorkflow:
    with pytest.raises(InvalidWorkflow) as caught:
        load(file, tasks, **fields)
    return caught.value


def out(task: str, path: str = "") -> Any:
    return {"$output": {"task": task, "path": path}}


# -- undo and probe ------------------------------------------------------------------


def test_every_field_of_an_undo_and_a_probe_is_read(file: Path) -> None:
    undo = {
        "call": {**CALL, "args": [out("a", "id")]},
        "on": "begun",
        "timeout": "5m",
        "retry": {"attempts": 2, "delay": 1, "on": ["lost", 75]},
        "idempotent": True,
    }
    probe = {"script": "$args.x", "args": {"x": out("b")}}
    tasks = load(
        file,
        {"a": {"script": "1", "undo": undo, "probe": probe}, "b": {"script": "1"}},
    )
    assert tasks["a"].undo == Undo(
        NushellCall("m.nu", "go", (out("a", "id"),), {}),
        on="begun",
        timeout_s=300.0,
        retry=RetryPolicy(2, 1.0, on=("lost", "75")),
        idempotent=True,
    )
    assert tasks["a"].probe == Script("$args.x", {"x": out("b")}, line=1)
    # What a probe uses is there before its task begins; its own output is no need.
    assert tasks["a"].needs == (Dependency("b"),)


def test_optional_fields_of_an_undo_may_be_missing(file: Path) -> None:
    task = load(file, {"a": {**TRUE, "undo": TRUE, "probe": TRUE}})["a"]
    assert task.undo == Undo(Command(("true",)))
    assert task.probe == Command(("true",))


def test_undo_depends_on_the_tasks_whose_output_it_uses(file: Path) -> None:
    undo = {"command": ["rm", out("ip", "x"), {"$format": ["{}", [out("net")]]}]}
    tasks = load(
        file,
        {
            "net": {"script": "1"},
            "g": {
                "workflow": {
                    "tasks": {"ip": {"script": "1"}, "vm": {**TRUE, "undo": undo}}
                }
            },
        },
    )
    assert tasks["g/vm"].needs == (Dependency("g/ip"), Dependency("net"))
    assert tasks["g/vm"].undo == Undo(
        Command(("rm", out("g/ip", "x"), {"$format": ["{}", [out("net")]]}))
    )


ONE = "must have exactly one of `call`, `script` and `command`"


@pytest.mark.parametrize("name", ["undo", "probe"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, f"`{{}}` {ONE}"),
        ({**TRUE, "script": "1"}, f"`{{}}` {ONE}"),
        ({"workflow": {"tasks": {}}}, "unknown field `{}.workflow`"),
        ({**TRUE, "env": {}}, "unknown field `{}.env`"),
        ({**TRUE, "args": {}}, "`{}` has `args`, which is only allowed with `script`"),
        ({"script": ""}, "`{}.script` is empty"),
        (
            {"script": "1", "args": {"a b": 1}},
            "`{}.args` has `a b`, which is not a valid name in $args",
        ),
        ({"script": "1", "args": {"a": 2**64}}, "must fit into 64 bits"),
        ({"command": ["rm", None]}, "`{}.command` has null for an argument"),
        ({"command": ["rm", {"$outptu": 1}]}, "unknown special record `$outptu`"),
        ({"call": {"module": "m.nu"}}, "`{}.call` has no `command`"),
        ({"call": {"module": "m.nu", "command": "og"}}, "no command `og`"),
        ({"call": {**CALL, "falgs": {}}}, "unknown field `{}.call.falgs`"),
        ({"command": ["rm", out("gone")]}, "uses the output of `gone`, which does"),
        (
            {"command": ["rm", {"$outcome": "gone"}]},
            "uses the outcome of `gone`, which does",
        ),
        ({"command": ["rm", out("c")]}, "`c`, but a `command` has no output"),
        ("rm", "`{}` must be a record, not text"),
    ],
)
def test_mistake_in_an_undo_or_a_probe_is_reported(
    file: Path, name: str, fields: Any, words: str
) -> None:
    error = refused(file, {"a": {"script": "1", name: fields}, "c": TRUE})
    (mistake,) = error.mistakes
    assert words.format(name) in mistake.message
    assert "task `a`" in mistake.message or "call" in fields or "args" in fields


@pytest.mark.parametrize(
    ("undo", "words"),
    [
        ({"on": "failure"}, "`undo.on` must be 'success' or 'begun'"),
        ({"timeout": 0}, "`undo.timeout` must be longer than 0 seconds"),
        ({"retry": {"atempts": 1}}, "unknown field `undo.retry.atempts`"),
        ({"retry": {"on": ["lost"]}}, "retrying after `lost` needs idempotent"),
        ({"idempotent": "yes"}, "`undo.idempotent` must be true or false, not text"),
    ],
)
def test_mistake_in_an_undo_policy_is_reported(
    file: Path, undo: Any, words: str
) -> None:
    (mistake,) = refused(file, {"a": {**TRUE, "undo": {**TRUE, **undo}}}).mistakes
    assert words in mistake.message


def test_only_an_undo_can_use_the_output_of_its_own_task(file: Path) -> None:
    own = {"command": ["rm", out("a")]}
    load(file, {"a": {"script": "1", "undo": own}})
    (mistake,) = refused(file, {"a": {"script": "1", "probe": own}}).mistakes
    assert "task `a` needs itself" in mistake.message
    (mistake,) = refused(file, {"a": {**TRUE, "undo": own}}).mistakes
    assert "`a`, but a `command` has no output" in mistake.message


def test_undo_cannot_use_the_output_of_a_later_task(file: Path) -> None:
    tasks = {
        "a": {"script": "1", "undo": {"command": ["rm", out("b")]}},
        "b": {"script": "1", "needs": ["a"]},
    }
    (mistake,) = refused(file, tasks).mistakes
    assert "dependency cycle: a -> b -> a" in mistake.message


@pytest.mark.parametrize("name", ["undo", "probe", "secrets"])
def test_nested_workflow_has_no_undo_probe_or_secrets(file: Path, name: str) -> None:
    value = {"A": "env:A"} if name == "secrets" else TRUE
    group = {"workflow": {"tasks": {"a": TRUE}}, name: value}
    (mistake,) = refused(file, {"g": group}).mistakes
    assert f"`{name}` is not allowed on a nested workflow" in mistake.message


@pytest.mark.parametrize("name", ["undo", "probe"])
def test_defaults_have_no_undo_or_probe(file: Path, name: str) -> None:
    (mistake,) = refused(file, {"a": TRUE}, defaults={name: TRUE}).mistakes
    assert f"unknown field `defaults.{name}`" in mistake.message


# -- secrets -------------------------------------------------------------------------


def test_secret_names_its_source(file: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    secrets = {
        "A": "env:TOKEN",
        "B": "file:keys/b",
        "C": "file:/etc/c",
        "D": "file:~/d",
        "E": "file:~nobody-here/e",
        "F": "file:a:b",
        "G": {"cmd": ["./get", "a b"]},
        "H": "cmd:pass show db",
        "I": "sops:s.yaml#db.password",
        "J": "age:~/x.age",
        "K": "keyring:a/b/me",
    }
    folder = file.parent
    assert load(file, {"a": {**TRUE, "secrets": secrets}})["a"].secrets == {
        "A": "env:TOKEN",
        "B": f"file:{folder}/keys/b",
        "C": "file:/etc/c",
        "D": "file:/home/me/d",
        "E": f"file:{folder}/~nobody-here/e",
        "F": f"file:{folder}/a:b",
        "G": 'cmd:["./get", "a b"]',
        "H": "cmd:pass show db",
        "I": f"sops:{folder}/s.yaml#db.password",
        "J": "age:/home/me/x.age",
        "K": "keyring:a/b/me",
    }


def test_secrets_of_defaults_are_merged_by_name(file: Path) -> None:
    tasks = load(
        file,
        {"a": {**TRUE, "secrets": {"B": "env:MINE"}}, "b": TRUE},
        defaults={"secrets": {"A": "env:A", "B": "env:B"}},
    )
    assert tasks["a"].secrets == {"A": "env:A", "B": "env:MINE"}
    assert tasks["b"].secrets == {"A": "env:A", "B": "env:B"}


def test_to_look_up_once_is_said_by_a_task_or_by_defaults(file: Path) -> None:
    tasks = load(
        file,
        {"a": TRUE, "b": {**TRUE, "secrets_once": False}},
        defaults={"secrets_once": True},
    )
    assert (tasks["a"].secrets_once, tasks["b"].secrets_once) == (True, False)
    (mistake,) = refused(file, {"a": {**TRUE, "secrets_once": "yes"}}).mistakes
    assert "`secrets_once` must be true or false, not text" in mistake.message


def test_a_mistake_in_a_secret_is_shown_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text(
        "[tasks.a]\ncommand = ['true']\n[tasks.a.secrets]\nA = 'env:A'\n"
        "B = 'cmd:pass show db | head'\nC = { cmd = 'pass' }\nD = 'sops:s.yaml'\n"
    )
    with pytest.raises(InvalidWorkflow) as caught:
        load_workflow(path, {}, context=CONTEXT)
    places = [
        (m.line, m.message.partition(": ")[2][:40]) for m in caught.value.mistakes
    ]
    assert places == [
        (5, "`secrets.B` has a `cmd:` text that is no"),
        (6, "`secrets.C` has a `cmd` that is not a li"),
        (7, "`secrets.D` has no path into the file: w"),
    ]


WRONG_SECRETS: List[Any] = [
    {"TOKEN": HIDDEN},
    {"TOKEN": f"env:{HIDDEN}!"},
    {"TOKEN": f"vault:{HIDDEN}"},
    {"TOKEN": f"file:{HIDDEN}\0"},
    {"TOKEN": {"$output": {"task": HIDDEN}}},
    {"TOKEN": [HIDDEN]},
    {f"{HIDDEN} ": "env:TOKEN"},
    {f"{HIDDEN} ": HIDDEN},
    {"TOKEN": f"cmd:pass '{HIDDEN}'"},
    {"TOKEN": {"cmd": HIDDEN}},
    {"TOKEN": {"cmd": [HIDDEN, 1]}},
    {"TOKEN": {"cmd": ["a"], "args": [HIDDEN]}},
    {"TOKEN": f"sops:{HIDDEN}"},
    {"TOKEN": f"keyring:{HIDDEN}"},
    HIDDEN,
    [HIDDEN],
]


@pytest.mark.parametrize("secrets", WRONG_SECRETS, ids=str)
@pytest.mark.parametrize("where", ["task", "defaults", "group", "undo", "inner"])
@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_mistakes_never_show_a_possible_secret(
    tmp_path: Path, suffix: str, where: str, secrets: Any
) -> None:
    fields: Dict[str, Any] = {"secrets": secrets}
    inner = {"tasks": {"a": {**TRUE, **(fields if where == "inner" else {})}}}
    document: Dict[str, Any] = {
        # Another mistake, whose line may be the same one.
        "tasks": {"a": TRUE, "b": {**TRUE, "needs": ["gone"]}, "g": {"workflow": inner}}
    }
    if where == "task":
        document["tasks"]["a"] = {**TRUE, **fields}
    elif where == "group":
        document["tasks"]["g"].update(fields)
    elif where == "undo":
        document["tasks"]["a"] = {**TRUE, "undo": {**TRUE, **fields}}
    elif where == "defaults":
        document["defaults"] = fields
    path = tmp_path / f"w.{suffix}"
    text = json.dumps(document)
    if suffix == "toml":
        text = text[1:-1].replace('}, "defaults"', '}\n"defaults"')
        text = text.replace('": ', '" = ')
    path.write_text(text)
    with pytest.raises(InvalidWorkflow) as caught:
        load_workflow(path, {}, context=CONTEXT)
    shown = render_mistakes(caught.value)
    assert "task `b` needs `gone`" in shown
    assert any("secrets" in mistake.message for mistake in caught.value.mistakes)
    assert HIDDEN not in shown
    assert HIDDEN not in str(caught.value)
    assert f"{path}:1:" in shown


def test_mistakes_in_other_fields_still_show_their_line(file: Path) -> None:
    tasks = {"a": {**TRUE, "secrets": {"A": "env:A"}, "needs": ["gone"]}}
    (mistake,) = refused(file, tasks).mistakes
    assert mistake.source_line == file.read_text()


# -- policies ------------------------------------------------------------------------


def test_retry_on_accepts_exit_codes_signals_and_outcomes(file: Path) -> None:
    on = [75, 1, 255, "SIGKILL", "SIGTERM", "exit", "signal", "timeout", "lost", 75]
    task = load(file, {"a": {**TRUE, "idempotent": True, "retry": {"on": on}}})["a"]
    kill, term = "signal 9", "signal 15"
    words = ("75", "1", "255", kill, term, "exit", "signal", "timeout", "lost")
    assert task.retry.on == words


@pytest.mark.parametrize(
    "entry",
    [
        *[0, 256, -1, 2**40, True, 1.0, None, [1], {"x": 1}],
        *["75", "9", "KILL", "sigkill", "SIG_DFL", "failed", "", "x" * 100_000],
        *["mro", "__class__", "__members__"],
    ],
    ids=lambda entry: str(entry)[:20],
)
def test_retry_on_refuses_other_values(file: Path, entry: Any) -> None:
    (mistake,) = refused(file, {"a": {**TRUE, "retry": {"on": [entry]}}}).mistakes
    assert "`retry.on` accepts exit codes (1 to 255), signals (SIGKILL)" in (
        mistake.message
    )
    assert len(mistake.message) < 200


def test_retry_on_is_a_list(file: Path) -> None:
    (mistake,) = refused(file, {"a": {**TRUE, "retry": {"on": "lost"}}}).mistakes
    assert "`retry.on` must be a list, not text" in mistake.message


@pytest.mark.parametrize("where", ["task", "defaults"])
def test_retry_on_lost_requires_an_idempotent_task(file: Path, where: str) -> None:
    policy = {"retry": {"on": ["lost"]}}
    task = {**TRUE, **(policy if where == "task" else {})}
    defaults = policy if where == "defaults" else {}
    (mistake,) = refused(file, {"a": task}, defaults=defaults).mistakes
    assert "task `a`: retrying after `lost` needs idempotent = true" in (
        mistake.message
    )
    load(file, {"a": {**task, "idempotent": True}}, defaults=defaults)


def test_on_failure_can_roll_back_the_run(file: Path) -> None:
    group = {"workflow": {"tasks": {"b": TRUE}}, "on_failure": "rollback"}
    tasks = load(file, {"a": TRUE, "g": group}, defaults={"on_failure": "rollback"})
    assert [tasks[name].on_failure for name in ("a", "g", "g/b")] == ["rollback"] * 3


# -- how much parameters fill in -----------------------------------------------------


def test_size_of_inserted_parameters_is_limited(file: Path) -> None:
    use = {"$param": "x"}
    args: Dict[str, Any] = {"x": [use] * 70}
    tasks = {"a": {"script": "1", "args": args}, "b": {"command": [use]}}
    params = {"x": "x" * (1 << 20)}
    (mistake,) = refused(file, tasks, params=params).mistakes
    assert mistake.message == "parameters insert more than 64 MiB"
    assert (mistake.line, mistake.column > 1) == (1, True)
    args["x"] = [use] * 60
    del tasks["b"]
    load(file, tasks, params=params)


def test_size_of_lists_is_limited(file: Path) -> None:
    args = {"x": [0] * 100_001, "y": [0] * 100_000}
    (mistake,) = refused(file, {"a": {"script": "1", "args": args}}).mistakes
    assert "a list can have at most 100000 parts" in mistake.message


def test_wide_list_inside_a_deep_one_is_checked_in_time(file: Path) -> None:
    # With a whole path for each part of it this takes hours.
    deep, wide = 4_000, 200_000
    bottom = "[" * deep + ",".join(["[]"] * wide) + "]" * deep
    task = f'{{"script": "1", "args": {{"x": {bottom}}}}}'
    file.write_text(f'{{"tasks": {{"a": {task}}}}}')
    assert file.stat().st_size < 1 << 20
    with pytest.raises(
        InvalidWorkflow, match="values can be nested at most 100 levels deep"
    ):
        load_workflow(file, {}, context=CONTEXT)
