"""Saved plans: `plan --save`, then `apply` runs exactly that or is refused."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any, Dict

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


def _save(provctl: Provctl, workflow: Dict[str, Any], *words: str) -> Path:
    file, plan = provctl.folder / "deploy.json", provctl.folder / "deploy.plan"
    file.write_text(json.dumps(workflow), encoding="utf-8")
    provctl("plan", file, *words, "--save", plan)
    return plan


def test_apply_runs_the_workflow_as_it_was_saved(provctl: Provctl) -> None:
    out = provctl.folder / "out"
    file = provctl.folder / "deploy.json"
    script = f"echo $NAME > {out}"
    workflow = {
        "name": "deploy",
        "labels": {"env": "test"},
        "tasks": {"a": {"command": ["sh", "-c", script], "env": {"NAME": "before"}}},
    }
    plan = _save(provctl, workflow)
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    file.write_text("{}", encoding="utf-8")  # later changes do not matter
    done = provctl("apply", plan)
    assert "1 succeeded" in done.out
    assert out.read_text() == "before\n"
    (run,) = provctl("list", "-l", "env=test", "-o", "json").json()
    assert run["name"] == "deploy"


def test_plan_contains_no_variable_of_the_environment(
    provctl: Provctl,
) -> None:
    file, plan = provctl.folder / "deploy.json", provctl.folder / "deploy.plan"
    file.write_text('{"tasks": {"a": {"command": ["true"]}}}')
    env = {"PROVISIONING_TOKEN": "hidden-value"}
    provctl("plan", file, "--save", plan, env=env)
    assert "hidden-value" not in plan.read_text()
    # Control: the run has it, because tasks get the environment of `apply`.
    provctl("apply", plan, env=env)
    (run,) = provctl.runs()
    stored = provctl.state / "runs" / run / "workflow.json"
    assert "hidden-value" in stored.read_text()


def test_changed_plan_is_refused(provctl: Provctl) -> None:
    plan = _save(provctl, {"tasks": {"a": {"command": ["echo", "before"]}}})
    plan.write_text(plan.read_text().replace("before", "after!"))
    refused = provctl("apply", plan, code=50)
    assert "the plan was changed after it was saved" in refused.err
    assert provctl.runs() == []


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"provctl_plan": 1}', "\0"])
def test_other_file_is_not_a_plan(provctl: Provctl, content: str) -> None:
    plan = provctl.folder / "deploy.plan"
    plan.write_text(content)
    assert "this is not a saved plan" in provctl("apply", plan, code=50).err
    assert provctl.runs() == []


def test_plan_of_a_newer_format_is_refused(provctl: Provctl) -> None:
    plan = provctl.folder / "deploy.plan"
    plan.write_text('{"provctl_plan": 99}')
    assert "the plan has format 99" in provctl("apply", plan, code=50).err


def test_old_plan_is_refused(provctl: Provctl) -> None:
    plan = _save(provctl, {"tasks": {"a": {"command": ["true"]}}})
    refused = provctl("apply", plan, "--max-age", "1ms", code=41)
    assert "ago, the limit is" in refused.err
    assert provctl.runs() == []
    provctl("apply", plan, "--max-age", "0")


def test_plan_whose_directory_is_gone_is_refused(provctl: Provctl) -> None:
    folder = provctl.folder / "work"
    folder.mkdir()
    file, plan = folder / "w.json", provctl.folder / "deploy.plan"
    file.write_text('{"tasks": {"a": {"command": ["true"]}}}')
    provctl("plan", file, "--save", plan, cwd=folder)
    file.unlink()
    folder.rmdir()
    refused = provctl("apply", plan, code=41)
    assert f"its directory {folder} does not exist" in refused.err


def test_changed_library_is_refused_with_the_names_of_its_modules(
    provctl: Provctl,
) -> None:
    library = provctl.folder / "library"
    (library / "deep").mkdir(parents=True)
    (library / "a.nu").write_text('export def hi [] { "hi" }\n')
    (library / "deep" / "b.nu").write_text("# nothing\n")
    task = {"call": {"module": "a.nu", "command": "hi"}}
    plan = _save(provctl, {"library": str(library), "tasks": {"a": task}})
    provctl("apply", plan)
    (library / "a.nu").write_text('export def hi [] { "ho" }\n')
    (library / "deep" / "b.nu").unlink()
    (library / "c.nu").write_text("# new\n")
    refused = provctl("apply", plan, code=41)
    assert "the module a.nu of the library has changed" in refused.err
    assert "the library has a new module c.nu" in refused.err
    assert "the library has no module deep/b.nu any more" in refused.err
    assert len(provctl.runs()) == 1


def test_other_version_of_nushell_is_refused(provctl: Provctl) -> None:
    plan = _save(provctl, {"tasks": {"a": {"script": "1"}}})
    record = json.loads(plan.read_text())
    saved = record["nushell"]
    other = provctl.folder / "bin" / "nu"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho 0.999.1\n")
    other.chmod(0o755)
    env = {"PROVCTL_NUSHELL_BINARY": str(other)}
    refused = provctl("apply", plan, code=41, env=env)
    assert f"Nushell was {saved}, and is 0.999.1" in refused.err
    provctl("apply", plan)  # control: with the same one it runs
