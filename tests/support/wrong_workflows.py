"""Workflow files with mistakes: the same ones in JSON, TOML and Nickel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Tuple

__all__ = ["WRONG", "Wrong"]


@dataclass(frozen=True)
class Wrong:
    """A file in each format, and the expected mistakes.

    `said` has the line, the text that is marked in it, a part of the message and
    a part of the hint, in the order of the file. Files have the same lines.
    """

    files: Mapping[str, str]
    said: Tuple[Tuple[int, str, str, str], ...]
    params: Mapping[str, str] = field(default_factory=dict)


WRONG = {
    "unknown need": Wrong(
        {
            "json": """{"tasks": {
  "web": {"command": ["true"]},
  "app": {"command": ["true"],
          "needs": ["web", "wed"]}}}""",
            "toml": """
tasks.web.command = ["true"]
tasks.app.command = ["true"]
tasks.app.needs = ["web", "wed"]""",
            "ncl": """{ tasks = {
  web = { command = ["true"] },
  app = { command = ["true"],
          needs = ["web", "wed"] } } }""",
        },
        ((4, '"wed"', "task `app` needs `wed`, which does not exist", "`web`?"),),
    ),
    "self-need": Wrong(
        {
            "json": """{"tasks": {
  "a": {"command": ["true"], "needs": ["a"]}}}""",
            "toml": """[tasks]
a = {command = ["true"], needs = ["a"]}""",
            "ncl": """{ tasks = {
  a = { command = ["true"], needs = ["a"] } } }""",
        },
        ((2, '"a"', "task `a` needs itself", ""),),
    ),
    "cycle": Wrong(
        {
            "json": """{"tasks": {
  "a": {"command": ["true"], "needs": ["c"]},
  "b": {"command": ["true"], "needs": ["a"]},
  "c": {"command": ["true"], "needs": ["b"]}}}""",
            "toml": """[tasks]
a = {command = ["true"], needs = ["c"]}
b = {command = ["true"], needs = ["a"]}
c = {command = ["true"], needs = ["b"]}""",
            "ncl": """{ tasks = {
  a = { command = ["true"], needs = ["c"] },
  b = { command = ["true"], needs = ["a"] },
  c = { command = ["true"], needs = ["b"] } } }""",
        },
        ((2, '"c"', "dependency cycle: a -> c -> b -> a", "remove one of these"),),
    ),
    "duplicate id": Wrong(
        {
            "json": """{"tasks": [
  {"id": "a", "command": ["true"]},
  {"id": "a", "command": ["true"]}]}""",
            "toml": """
tasks = [{id = "a", command = ["true"]},
         {id = "a", command = ["true"]}]""",
            "ncl": """{ tasks = [
  { id = "a", command = ["true"] },
  { id = "a", command = ["true"] } ] }""",
        },
        ((3, '"a"', "two tasks have the id `a`", "rename"),),
    ),
    "two kinds": Wrong(
        {
            "json": """{"tasks": {"a": {
  "call": {"module": "m.nu", "command": "go"},
  "command": ["true"]}}}""",
            "toml": """[tasks.a]
call = {module = "m.nu", command = "go"}
command = ["true"]""",
            "ncl": """{ tasks = { a = {
  call = { module = "m.nu", command = "go" },
  command = ["true"] } } }""",
        },
        (
            (
                3,
                "command",
                "`a` has `call`, `command`; a task must have exactly one",
                "two",
            ),
        ),
    ),
    "unknown field": Wrong(
        {
            "json": """{"tasks": {"a": {"command": ["true"],
  "nedes": [],
  "retry": {"atempts": 3}}}}""",
            "toml": """[tasks.a]
nedes = []
retry.atempts = 3
command = ["true"]""",
            "ncl": """{ tasks = { a = { command = ["true"],
  nedes = [],
  retry = { atempts = 3 } } } }""",
        },
        (
            (2, "nedes", "task `a`: unknown field `nedes`", "did you mean `needs`?"),
            (3, "atempts", "unknown field `retry.atempts`", "`attempts`?"),
        ),
    ),
    "bad duration": Wrong(
        {
            "json": """{"tasks": {"a": {"command": ["true"],
  "timeout": "5x"}}}""",
            "toml": """[tasks.a]
timeout = "5x"
command = ["true"]""",
            "ncl": """{ tasks = { a = { command = ["true"],
  timeout = "5x" } } }""",
        },
        ((2, '"5x"', "`timeout` must be a duration such as 90s, 5m", ""),),
    ),
    "output of a command": Wrong(
        {
            "json": """{"tasks": {"a": {"command": ["true"]}, "b": {"command": ["echo",
  {"$output": {"task": "a", "path": "ip"}}]}}}""",
            "toml": """tasks.a.command = ["true"]
tasks.b.command = ["echo", {"$output" = {task = "a", path = "ip"}}]""",
            "ncl": """{ tasks = { a = { command = ["true"] }, b = { command = ["echo",
  { "$output" = { task = "a", path = "ip" } }] } } }""",
        },
        (
            (
                2,
                "{",
                "uses the output of `a`, but a `command` has no output",
                "script",
            ),
        ),
    ),
    "unknown parameter": Wrong(
        {
            "json": """{"tasks": {},
  "params": {"zone": "a"}}""",
            "toml": """tasks = {}
params = {zone = "a"}""",
            "ncl": """{ tasks = {},
  params = { zone | String | default = "a" } }""",
        },
        ((2, "{", "the file declares no parameter `zon`", "did you mean `zone`?"),),
        params={"zon": "b"},
    ),
    "undo and probe": Wrong(
        {
            "json": """{"tasks": {"a": {"script": "1",
  "undo": {"workflow": {"tasks": {}}},
  "probe": {"script": "1", "args":
    {"x": {"$output": {"task": "a"}}}}}}}""",
            "toml": """[tasks.a]
undo = {workflow = {tasks = {}}}
probe.script = "1"
probe.args.x = {"$output" = {task = "a"}}
script = "1\"""",
            "ncl": """{ tasks = { a = { script = "1",
  undo = { workflow = { tasks = {} } },
  probe = { script = "1", args =
    { x = { "$output" = { task = "a" } } } } } } }""",
        },
        (
            (2, "workflow", "unknown field `undo.workflow`", "call, script, command"),
            (4, "{", "task `a` needs itself", ""),
        ),
    ),
    "undo that cannot run": Wrong(
        {
            "json": """{"tasks": {"a": {"script": "1",
  "undo": {"script": "1", "command": ["rm"]}, "probe":
  {"command": ["x", {"$output": {"task": "b"}}]}}}}""",
            "toml": """[tasks.a]
undo = {script = "1", command = ["rm"]}
probe.command = ["x", {"$output" = {task = "b"}}]
script = "1\"""",
            "ncl": """{ tasks = { a = { script = "1",
  undo = { script = "1", command = ["rm"] }, probe =
  { command = ["x", { "$output" = { task = "b" } }] } } } }""",
        },
        (
            (
                2,
                "{",
                "`undo` must have exactly one of `call`, `script` and `command`",
                "",
            ),
            (3, "{", "task `a` uses the output of `b`, which does not exist", ""),
        ),
    ),
    "retry on what": Wrong(
        {
            "json": """{"tasks": {"a": {"command": ["x"],
  "retry": {"on": ["lost"]}},
  "b": {"command": ["x"], "on_failure": "undo",
  "retry": {"on": ["SIGNONE"]}}}}""",
            "toml": """[tasks]
a = {command = ["x"], retry = {on = ["lost"]}}
b.on_failure = "undo"
b.retry.on = ["SIGNONE"]
b.command = ["x"]""",
            "ncl": """{ tasks = { a = { command = ["x"],
  retry = { on = ["lost"] } },
  b = { command = ["x"], on_failure = "undo",
  retry = { on = ["SIGNONE"] } } } }""",
        },
        (
            (2, "{", "retrying after `lost` needs idempotent = true", "or remove"),
            (3, '"undo"', "must be 'fail', 'continue' or 'rollback'", ""),
            (4, "[", "`retry.on` accepts exit codes (1 to 255), signals", ""),
        ),
    ),
    "everything at once": Wrong(
        {
            "json": """{"nam": "x", "tasks": {
  "a": {"script": "1", "priority": 5000},
  "b": {"needs": ["gone"]},
  "c": {"command": []}}}""",
            "toml": """nam = "x"
tasks.a = {script = "1", priority = 5000}
tasks.b = {needs = ["gone"]}
tasks.c = {command = []}""",
            "ncl": """{ nam = "x", tasks = {
  a = { script = "1", priority = 5000 },
  b = { needs = ["gone"] },
  c = { command = [] } } }""",
        },
        (
            (1, "nam", "unknown field `nam`", "did you mean `name`?"),
            (2, "5000", "`priority` must be at most 1000", ""),
            (3, "", "task `b` has nothing to run", "`call`, `script`, `command`"),
            (3, '"gone"', "needs `gone`, which does not exist", ""),
            (4, "[]", "`command` must begin with the program to run", ""),
        ),
    ),
}
