"""The scheduler's log is limited, and has no errors about closed clients."""

from __future__ import annotations

import multiprocessing
import signal
import socket
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest

from provctl.storage.log_rotation import LOG_MAX, append, older
from tests.support.api import Api, start_api

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_WRITERS = 6
_LINE = "x" * 99 + "\n"


def _rotate_unlocked(log: Path, text: str, barrier: Any) -> None:
    """The control: check, then rename, without a lock."""
    is_large = log.stat().st_size > LOG_MAX
    barrier.wait(60)
    if is_large:
        with suppress(FileNotFoundError):
            log.replace(older(log))
    with log.open("a") as file:
        file.write(text)


def _rotate(log: Path, text: str, barrier: Any) -> None:
    barrier.wait(60)
    append(log, text)


def _older_after(write: Callable[..., None], log: Path, rounds: int) -> int:
    """Let several processes rotate a large log at once; return the older log's size."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(_WRITERS)
    sizes = []
    for _ in range(rounds):
        log.write_text(_LINE * (LOG_MAX // len(_LINE) + 1))
        writers = [
            context.Process(target=write, args=(log, f"{n}\n", barrier))
            for n in range(_WRITERS)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
            assert writer.exitcode == 0
        sizes.append(older(log).stat().st_size)
        said = older(log).read_text() + log.read_text()
        if write is _rotate:
            assert sorted(said.replace(_LINE, "").split()) == list("012345")
    return min(sizes)


def test_parallel_rotations_keep_the_older_log(tmp_path: Path) -> None:
    assert _older_after(_rotate, tmp_path / "log", 50) > LOG_MAX


def test_control_rotation_without_a_lock_loses_the_older_log(tmp_path: Path) -> None:
    assert _older_after(_rotate_unlocked, tmp_path / "log", 5) < LOG_MAX


def test_scheduler_continues_in_a_new_log(provctl: Provctl) -> None:
    provctl("scheduler", "start")
    log = provctl.state / "scheduler" / "log"
    (scheduler,) = provctl.schedulers()
    with log.open("a") as file:
        file.write(_LINE * (LOG_MAX // len(_LINE) + 1))
    before = older(log)
    assert not before.exists()
    run = provctl.submit(provctl.file({"a": {"command": ["true"]}}))
    provctl("wait", run)
    provctl.wait_for_text(log, f"run {run}: succeeded")
    assert " started, version" in before.read_text()
    assert log.stat().st_size < LOG_MAX
    # What the interpreter may yet say goes into the new one.
    for fd in (1, 2):
        assert Path(f"/proc/{scheduler}/fd/{fd}").samefile(log)
    said = provctl("scheduler", "logs", "-n", "1000000").out
    assert " started, version" in said.splitlines()[0]
    assert f"run {run}: succeeded" in said.splitlines()[-1]
    assert len(said.splitlines()) > LOG_MAX // len(_LINE)
    recent = provctl("scheduler", "logs", "-n", "2").out.splitlines()
    assert recent[0] == _LINE.strip()


def test_logs_follow_continues_after_a_rotation(provctl: Provctl) -> None:
    provctl("scheduler", "start")
    log = provctl.state / "scheduler" / "log"
    out = provctl.folder / "followed"
    with out.open("wb") as file:
        follower = provctl.start("scheduler", "logs", "-f", stdout=file)
        provctl.wait_for_text(out, "started")
        with log.open("a") as text:
            text.write(_LINE * (LOG_MAX // len(_LINE) + 1))
        run = provctl.submit(provctl.file({"a": {"command": ["true"]}}))
        provctl.wait_for_text(out, f"run {run}: succeeded")
        follower.send_signal(signal.SIGINT)
        follower.communicate(timeout=60)
    assert out.read_text().count("started, version") == 1


@pytest.mark.parametrize("how", ["close", "reset"])
def test_closed_clients_end_their_streams_without_log_errors(
    provctl: Provctl, how: str
) -> None:
    api = start_api(provctl)
    gone = [_reader(api) for _ in range(32)]
    assert api.get("/events").status == 409  # the control: so many read
    for sock in gone:
        if how == "reset":
            linger = bytes([1, 0, 0, 0, 0, 0, 0, 0])
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        sock.close()
    tasks = {f"t{n}": {"command": ["true"]} for n in range(20)}
    provctl("wait", provctl.submit(provctl.file(tasks)))

    def is_free() -> bool:
        with closing(_reader(api)) as sock:
            return b" 200 " in sock.recv(100)

    provctl.until(is_free, "others can read events")
    lines = (provctl.state / "scheduler" / "log").read_text().splitlines()
    assert [line for line in lines if line[:2] != "20"] == []
    assert len(lines) < 5, lines


def _reader(api: Api) -> socket.socket:
    """Return a connection that reads events, with another request sent after it."""
    sock = api.raw()
    lines = [
        "GET /events HTTP/1.1",
        f"Host: 127.0.0.1:{api.port}",
        f"Authorization: Bearer {api.token}",
    ]
    sock.sendall("\r\n".join([*lines, "\r\n"]).encode())
    sock.recv(1, socket.MSG_PEEK)
    sock.sendall("\r\n".join(["GET /health HTTP/1.1", *lines[1:], "\r\n"]).encode())
    return sock
