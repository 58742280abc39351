"""Nickel files with the real evaluator: values, parameters, mistakes, limits."""

from __future__ import annotations

import json
import stat
import sys
import venv
from typing import TYPE_CHECKING, Any, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.base.limited_process import ProcessLimits
from provctl.core.model.workflow import (
    Command,
    Dependency,
    NushellCall,
    RetryPolicy,
    Script,
    Undo,
)
from provctl.errors import InvalidWorkflow, MissingTool
from provctl.workflow_files.diagnostics import render_mistakes
from provctl.workflow_files.formats.evaluator import Evaluator, text_literal
from provctl.workflow_files.load import LoadContext, load_workflow
from tests.support.wrong_workflows import WRONG

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = LoadContext(cwd="/")

HARMFUL = "\"\\%{}$'m(); \n\t#|&=ab\0\u2028é😀"

EXAMPLE = """let p = import "provctl.ncl" in
{ name = "multi-cloud-deployment",
  params = { zone | String | default = "es-mad1", servers | Number | default = 5 },
  tasks = p.for_each (std.array.range 1 (params.servers + 1)) (fun i => {
      "server-%{std.to_string i}" = {
        call = { module = "servers/create.nu", command = "create-server",
                 args = ["web-%{std.to_string i}"], flags = { zone = params.zone } },
        pools = { upcloud = 1 } } })
    & { kubernetes = {
          needs = std.array.generate (fun i => "server-%{std.to_string (i + 1)}")
                                     params.servers,
          call = { module = "taskservs/create.nu", command = "create-taskserv" },
          timeout = "30m", retry = { attempts = 3, delay = "5s", factor = 2 } },
        apps = {
          needs = ["kubernetes"],
          script = m%"
            print $"on ($args.ip)"
          "%,
          args.ip = p.output "server-1" "ip" } } } | p.Workflow
"""


def load(
    path: Path, content: str, context: LoadContext = CONTEXT, **params: str
) -> Any:
    path.write_text(content)
    return load_workflow(path, params, context=context)


def refused(
    path: Path, content: str, context: LoadContext = CONTEXT, **params: str
) -> InvalidWorkflow:
    with pytest.raises(InvalidWorkflow) as caught:
        load(path, content, context, **params)
    return caught.value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "w.ncl"


# --- sound files -----------------------------------------------------------------


def test_example_is_read(file: Path) -> None:
    workflow = load(file, EXAMPLE)
    tasks = {task.id: task for task in workflow.tasks}
    assert workflow.name == "multi-cloud-deployment"
    assert sorted(tasks) == [
        "apps",
        "kubernetes",
        *(f"server-{i}" for i in range(1, 6)),
    ]
    assert tasks["server-2"].action == NushellCall(
        "servers/create.nu", "create-server", ("web-2",), {"zone": "es-mad1"}
    )
    assert tasks["kubernetes"].timeout_s == 1800.0
    assert tasks["apps"].needs == (Dependency("kubernetes"), Dependency("server-1"))
    assert tasks["apps"].action == Script(
        'print $"on ($args.ip)"',
        {"ip": {"$output": {"task": "server-1", "path": "ip"}}},
        line=17,
    )


def test_parameters_change_all_dependent_values(file: Path) -> None:
    workflow = load(file, EXAMPLE, zone="fi-hel1", servers="2")
    assert [task.id for task in workflow.tasks] == [
        "server-1",
        "server-2",
        "kubernetes",
        "apps",
    ]
    assert workflow.tasks[1].action.flags == {"zone": "fi-hel1"}
    assert workflow.params == {"zone": "fi-hel1", "servers": 2}


ROLLBACK = """let p = import "provctl.ncl" in
let server = fun i => {
  call = { module = "servers/create.nu", command = "create-server" },
  undo = { call = { module = "servers/delete.nu", command = "delete-server",
                    args = [p.output "server-%{std.to_string i}" "id"] },
           on = 'begun, timeout = "5m", retry = { attempts = 3, on = ["timeout", 75] } },
  probe.command = ["test", "-e", "server-%{std.to_string i}"],
  secrets = { TOKEN = "env:CLOUD_TOKEN", KEY = "file:keys/cloud",
              DB = { cmd = ["pass", "show", "db of %{std.to_string i}"] } }, secrets_once = true,
} | p.Task in
{ defaults.on_failure | default = 'rollback,
  tasks = p.for_each [1, 2] (fun i => { "server-%{std.to_string i}" = server i })
    & { "server-2" = { on_failure = 'continue, idempotent = true,
                       retry.on = ["lost", "SIGKILL", "exit"] },
        app = { script = "1", on_failure = "rollback",
                undo.script = "$args", undo.args = { x = p.output "server-1" "ip" } } } }
| p.Workflow
"""


def test_undo_probe_and_secrets_are_read(file: Path) -> None:
    tasks = {task.id: task for task in load(file, ROLLBACK).tasks}
    one, two = tasks["server-1"], tasks["server-2"]
    for task in (one, two):
        assert task.needs == ()
        own = {"$output": {"task": task.id, "path": "id"}}
        assert task.undo == Undo(
            NushellCall("servers/delete.nu", "delete-server", (own,), {}),
            on="begun",
            timeout_s=300.0,
            retry=RetryPolicy(3, on=("timeout", "75")),
        )
        assert task.probe == Command(("test", "-e", task.id))
        key = f"file:{file.parent}/keys/cloud"
        assert task.secrets == {
            "TOKEN": "env:CLOUD_TOKEN",
            "KEY": key,
            "DB": f'cmd:["pass", "show", "db of {task.id[-1]}"]',
        }
        assert task.secrets_once
    assert [task.on_failure for task in tasks.values()] == [
        "rollback",
        "continue",
        "rollback",
    ]
    assert two.retry.on == ("lost", "signal 9", "exit")
    assert tasks["app"].needs == (Dependency("server-1"),)
    ip = {"$output": {"task": "server-1", "path": "ip"}}
    assert tasks["app"].undo == Undo(Script("$args", {"x": ip}, line=16))


def test_mistake_in_an_undo_of_many_tasks_is_located(file: Path) -> None:
    wrong = ROLLBACK.replace('"server-%{std.to_string i}" "id"', '"servr-1" "id"')
    error = refused(file, wrong)
    assert [(m.line, m.hint) for m in error.mistakes] == [
        (5, "did you mean `server-1`?")
    ] * 2
    (mistake,) = refused(file, ROLLBACK.replace("'continue", "'undo")).mistakes
    assert mistake.line == 13


@pytest.mark.parametrize("contract", ["p.Workflow", "Dyn"])
@pytest.mark.parametrize(
    "secrets",
    [
        *('{ TOKEN = "hunter2" }', '{ TOKEN = ["hunter2"] }', '"hunter2"'),
        *('["hunter2"]', '{ TOKEN = { cmd = "hunter2" } }'),
    ],
)
def test_mistakes_never_show_a_possible_secret(
    file: Path, secrets: str, contract: str
) -> None:
    content = (
        'let p = import "provctl.ncl" in { tasks = { a = { secrets = SECRETS,'
        ' command = ["true"] }, b = { script = "", secrets = {} } | p.Task } }'
        f" | {contract}"
    )
    # The control: what is not under `secrets` is shown with its line.
    other = content.replace("secrets = SECRETS", f"env = {secrets}, nope = 1")
    assert "hunter2" in render_mistakes(refused(file, other))
    text = render_mistakes(refused(file, content.replace("SECRETS", secrets)))
    assert "hunter2" not in text
    assert f"{file}:1:" in text
    assert "secrets" in text
    assert "`script` is empty" in text


def test_functions_of_the_nickel_library_work(file: Path) -> None:
    content = """let p = import "provctl.ncl" in
    { tasks = [
        { id = "a", script = "1", when = p.all [p.equals 1 1, p.not_equals 1 2, p.less 1 2,
            p.greater 2 1, p.contains [1] 1, p.not false, p.any [true]] },
        { id = "b", script = "1", args = { x = p.format "{}!" [p.output "a" ""],
            y = p.literal { "$not" = 1 }, z = p.output_or "a" "n" 0,
            o = p.outcome "a" } } | p.Task,
      ] } | p.Workflow"""
    a, b = load(file, content).tasks
    assert a.when == {
        "$all": [
            {"$equals": [1, 1]},
            {"$not": {"$equals": [1, 2]}},
            {"$less": [1, 2]},
            {"$less": [1, 2]},
            {"$contains": [[1], 1]},
            {"$not": False},
            {"$any": [True]},
        ]
    }
    assert b.action.args == {
        "x": {"$format": ["{}!", [{"$output": {"task": "a", "path": ""}}]]},
        "y": {"$literal": {"$not": 1}},
        "z": {"$output": {"task": "a", "path": "n", "default": 0}},
        "o": {"$outcome": "a"},
    }


def test_nested_workflow_can_be_imported(file: Path) -> None:
    (file.parent / "inner").mkdir()
    (file.parent / "inner" / "etcd.ncl").write_text(
        """let p = import "provctl.ncl" in
        { name = "etcd", params.size | default = 3,
          tasks.start.command = ["etcd", params.size] } | p.Workflow"""
    )
    workflow = load(file, '{ tasks.db.workflow = import "inner/etcd.ncl" }')
    assert [task.id for task in workflow.tasks] == ["db", "db/start"]
    assert workflow.tasks[1].action == Command(("etcd", 3))


def test_two_hundred_nested_workflows_are_read(file: Path) -> None:
    workflow = load(
        file,
        """let rec nest = fun n => if n == 0 then { tasks.a.command = ["true"] }
             else { tasks.g.workflow = nest (n - 1) } in nest 200""",
    )
    assert workflow.tasks[-1].id == "g/" * 200 + "a"


def test_eight_thousand_tasks_in_a_list_are_read(file: Path) -> None:
    workflow = load(
        file,
        """let p = import "provctl.ncl" in
        { tasks = std.array.range 0 8000 |> std.array.map (fun i =>
            { id = "t%{std.to_string i}", command = ["true"], timeout = "5m" })
        } | p.Workflow""",
    )
    assert len(workflow.tasks) == 8000


@pytest.mark.parametrize("name", ['we"ird %{x} é\\.ncl', "a b.ncl", "-x.ncl"])
def test_unusual_file_name_is_accepted(tmp_path: Path, name: str) -> None:
    workflow = load(tmp_path / name, '{ tasks.a.command = ["true"] }')
    assert workflow.tasks[0].id == "a"


# --- parameters --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        ('| default = "x"', "5", "5"),
        ("| String", "5", "5"),
        ("| Number", "5", 5),
        ("| default = 1", "5", 5),
        ("| default = 1", "true", True),
        ("| Array Number | default = []", "[1, 2]", [1, 2]),
        ("| Bool", "false", False),
        ("= 1", "2", 2),
        ("| default = null", "null", None),
        ("| String", "", ""),
        ("| default = null", '{"a": 1}', '{"a": 1}'),
    ],
)
def test_parameter_is_converted_to_its_declared_type(
    file: Path, declared: str, text: str, value: Any
) -> None:
    content = f'{{ params = {{ x {declared} }}, tasks.a.command = ["true"] }}'
    assert load(file, content, x=text).params == {"x": value}


def test_parameter_that_breaks_its_contract_is_refused(file: Path) -> None:
    (mistake,) = refused(file, EXAMPLE, servers="many").mistakes
    assert (mistake.line, mistake.column) == (3, 61)
    assert "contract broken by the value of `servers`" in mistake.message
    assert mistake.hint == "its value was set with -p servers=many"


def test_parameter_is_refused_if_the_file_declares_none(file: Path) -> None:
    (mistake,) = refused(file, '{ tasks.a.command = ["true"] }', x="1").mistakes
    assert "the file declares no parameter `x`" in mistake.message


def test_texts_are_never_parsed_as_nickel() -> None:
    seen = []

    @given(st.lists(st.text(st.sampled_from(HARMFUL) | st.characters(), max_size=40)))
    def collect(texts: List[str]) -> None:
        seen.extend(texts)

    collect()
    values = ", ".join(text_literal(text) for text in seen)
    names = ", ".join(f"{{ {text_literal(text)} = 1 }}" for text in seen)
    (answer,) = Evaluator().evaluate([f"[[{values}], [{names}]]"]).answers
    assert json.loads(answer.json) == [seen, [{text: 1} for text in seen]]


@pytest.mark.parametrize(
    "text",
    ['"', "%{params}", '" & {tasks = {}} & "', "\\u{22}", "'\n\t\r", 'm%"x"%', "é😀"],
)
def test_parameter_is_never_parsed_as_nickel(file: Path, text: str) -> None:
    content = '{ params.x | String, tasks.a.command = ["echo", params.x] }'
    workflow = load(file, content, x=text)
    assert workflow.params == {"x": text}
    assert workflow.tasks[0].action == Command(("echo", text))


# --- mistakes --------------------------------------------------------------------


@pytest.mark.parametrize("name", WRONG)
def test_every_mistake_has_its_location(file: Path, name: str) -> None:
    wrong = WRONG[name]
    error = refused(file, wrong.files["ncl"], CONTEXT, **wrong.params)
    assert len(error.mistakes) == len(wrong.said)
    for mistake, (line, marked, message, hint) in zip(error.mistakes, wrong.said):
        assert mistake.file == str(file)
        assert mistake.line == line
        assert mistake.source_line == wrong.files["ncl"].split("\n")[line - 1]
        assert mistake.source_line[mistake.column - 1 :].startswith(marked)
        assert message in mistake.message
        assert hint in mistake.hint


def test_mistakes_in_generated_and_imported_tasks_have_their_location(
    file: Path,
) -> None:
    inner = file.parent / "inner.ncl"
    inner.write_text('{ tasks.x = {\n  command = ["true"], timeout = "1x" } }')
    error = refused(
        file,
        """let p = import "provctl.ncl" in
        { tasks = p.for_each [1, 2] (fun i => { "t%{std.to_string i}" = {
              command = ["true"], timeout = "2x" } })
            & { g.workflow = import "inner.ncl" } } | p.Workflow""",
    )
    assert [(m.file, m.line, m.column) for m in error.mistakes] == [
        (str(inner), 2, 33),
        (str(file), 3, 45),
        (str(file), 3, 45),
    ]


def test_mistakes_after_the_twentieth_have_no_location(file: Path) -> None:
    tasks = " & ".join(
        f'{{ t{i} = {{ command = ["x"], nedes = 1 }} }}' for i in range(30)
    )
    error = refused(file, f"{{ tasks = {tasks} }}")
    assert [bool(m.line) for m in error.mistakes] == [True] * 20 + [False] * 10


@pytest.mark.parametrize(
    ("content", "line", "column", "words", "hint"),
    [
        ('{ tasks = {\n  a = ["x"} }', 2, 11, "unexpected token", ""),
        ("{ tasks = {\n  a.command = [nope] } }", 2, 16, "unbound identifier", ""),
        ('{ tasks = {},\n  n | Number = "x" }', 2, 16, "contract broken", ""),
        ('{ tasks = {},\n  n = 1 + "x" }', 2, 11, "dynamic type error", "(+) expects"),
        ("{ tasks = {},\n  n | Number }", 2, 3, "missing definition for `n`", ""),
        ("{ tasks = {}, n = n }", 1, 19, "infinite recursion", "rename one"),
        ('{ x = import "gone.ncl" }', 1, 7, "could not find import", ""),
        (
            'let p = import "provctl.ncl" in\n{ tasks = 5 } | p.Workflow',
            2,
            11,
            "`tasks` is a record of tasks by id",
            "",
        ),
        (
            'let p = import "provctl.ncl" in\n{ tasks = {}, timeout = [] } | p.Workflow',
            2,
            25,
            "a duration is a text such as 90s",
            "",
        ),
    ],
)
def test_errors_of_nickel_have_location_and_hint(
    file: Path, content: str, line: int, column: int, words: str, hint: str
) -> None:
    mistake = refused(file, content).mistakes[0]
    assert (mistake.file, mistake.line, mistake.column) == (str(file), line, column)
    assert mistake.source_line == content.split("\n")[line - 1]
    assert words in mistake.message
    assert hint in mistake.hint


@pytest.mark.parametrize("content", ["5", "[]", '"x"'])
def test_file_that_is_not_a_record_is_refused(file: Path, content: str) -> None:
    (mistake,) = refused(file, content).mistakes
    assert "a workflow must be a record, not" in mistake.message


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        load_workflow(tmp_path / "none.ncl", {}, context=CONTEXT)
    assert "cannot be read" in caught.value.message


def test_mistakes_are_printed_with_line_and_hint(file: Path) -> None:
    text = render_mistakes(refused(file, WRONG["unknown field"].files["ncl"]))
    assert text.startswith(
        f"""{file}:2:3: task `a`: unknown field `nedes`
2 |   nedes = [],
  |   ^^^^^
help: did you mean `needs`?
"""
    )
    assert text.endswith("2 errors found")


# --- limits, and where there is no Nickel ---------------------------------------------

GROWS = "let rec f = fun x => f (x + 1) in f 1"
# Takes years and little memory.
ENDLESS = """let rec f = fun n => if n < 2 then n else f (n - 1) + f (n - 2) in f 99"""


@pytest.mark.parametrize(
    ("content", "limits", "words"),
    [
        (
            ENDLESS,
            ProcessLimits(wall_s=0.5),
            "exceeded the time limit of 0.5 s",
        ),
        (ENDLESS, ProcessLimits(cpu_s=1), "exceeded the CPU limit of 1 s"),
        (
            GROWS,
            ProcessLimits(memory_bytes=400 << 20),
            "exceeded the memory limit of 400 MiB",
        ),
    ],
)
def test_endless_evaluation_reports_its_limit(
    file: Path, content: str, limits: ProcessLimits, words: str
) -> None:
    context = LoadContext("/", limits=limits)
    # What grows may also meet the end of its stack first: some machines have less of it.
    known = [words, "is nested too deeply"][: 1 + (content == GROWS)]
    (mistake,) = refused(file, content, context).mistakes
    assert mistake.message in [f"evaluating this file {each}" for each in known]
    (mistake,) = refused(file, content, context, x="1").mistakes
    assert mistake.message in [f"evaluating this file {each}" for each in known]


MANY = """
let p = import "provctl.ncl" in
let task = fun i => { "t%{std.to_string i}" = { command = ["true"] } } in
let numbers = std.array.range 0 10000 in
{ tasks = MADE } | p.Workflow
"""


def test_ten_thousand_generated_tasks_fit_into_the_memory_limit(
    file: Path,
) -> None:
    assert (
        len(load(file, MANY.replace("MADE", "p.for_each numbers task")).tasks) == 10_000
    )
    pair = """(fun i => { field = "t%{std.to_string i}", value = {} })"""
    by_hand = f"numbers |> std.array.map {pair} |> std.record.from_array"
    (mistake,) = refused(file, MANY.replace("MADE", by_hand)).mistakes
    assert "memory limit" in mistake.message
    assert "`p.for_each`" in (mistake.hint or "")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_for_each_makes_every_task_once(file: Path, count: int) -> None:
    content = MANY.replace("10000", str(count)).replace(
        "MADE", "p.for_each numbers task"
    )
    assert [task.id for task in load(file, content).tasks] == [
        f"t{n}" for n in range(count)
    ]


def test_size_of_an_evaluation_is_limited(file: Path) -> None:
    context = LoadContext("/", limits=ProcessLimits(output_bytes=1 << 20))
    (mistake,) = refused(file, "std.array.range 0 300000", context).mistakes
    assert "exceeded the limit of 1 MiB of JSON" in mistake.message


def test_deeply_nested_brackets_are_refused(file: Path) -> None:
    (mistake,) = refused(file, "[" * 300_000 + "]" * 300_000).mistakes
    assert "is nested too deeply" in mistake.message


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python without the package py-nickel."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    return str(folder / "bin" / "python")


@pytest.fixture
def program(tmp_path: Path) -> str:
    """A `nickel` program: its command line with the real evaluator."""
    path = tmp_path / "nickel"
    path.write_text(
        f"""#!{sys.executable}
import sys, nickel
assert sys.argv[1:5] == ["export", "--format", "json", "--import-path"], sys.argv
try:
    print(nickel.run(sys.stdin.read(), import_paths=[sys.argv[5]]))
except nickel.NickelException as error:
    sys.exit(str(error))
"""
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_nickel_program_replaces_the_package(
    file: Path, bare_python: str, program: str
) -> None:
    context = LoadContext("/", nickel_binary=program, python=bare_python)
    assert len(load(file, EXAMPLE, context, servers="2").tasks) == 4
    (mistake,) = refused(file, WRONG["bad duration"].files["ncl"], context).mistakes
    assert (mistake.line, mistake.column) == (2, 13)


def test_nickel_program_has_the_same_limits(
    file: Path, bare_python: str, program: str
) -> None:
    for content, limits, words in (
        (ENDLESS, ProcessLimits(wall_s=1), "exceeded the time limit"),
        (GROWS, ProcessLimits(memory_bytes=400 << 20), "exceeded the memory limit"),
    ):
        context = LoadContext(
            "/", nickel_binary=program, limits=limits, python=bare_python
        )
        (mistake,) = refused(file, content, context).mistakes
        assert words in mistake.message


def test_missing_package_and_program_are_both_named(
    file: Path, bare_python: str
) -> None:
    context = LoadContext("/", nickel_binary="/nonexistent/nickel", python=bare_python)
    with pytest.raises(MissingTool, match="py-nickel or the program") as caught:
        load(file, EXAMPLE, context)
    assert "pip install py-nickel" in str(caught.value.hint)
