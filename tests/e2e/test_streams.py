"""Standard streams that are files, closed, full, or pipes without a reader."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, Dict

import pytest

from tests.support.installed import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Done, Provctl

OK = {"a": {"command": ["true"]}}
BAD = {"a": {"command": ["false"]}}


def redirected(
    provctl: Provctl, how: str, *args: object, code: int = 0, **options: Any
) -> Done:
    """Run a command with a redirection of the shell."""
    under = ["sh", "-c", f'exec "$0" "$@" {how}']
    return provctl(*args, code=code, under=under, **options)


def check_each_had_an_owner(provctl: Provctl) -> None:
    provctl("wait", *provctl.runs(), code=None)
    assert {run["status"] for run in provctl("ps", "-o", "json").json()} == {"finished"}


# -- a result between two others ------------------------------------------------------


@pytest.fixture
def numbers(provctl: Provctl) -> Provctl:
    module = provctl.folder / "library" / "nums" / "show.nu"
    module.parent.mkdir(parents=True)
    module.write_text('export def main [] { print "talk"; {name: "n43"} }\n')
    provctl.environ["PROVCTL_NUSHELL_PROVISIONING_LIB"] = str(module.parents[1])
    return provctl


RESULTS = {"json": '{\n  "name": "n43"\n}', "jsonl": '{"name":"n43"}', "name": "n43"}


@pytest.mark.parametrize("to", [">", ">>", "| cat >"])
def test_result_is_written_at_the_current_position_of_stdout(
    numbers: Provctl, to: str
) -> None:
    file = numbers.folder / "out"
    for form, result in RESULTS.items():
        file.write_text("first\n" if to == ">>" else "")
        script = f'(echo before; "$0" "$@"; echo after) {to} {file}'
        numbers("num", "show", "-o", form, under=["sh", "-c", script])
        written = f"before\n{result}\nafter\n"
        assert file.read_text() == ("first\n" if to == ">>" else "") + written


def test_unwritable_result_is_an_error(numbers: Provctl) -> None:
    said = redirected(numbers, ">/dev/full", "num", "show", "-o", "json", code=1).err
    assert "error: output: No space left on device" in said
    assert redirected(numbers, ">&-", "num", "show", "-o", "json").out == ""


def test_output_file_that_names_stdout_continues_at_its_position(
    provctl: Provctl,
) -> None:
    (provctl.folder / "a").symlink_to("/dev/stdout")
    file, template = provctl.folder / "out", provctl.text("t.j2", "made\n")
    script = f'(echo before; "$0" "$@"; echo after) >{file}'
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "a"):
        args = ("template", "render", str(template), "-O", name)
        provctl(*args, under=["sh", "-c", script])
        assert file.read_text() == "before\nmade\nafter\n", name


def test_no_code_opens_a_standard_stream_by_its_path() -> None:
    names = ("/dev/stdout", "/dev/stderr", "/dev/tty")
    found = [
        f"{path}: {line.strip()}"
        for kind in ("py", "nu")
        for path in [
            *ROOT.glob(f"provctl/**/*.{kind}"),
            *ROOT.glob(f"examples/**/*.{kind}"),
        ]
        for line in path.read_text(encoding="utf-8").splitlines()
        if any(f'"{name}' in line or f" {name}" in line for name in names)
        # No stream: the terminal itself, asked where its cursor is.
        and path != ROOT / "provctl/render/live/terminal_input.py"
        and "such as /dev/stdout" not in line
        and "/dev/stdout and its like" not in line
    ]
    assert found == []


# -- closed ---------------------------------------------------------------------------

VERBS: Dict[str, Any] = {
    "run": (lambda p: ("run", p.file(OK)), 0),
    "run that fails": (lambda p: ("run", p.file(BAD, "bad")), 10),
    "run for data": (lambda p: ("run", p.file(OK), "-o", "json"), 0),
    "submit": (lambda p: ("submit", p.file(OK), "--wait"), 0),
    "wait": (lambda p: ("wait", p.submit(p.file(BAD))), 10),
    "monitor": (lambda p: ("workflow", "monitor", p.submit(p.file(OK))), 0),
    "list": (lambda p: ("ps", "-o", "json"), 0),
    "retry": (lambda p: ("retry", "@last:bad", "-w"), 10),
    "schedule": (
        lambda p: ("schedule", "add", p.file(OK), "--cron", "@daily", "--name", "s"),
        0,
    ),
    "mistake": (lambda p: ("status", "nosuch"), 40),
}


@pytest.mark.parametrize("how", ["0<&-", ">&-", "2>&-", "0<&- >&- 2>&-"])
def test_closed_stream_changes_no_result(provctl: Provctl, how: str) -> None:
    for args, code in VERBS.values():
        redirected(provctl, how, *args(provctl), code=code)
    check_each_had_an_owner(provctl)
    provctl("journal", "verify")  # nothing was printed into one


@pytest.mark.parametrize("opened", [True, False])
def test_next_opened_file_gets_no_standard_descriptor(
    tmp_path: Path, opened: bool
) -> None:
    # The control: without the null device it is one.
    first = (
        "from provctl.base.stdio import open_missing; open_missing()" if opened else ""
    )
    script = f"import os\n{first}\nfd = os.open('file', os.O_WRONLY | os.O_CREAT)\n"
    script += "os.write(fd, str(fd).encode())"
    words = ["sh", "-c", 'exec "$0" "$@" 0<&- >&- 2>&-', sys.executable, "-c", script]
    subprocess.run(words, check=True, cwd=str(tmp_path), env={"PYTHONPATH": str(ROOT)})
    assert (int((tmp_path / "file").read_text()) > 2) is opened


# -- full, and gone -------------------------------------------------------------------


def test_lost_output_is_an_error(provctl: Provctl) -> None:
    good, bad = provctl.file(OK), provctl.file(BAD)
    lost = "error: output: No space left on device"
    for flags in ((), ("-q",), ("-o", "json")):
        done = redirected(provctl, ">/dev/full", "run", good, *flags, code=1)
        assert lost in done.err, flags
    redirected(provctl, ">/dev/full", "run", bad, code=10)
    redirected(provctl, ">/dev/full", "run", bad, "-o", "json", code=10)
    assert lost in redirected(provctl, ">/dev/full", "submit", good, code=1).err
    assert lost in redirected(provctl, ">/dev/full", "ps", code=1).err
    add = ("schedule", "add", good, "--cron", "@daily", "--name", "s")
    assert lost in redirected(provctl, ">/dev/full", *add, code=1).err
    assert provctl("schedule", "list", "-o", "name").out == "s\n"
    provctl("schedule", "rm", "s", "--yes")
    check_each_had_an_owner(provctl)


@pytest.mark.parametrize("how", ["2>/dev/full", "2>&-"])
def test_lost_messages_change_no_result(provctl: Provctl, how: str) -> None:
    good, bad = provctl.file(OK), provctl.file(BAD)
    redirected(provctl, how, "run", good, "-v")
    redirected(provctl, how, "run", bad, "-o", "json", code=10)
    run = redirected(provctl, how, "submit", bad, "-v").last_word
    redirected(provctl, how, "wait", run, "-vv", code=10)
    redirected(provctl, how, "retry", run, "--wait", code=10)
    redirected(provctl, how, "cancel", run, code=41)
    redirected(provctl, how, "workflow", "rm", run, "--yes")
    redirected(provctl, how, "status", run, code=40)


def test_exit_code_reports_a_closed_output_pipe(provctl: Provctl) -> None:
    file = provctl.file(OK)
    for args in (("help",), ("config", "show"), ("submit", file), ("run", file)):
        with provctl.start(*args) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.wait(timeout=60) == 141, args
    check_each_had_an_owner(provctl)
