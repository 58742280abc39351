"""Catalogue group H, 81 to 86: the amount and the content of what tasks write."""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

import pytest

from provctl.core.engine.requests import AdoptedReport
from provctl.executors.local.attempt_file import shim_pid
from provctl.executors.local.log_reader import LogReader
from tests.support.attempts import Bench, children_of

if TYPE_CHECKING:
    from provctl.executors.protocol import AttemptRef
    from tests.support.installed import Provctl

_MARKER = re.compile(
    rb"\n--- provctl: (\d+) bytes of this log were left out here ---\n"
)
_SECRET = "s3cr3t/Key+value=0815"
_CAP = 100_000


def test_81_endless_log_stays_within_its_limit(bench: Bench) -> None:
    place = bench.launch("yes", "a line of a log", log_max=1_000_000)
    log = place.file("log")
    bench.until(lambda: log.exists() and _MARKER.search(log.read_bytes()), "it is cut")
    shim = _shim(place)
    memory = [_rss_kb(shim)]
    for _ in range(10):
        bench.work(0.15)
        memory.append(_rss_kb(shim))
    bench.stop(place)
    end = bench.end_of(place)
    assert max(memory) - memory[0] < 2048, memory
    assert log.stat().st_size <= 1_000_000
    assert log.stat().st_size > 900_000
    assert end.result.log_dropped_bytes > 1_000_000
    head, tail, dropped = _parts(log)
    assert dropped == end.result.log_dropped_bytes
    assert set(head.split(b"\n")) == set(tail.split(b"\n")[:-1]) == {b"a line of a log"}


def test_81_control_log_without_a_limit_is_complete(bench: Bench) -> None:
    place = bench.shell("head -c 3000000 /dev/zero")
    assert bench.end_of(place).result.log_dropped_bytes == 0
    assert place.file("log").stat().st_size == 3_000_000


@pytest.mark.parametrize("pause", ["", "[ $((i % 4000)) = 0 ] && sleep 0.1;"])
def test_81_every_byte_is_kept_or_counted(bench: Bench, pause: str) -> None:
    script = f"i=0; while [ $i -lt 40000 ]; do {pause} echo line $i; i=$((i+1)); done"
    place = bench.shell(script, log_max=_CAP)
    end = bench.end_of(place)
    head, tail, dropped = _parts(place.file("log"))
    written = sum(len(f"line {i}\n") for i in range(40000))
    assert len(head) + 1 + len(tail) + dropped == written
    assert dropped == end.result.log_dropped_bytes
    first = [int(line.split()[1]) for line in head.splitlines()]
    last = [int(line.split()[1]) for line in tail.splitlines()]
    assert first == list(range(len(first)))
    assert last == list(range(40000 - len(last), 40000))
    assert len(tail) > _CAP * 0.4


def test_81_silent_task_wakes_no_process(bench: Bench) -> None:
    place = bench.shell("echo ready; exec sleep 60", log_max=_CAP)
    bench.until_ready(place)

    def is_quiet() -> bool:
        before = _switches(_shim(place))
        time.sleep(1.0)
        return _switches(_shim(place)) == before

    bench.until(is_quiet, "a second without a wake-up")
    bench.stop(place)
    bench.end_of(place)


def test_81_log_reader_is_told_what_was_left_out(bench: Bench) -> None:
    go = bench.folder / "go-on"
    script = "i=0; say() { while [ $i -lt $1 ]; do echo line $i; i=$((i+1)); done; }"
    script += (
        f"; say 500; echo ready; until [ -e {go} ]; do sleep 0.02; done; say 40000"
    )
    place = bench.shell(script, log_max=_CAP)
    bench.until_ready(place)
    reader = LogReader(place.file("log"))
    seen = b"".join(reader.pieces(last=False))
    assert seen.endswith(b"line 499\nready\n")
    go.touch()
    bench.end_of(place)
    rest = b"".join(reader.pieces(last=True))
    assert rest.startswith(b"line 500\n")
    match = _MARKER.search(rest)
    assert match
    assert rest.endswith(b"line 39999\n")


def test_81_followed_and_missed_bytes_are_the_whole_log(bench: Bench) -> None:
    pause = "[ $((i % 1500)) = 0 ] && sleep 0.05"
    script = f"i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); {pause}; done"
    place = bench.shell(script, log_max=_CAP)
    bench.until(place.file("log").exists, "it has begun")
    reader = LogReader(place.file("log"))
    seen = b""
    while place.task not in bench.reports:
        seen += b"".join(reader.pieces(last=False))
        bench.work(0.01)
    seen += b"".join(reader.pieces(last=True))
    missed = sum(int(number) for number in _MARKER.findall(seen))
    lines = _MARKER.sub(b"\n", seen)
    odd = [line for line in lines.splitlines() if not re.fullmatch(rb"line \d+", line)]
    assert odd == []
    numbers = [int(line.split()[1]) for line in lines.splitlines()]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 39999
    written = sum(len(f"line {i}\n") for i in range(40000))
    assert len(lines) + missed == written


def test_82_endless_line_is_read_in_pieces(provctl: Provctl) -> None:
    script = "head -c 5000000 /dev/zero | tr '\\0' x"
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl("wait", run)
    said = provctl("logs", run, "a").out
    assert said.count("x") == len(provctl("logs", run, "a", "--raw").out) > 0
    assert max(map(len, said.splitlines())) <= 1 << 16
    reader = LogReader(provctl.log(run))
    assert max(map(len, reader.pieces(last=False))) <= 1 << 16


def test_83_invalid_text_is_replaced_on_screen_and_kept_raw(provctl: Provctl) -> None:
    script = r"printf 'a\377b\000c\n'"
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl("wait", run)
    assert provctl("logs", run, "a").out == "a\ufffdbc\n"
    with provctl.start("logs", run, "a", "--raw") as process:
        assert process.communicate(timeout=60)[0] == b"a\xffb\0c\n"


_ESCAPES = {
    "colour": r"\033[31m",
    "title": r"\033]0;pwned\007",
    "clipboard": r"\033]52;c;cHduZWQ=\007",
    "link": r"\033]8;;http://evil\033\\",
    "right to left": r"\342\200\256",
    "C1": r"\302\233" + "2J",
}


@pytest.mark.parametrize("escape", _ESCAPES)
def test_84_terminal_escapes_are_removed(provctl: Provctl, escape: str) -> None:
    script = f"printf 'one {_ESCAPES[escape]}two\\n'"
    run = provctl.submit(provctl.file({"a": {"command": ["sh", "-c", script]}}))
    provctl("wait", run)
    assert provctl("logs", run, "a").out == "one two\n"
    assert provctl("logs", run, "a", "--raw").out != "one two\n"  # the control


def test_85_forged_lines_change_nothing(provctl: Provctl) -> None:
    forged = (
        '{"v":1,"seq":9,"type":"attempt_finished","outcome":"succeeded"}',
        "PROGRESS: 1e999",
        'PROGRESS: {"percent": NaN}',
        "PROGRESS: " + "9" * 5000,
        "--- provctl: 99999 bytes of this log were left out here ---",
    )
    task: Dict[str, Any] = {"command": ["printf", "%s\n", *forged]}
    other = {"command": ["sh", "-c", "exit 3"]}
    run = provctl.submit(provctl.file({"a": task, "b": other}))
    provctl("wait", run, code=10)
    assert provctl.task(run, "a")["outcome"] == "succeeded"
    assert provctl.task(run, "b")["exit_code"] == 3
    assert provctl("logs", run, "a").out.splitlines() == list(forged)
    provctl("workflow", "status", run)


def _leaks() -> Dict[str, str]:
    raw = _SECRET.encode()
    code = base64.b64encode(b"x:" + raw + b":y").decode()
    half = len(_SECRET) // 2
    return {
        "plain": f"echo '{_SECRET}'",
        "base64": f"echo {code}",
        "split over writes": f"printf '{_SECRET[:half]}'; sleep 0.3;"
        f" printf '{_SECRET[half:]}\\n'",
        "without a line end": f"printf '%s' '{_SECRET}'",
        "url": "echo 'http://h/?k=s3cr3t%2FKey%2Bvalue%3D0815'",
    }


@pytest.mark.parametrize("how", _leaks())
def test_86_secret_is_redacted(bench: Bench, how: str) -> None:
    script = f"echo ready; {_leaks()[how]}"
    shown = bench.shell(script)  # the control
    bench.end_of(shown)
    place = bench.shell(script, masked=(_SECRET,))
    bench.end_of(place)
    log, plain = bench.log(place), bench.log(shown)
    assert log != plain
    assert len(log) == len(plain)
    assert log.count("*") >= len(_SECRET)
    assert not any(_SECRET[i : i + 4] in log for i in range(len(_SECRET) - 4))


def test_86_secret_is_redacted_while_the_task_runs(bench: Bench) -> None:
    place = bench.shell(f"echo {_SECRET}; exec sleep 60", masked=(_SECRET,))
    bench.until(lambda: "****" in bench.log(place), "it is covered")
    bench.stop(place)
    bench.end_of(place)


def test_86_secret_is_redacted_next_to_bytes_left_out(bench: Bench) -> None:
    script = f"i=0; while [ $i -lt 20000 ]; do echo {_SECRET} $i; i=$((i+1)); done"
    place = bench.shell(script, log_max=_CAP, masked=(_SECRET,))
    assert bench.end_of(place).result.log_dropped_bytes > _CAP
    log = bench.log(place)
    assert _SECRET[:6] not in log
    assert _SECRET[-6:] not in log
    assert log.endswith(" 19999\n")


def test_86_secret_is_redacted_in_the_output_of_a_task(bench: Bench) -> None:
    place = bench.order().place
    out = place.folder / f"{place.index + 1}.1.out"
    script = f'printf \'{{"key": "{_SECRET}", "n": 7}}\' > {out}'
    made = bench.shell(script, output_max=1000, masked=(_SECRET,))
    assert bench.end_of(made).output == {"key": "*" * len(_SECRET), "n": 7}
    assert _SECRET not in made.file("go").read_text()


def test_86_adopted_attempt_still_redacts_secrets(bench: Bench) -> None:
    go = bench.folder / "go-on"
    place = bench.shell(
        f"echo ready; until [ -e {go} ]; do sleep 0.02; done; echo {_SECRET}",
        masked=(_SECRET,),
        log_max=_CAP,
    )
    bench.until_ready(place)
    bench.change_owner()
    assert isinstance(bench.recover(place), AdoptedReport)
    go.touch()
    bench.end_of(place)
    assert bench.log(place) == f"ready\n{'*' * len(_SECRET)}\n"


_BASE32 = base64.b32encode(_SECRET.encode()).decode()


@pytest.mark.parametrize(
    "miss", [_SECRET[::-1], _SECRET.upper(), " ".join(_SECRET), _BASE32]
)
def test_86_known_limits_of_redaction(bench: Bench, miss: str) -> None:
    place = bench.launch("echo", miss, masked=(_SECRET,))
    bench.end_of(place)
    assert bench.log(place) == miss + "\n"


def _parts(log: Path) -> Any:
    raw = log.read_bytes()
    head, dropped, tail = _MARKER.split(raw)
    return head, tail, int(dropped)


def _shim(place: AttemptRef) -> int:
    pid = shim_pid(place)
    assert pid is not None
    assert children_of(pid)
    return pid


def _status(pid: int) -> Dict[str, str]:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return dict(line.split(":\t", 1) for line in text.splitlines())


def _rss_kb(pid: int) -> int:
    return int(_status(pid)["VmRSS"].split()[0])


def _switches(pid: int) -> str:
    return _status(pid)["voluntary_ctxt_switches"]
