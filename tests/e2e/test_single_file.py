"""The single file behaves like the installed command, also without Python."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from provctl import __version__
from tests.support.api import Api
from tests.support.attempts import alive, wait_until
from tests.support.installed import Provctl
from tests.support.single_file import BareRoot, SingleFile, is_in_use

WORKFLOW = """
let p = import "provctl.ncl" in
{
  tasks = {
    first.script = m%"
      print ready
      while not ("/tmp/gate" | path exists) { sleep 20ms }
      { address: "10.0.0.1" }
    "%,
    second = { script = "use provctl.nu; provctl progress 50; $args.address", args.address = p.output "first" "address" },
    third = { needs = ["second"], command = ["nu", "--version"] },
  },
}
| p.Workflow
"""


@pytest.fixture
def root(single_file: Path, tmp_path: Path) -> Iterator[BareRoot]:
    root = BareRoot(tmp_path, single_file)
    try:
        yield root
    finally:
        root.end()


@pytest.fixture
def single(single_file: Path, tmp_path: Path) -> Iterator[Provctl]:
    single = Provctl(tmp_path, single_file)
    try:
        yield single
    finally:
        single.end()


def test_killed_scheduler_loses_nothing_in_a_root_with_two_programs(
    root: BareRoot,
) -> None:
    assert root.files() == ["bin/nu", "bin/provctl", "dev/null"]
    (root.folder / "tmp" / "w.ncl").write_text(WORKFLOW)
    run = root("workflow", "submit", "/tmp/w.ncl").last_word
    log = root.state / "runs" / run / "attempts" / "0.1.log"
    wait_until(lambda: log.exists() and "ready" in log.read_text(), "it runs")
    before = int(root("scheduler", "status", "-o", "name").out)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: not alive(before), "the scheduler is gone")
    status = root("workflow", "status", run, "-o", "json").json()
    assert status["tasks"][0]["reason"] == "still running, but orphaned"
    root("scheduler", "start")
    (root.folder / "tmp" / "gate").touch()
    root("workflow", "wait", run)
    tasks = root("workflow", "status", run, "-o", "json").json()["tasks"]
    assert [(t["outcome"], t["attempts"]) for t in tasks] == [("succeeded", 1)] * 3
    assert root("workflow", "outputs", run, "second").out.strip() == '"10.0.0.1"'
    assert Api(root.state).get("/health").status == 200
    assert root("doctor").out.count("✗") == 0
    assert "complete" in root("completion", "bash").out
    root("scheduler", "stop")


def test_mistakes_in_a_workflow_show_their_location(root: BareRoot) -> None:
    (root.folder / "tmp" / "w.ncl").write_text(WORKFLOW.replace('"second"]', '"x"]'))
    said = root("workflow", "validate", "/tmp/w.ncl", code=50).err
    assert "/tmp/w.ncl:11" in said


def test_home_of_the_account_is_used_without_home_variable(root: BareRoot) -> None:
    del root.environ["HOME"]
    assert "set XDG_CACHE_HOME" in root("--version", code=32).err
    (root.folder / "etc").mkdir()
    account = f"me:x:{os.geteuid()}:0::/home:/bin/sh\n"
    (root.folder / "etc" / "passwd").write_text(f"other:x:4321:0::/tmp:\n{account}")
    assert root("--version").out == f"provctl {__version__}\n"
    assert (root.folder / "home" / ".cache" / "provctl" / "program").is_dir()


def test_single_file_starts_itself_by_its_own_path(single: Provctl) -> None:
    unit = single("scheduler", "install", "--print").out
    assert f'ExecStart="{single.program}" "scheduler" "serve"\n' in unit
    tells = ["sh", "-c", 'echo "$PROVCTL_PROGRAM"; "$PROVCTL_PROGRAM" version']
    run = single.submit(single.file({"a": {"command": tells}}))
    single("wait", run)
    told = single("logs", run).out
    assert single.program in told
    assert f"provctl {__version__}" in told
    (before,) = single.schedulers()
    single("scheduler", "restart")
    (after,) = single.schedulers()
    assert after != before
    words = Path(f"/proc/{after}/cmdline").read_text().split("\0")
    assert f"provctl={single.program}" in words


def test_scheduler_locks_its_unpacked_tree_and_tasks_do_not(single: Provctl) -> None:
    cache = Path(single.environ["HOME"]) / ".cache"
    run = single.submit(single.endless())
    single.until_ready(run)
    tree = SingleFile(Path(single.program), cache).tree
    assert is_in_use(tree)
    single.kill_scheduler()
    single.until(lambda: not is_in_use(tree), "nobody uses it")
    shutil.rmtree(str(tree))
    single("scheduler", "start")
    assert is_in_use(tree)
    single("cancel", run)
    single("wait", run, code=11)
    assert single.task(run, "a")["attempts"] == 1


def test_python_variables_of_the_environment_are_ignored(
    single: Provctl, tmp_path: Path
) -> None:
    (tmp_path / "provctl.py").write_text("raise SystemExit(3)")
    (tmp_path / "libz.so.1").write_text("no library")
    run = single.submit(
        single.file({"a": {"command": ["env"]}}),
        env={
            "LD_LIBRARY_PATH": str(tmp_path),
            "PYTHONHOME": "/nowhere",
            "PYTHONPATH": str(tmp_path),
            "PYTHONVERBOSE": "1",
        },
        cwd=tmp_path,
    )
    single("wait", run)
    told = single("logs", run).out
    assert "PROVCTL_RUN" in told
    assert not re.search("PYTHON|LD_|_MEI", told)


def test_bash_completes_the_single_file(single: Provctl) -> None:
    script = """
        eval "$(provctl completion bash)"
        spec=$(complete -p provctl) && name=${spec#*-F } && name=${name%% *}
        COMP_WORDS=(provctl workflow sub) COMP_CWORD=2 COMP_LINE="provctl workflow sub"
        COMP_POINT=${#COMP_LINE}
        "$name" provctl sub workflow
        echo "${COMPREPLY[@]}"
    """
    programs = Path(single.program).parent
    done = subprocess.run(
        ["bash", "-c", script],
        env={**single.environ, "PATH": f"{programs}:{single.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "submit", done


def test_link_to_the_single_file_is_the_orchestrator(
    single: Provctl, tmp_path: Path
) -> None:
    link = tmp_path / "provisioning-orchestrator"
    link.symlink_to(single.program)
    done = subprocess.run(
        [str(link), "--help"], env=single.environ, text=True, capture_output=True
    )
    assert "Usage: provisioning-orchestrator" in done.stdout
