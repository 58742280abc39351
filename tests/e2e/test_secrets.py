"""Secrets reach only their task: no file, no argument list, no log."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

import pytest

from tests.support.attempts import command_of
from tests.support.secret_sources import SOURCES, age_key

if TYPE_CHECKING:
    from tests.support.installed import Provctl

VALUE = "correct-horse-battery-staple"
FORMS = [VALUE.encode(), base64.b64encode(VALUE.encode())]
ENVIRON = {"MY_TOKEN": VALUE}


def telling(provctl: Provctl, reference: Any, kind: str = "command") -> Path:
    """A task that passes its secret to its destination, and also prints it.

    It runs until there is a file `go`.
    """
    folder = provctl.folder
    shell = (
        f'printf %s "$TOKEN" > {folder}/received; echo "it is $TOKEN.";'
        f' printf %s "$TOKEN" | base64; echo "$TOKEN" >&2; echo ready;'
        f" until [ -e {folder}/go ]; do sleep 0.02; done"
    )
    nu = (
        f"$env.TOKEN | save --raw '{folder}/received'; print $'it is ($env.TOKEN).';"
        f" print ($env.TOKEN | encode base64); print ready;"
        f" loop {{ if ('{folder}/go' | path exists) {{ break }}; sleep 20ms }};"
        " { token: $env.TOKEN }"
    )
    works: Dict[str, Any] = {"command": ["sh", "-c", shell], "script": nu}
    task = {kind: works[kind], "secrets": {"TOKEN": reference}}
    return provctl.file({"a": task})


def on_disk(folder: Path) -> List[str]:
    """The files below a folder that contain the secret, in any form."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if any(f in content(path) for f in FORMS)]


def content(path: Path) -> bytes:
    """The content of a file; nothing if it is gone, as a marker may be."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def in_arguments(provctl: Provctl) -> List[int]:
    """The processes whose argument list contains the secret."""
    pids = provctl.processes()
    return [pid for pid in pids if any(VALUE in word for word in command_of(pid))]


def check_hidden(provctl: Provctl, run: str) -> None:
    """Check that only the task gets the secret, while it runs and afterwards."""
    provctl.until_ready(run)
    assert (provctl.folder / "received").read_text() == VALUE
    assert in_arguments(provctl) == []
    provctl.until(lambda: not on_disk(provctl.state), "it is covered")
    (provctl.folder / "go").touch()
    provctl("wait", run)
    assert on_disk(provctl.state) == []
    for log in (provctl("logs", run, "a"), provctl("logs", run, "a", "--raw")):
        assert f"it is {'*' * len(VALUE)}." in log.out
        assert VALUE not in log.out
    assert VALUE not in provctl("workflow", "outputs", run).out


@pytest.mark.parametrize("kind", ["command", "script"])
def test_background_task_gets_a_secret_from_the_environment(
    provctl: Provctl, kind: str
) -> None:
    provctl("scheduler", "start", env=ENVIRON)
    run = provctl.submit(telling(provctl, "env:MY_TOKEN", kind))
    check_hidden(provctl, run)


@pytest.mark.parametrize("kind", ["command", "script"])
def test_background_task_gets_a_secret_from_a_file(provctl: Provctl, kind: str) -> None:
    file = provctl.text("token", f"{VALUE}\n")
    file.chmod(0o600)
    run = provctl.submit(telling(provctl, f"file:{file}", kind))
    check_hidden(provctl, run)


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("background", [True, False], ids=["submit", "run"])
def test_from_a_program(provctl: Provctl, kind: str, *, background: bool) -> None:
    reference, env = SOURCES[kind](provctl, VALUE)
    file = telling(provctl, reference)
    if background:
        provctl("scheduler", "start", env=env)
        check_hidden(provctl, provctl.submit(file))
        return
    with provctl.start("run", file, env=env) as process:
        provctl.until(provctl.runs, "it is on the disk")
        check_hidden(provctl, provctl.runs()[0])
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert VALUE.encode() not in out + err


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("sops", r"exit code \d+: .*no master key was able to decrypt"),
        ("age", "exit code 1: age: error: no identity matched any of the recipients"),
        ("keyring", "the keyring has no such password; store it"),
    ],
)
def test_a_program_without_the_value_says_why(
    provctl: Provctl, kind: str, words: str
) -> None:
    reference, env = SOURCES[kind](provctl, VALUE)
    if kind == "keyring":
        reference = reference.replace("deploy", "another")
    else:
        env["SOPS_AGE_KEY_FILE"] = str(age_key(provctl, "another"))
    out = provctl("run", telling(provctl, reference), env=env, code=10).out
    assert re.search(f"secret TOKEN: {re.escape(reference)}: {words}", out), out
    assert VALUE not in out
    assert not (provctl.folder / "received").exists()


def test_the_identity_of_age_can_be_a_setting(provctl: Provctl) -> None:
    reference, env = SOURCES["age"](provctl, VALUE)
    (provctl.folder / "go").touch()
    setting = {"PROVCTL_SECRETS_AGE_IDENTITY": env.pop("SOPS_AGE_KEY_FILE")}
    file = telling(provctl, reference)
    assert "no identity file is known" in provctl("run", file, env=env, code=10).out
    provctl("run", file, env={**env, **setting})
    assert (provctl.folder / "received").read_text() == VALUE


def test_while_a_lookup_waits_the_owner_answers(provctl: Provctl) -> None:
    """Other tasks run, it tells its status, and a cancel ends the lookup."""
    lookup = f"echo $$ > {provctl.folder}/asked; exec sleep 600"
    tasks = {
        "a": {"command": ["true"], "secrets": {"A": {"cmd": ["sh", "-c", lookup]}}},
        "b": {"command": ["true"]},
        "c": {"command": ["true"], "needs": ["b"]},
    }
    run = provctl.submit(provctl.file(tasks))
    asked = int(provctl.wait_for_text(provctl.folder / "asked", "\n"))
    provctl.until(lambda: provctl.task(run, "c")["outcome"] == "succeeded", "c ran")
    task = provctl.task(run, "a")
    assert (task["status"], task["attempts"], task["started_at"]) == ("ready", 0, None)
    assert command_of(asked) == ["sleep", "600"]
    provctl("cancel", run)
    provctl("wait", run, code=11)
    assert provctl.task(run, "a")["outcome"] == "cancelled"
    provctl.until(lambda: not command_of(asked), "the program is gone")
    started = [
        r["task"] for r in provctl.journal(run) if r["type"] == "attempt_started"
    ]
    assert sorted(started) == ["b", "c"]


@pytest.mark.parametrize("reference", ["env:MY_TOKEN", "file:{folder}/token"])
def test_foreground_task_gets_a_secret(provctl: Provctl, reference: str) -> None:
    provctl.text("token", f"{VALUE}\n")
    file = telling(provctl, reference.format(folder=provctl.folder))
    with provctl.start("run", file, env=ENVIRON) as process:
        provctl.until(provctl.runs, "it is on the disk")
        check_hidden(provctl, provctl.runs()[0])
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert VALUE.encode() not in out + err


def test_control_ordinary_value_is_found_on_disk(provctl: Provctl) -> None:
    shell = "echo $TOKEN; echo ready"
    task = {"command": ["sh", "-c", shell], "env": {"TOKEN": VALUE}}
    run = provctl.submit(provctl.file({"a": task}))
    provctl("wait", run)
    names = [Path(path).name for path in on_disk(provctl.state)]
    assert {"workflow.json", "0.1.log"} <= set(names)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (
            "env:NOT_THERE",
            "secret TOKEN: the environment variable NOT_THERE is not set in the process that owns the run; the scheduler owns submitted runs: set it there, then restart the scheduler",
        ),
        (
            "file:/not/there",
            "secret TOKEN: /not/there: No such file or directory;"
            " the file must be readable by the owner of the run",
        ),
    ],
)
def test_missing_secret_fails_the_task_with_a_hint(
    provctl: Provctl, reference: str, words: str
) -> None:
    file = telling(provctl, reference)
    out = provctl("run", file, code=10).out
    assert words in out
    run = provctl.submit(file)
    provctl("wait", run, code=10)
    task = provctl.task(run, "a")
    assert task["reason"] == words
    assert (task["attempts"], task["started_at"]) == (0, None)
    kinds = [record["type"] for record in provctl.journal(run)]
    assert kinds == ["run_submitted", "owner_took", "task_failed", "run_finished"]
    assert f"failed before it started: {words}" in provctl("explain", run).out
    assert not (provctl.folder / "received").exists()


def test_retry_finds_a_secret_that_was_set_later(provctl: Provctl) -> None:
    (provctl.folder / "go").touch()
    run = provctl.submit(telling(provctl, "env:MY_TOKEN"))
    provctl("wait", run, code=10)
    provctl("scheduler", "restart", env=ENVIRON)
    provctl("retry", run, "-w")
    assert (provctl.folder / "received").read_text() == VALUE
