"""Who may not use the API and what it refuses, each with a control that it accepts."""

from __future__ import annotations

import json
import os
import select
import stat
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Tuple

import pytest

from tests.support.api import JSON, Api, start_api

if TYPE_CHECKING:
    import socket

    from tests.support.installed import Provctl

_WORK: Dict[str, Any] = {"tasks": {"a": {"command": ["true"]}}}
_CONNECT = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX)
if sys.argv[2] == "stranger":
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sock.settimeout(50)
sock.connect(sys.argv[1])
try:
    sock.sendall(b"GET /health HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    print(sock.recv(12).decode() or "hung up")
except ConnectionError:
    print("hung up")
"""


@pytest.fixture
def api(provctl: Provctl) -> Api:
    return start_api(provctl)


def test_case_87_another_user_gets_no_response(provctl: Provctl) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    provctl("scheduler", "start")
    place = provctl.state / "scheduler" / "api.sock"
    # As if all modes were wrong: only the kernel's word is left.
    for folder in place.parents:
        folder.chmod(folder.stat().st_mode | 0o011)
    place.chmod(0o666)

    def connect(who: str) -> str:
        command = [sys.executable, "-I", "-c", _CONNECT, str(place), who]
        return subprocess.run(
            command, check=True, stdout=subprocess.PIPE, timeout=60
        ).stdout.decode()

    assert connect("stranger") == "hung up\n"
    assert connect("owner") == "HTTP/1.1 200\n"  # the control: its owner is let in
    place.chmod(0o600)
    with pytest.raises(subprocess.CalledProcessError):
        connect("stranger")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.:{port}", ""]
)
def test_case_88_foreign_host_gets_421(api: Api, host: str) -> None:
    given = host.format(port=api.port)
    assert api.get("/tasks", Host=given).status == 421
    assert api.get("/health", Host=given).status == 421
    for name in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        assert api.get("/tasks", Host=f"{name}:{api.port}").status == 200


def test_case_88_any_origin_gets_403(provctl: Provctl, api: Api) -> None:
    for each in (api, Api(provctl.state)):
        for origin in (f"http://127.0.0.1:{api.port}", "null", "https://evil.example"):
            assert each.get("/health", Origin=origin).status == 403
            assert each.post("/workflows/submit", _WORK, Origin=origin).status == 403
        assert each.get("/health").status == 200
        answer = each.ask("OPTIONS", "/tasks", headers={"Origin": "http://x"})
        assert answer.status == 403
        assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"]
)
def test_case_88_other_content_type_gets_415(
    provctl: Provctl, api: Api, kind: str
) -> None:
    answer = api.post("/workflows/submit", _WORK, **{"Content-Type": kind})
    assert answer.status == 415
    assert provctl.runs() == []
    fine = {"Content-Type": "application/json; charset=UTF-8"}
    assert api.post("/workflows/submit", _WORK, **fine).status == 202


def test_case_89_wrong_token_gets_401(provctl: Provctl, api: Api) -> None:
    token = api.token
    wrong = [
        "",
        token,
        "Bearer",
        "Bearer ",
        f"Basic {token}",
        f"Bearer {token[:-1]}",
        f"Bearer {token}0",
        f"Bearer {token.upper()}",
        f"Bearer {token[:-1]}{'0' if token[-1] != '0' else '1'}",
        f"Bearer {'0' * 64}",
    ]
    for header in wrong:
        for path in ("/tasks", "/metrics", "/openapi.json", "/workflows", "/nothing"):
            answer = api.get(path, Authorization=header)
            assert answer.status == 401, (header, path)
            assert answer.headers["www-authenticate"] == "Bearer"
        posted = api.post("/workflows/submit", _WORK, Authorization=header)
        assert posted.status == 401
    assert provctl.runs() == []
    assert api.get("/tasks", Authorization=f"Bearer {token}").status == 200
    assert api.get("/tasks", Authorization=f"bearer {token}").status == 200
    assert token not in provctl("scheduler", "logs").out


def test_case_90_slow_heads_get_408_and_others_are_served(api: Api) -> None:
    with ExitStack() as held:
        slow = [held.enter_context(closing(api.raw())) for _ in range(10)]
        for sock in slow:
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: ")
        served = 0
        while not select.select(slow, [], [], 0.5)[0]:
            assert api.get("/health").status == 200
            served += 1
            for sock in slow:
                with suppress(ConnectionError):  # it may have its answer by now
                    sock.sendall(b"x")
        assert served > 1
        for sock in slow:
            assert _status_in(sock) == 408


def test_case_90_too_many_connections_get_503(provctl: Provctl, api: Api) -> None:
    with ExitStack() as held:
        for _ in range(64):
            held.enter_context(closing(api.raw()))
        # They are counted when the scheduler has seen them.
        provctl.until(lambda: api.get("/health").status == 503, "one is too many")
        assert "64 connections" in api.get("/health").error
        # By the other address all is as ever.
        assert Api(provctl.state).get("/health").status == 200
    provctl.until(lambda: api.get("/health").status == 200, "there is room again")


def test_case_90_huge_body_gets_413(provctl: Provctl, api: Api) -> None:
    run = api.post("/workflows/submit", _WORK).data
    path = f"/workflows/{run}/cancel"
    body = json.dumps({"reason": "x" * (1 << 20)})
    assert _sent(api, _head(api, path, len(body)) + body.encode()) == 413
    # Not even announced ones are waited for, nor those that never end.
    assert _sent(api, _head(api, path, 1 << 40)) == 413
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert _sent(api, _chunked(api, path) + chunk * 17) == 413
    assert _sent(api, _head(api, "/workflows/submit", (16 << 20) + 1)) == 413
    large = {**_WORK, "description": "x" * (2 << 20)}
    assert api.post("/workflows/submit", large).status in (202, 422)
    small = json.dumps({"reason": "x"})
    assert _sent(api, _head(api, path, len(small)) + small.encode()) in (200, 409)


_ROOM = 250_000_000  # bytes


@pytest.mark.parametrize(
    ("need", "count", "said"),
    [('"no-such-task"', 600_000, "does not exist"), ("{}", 5_000_000, "memory")],
    ids=["mistakes", "more than a check may take"],
)
def test_case_90_large_body_uses_no_memory_of_the_scheduler(
    provctl: Provctl, need: str, count: int, said: str
) -> None:
    limited = ["sh", "-c", 'ulimit -v 2000000; exec "$@"', "sh"]
    provctl("scheduler", "start", under=limited)
    api = Api(provctl.state)
    needs = ",".join([need] * count)
    body = f'{{"tasks": {{"a": {{"command": ["true"], "needs": [{needs}]}}}}}}'
    answer = api.ask("POST", "/workflows/submit", body)
    assert (answer.status, len(answer.body) < 1 << 20) == (422, True)
    assert said in answer.json()["mistakes"][0]["message"]
    (scheduler,) = provctl.schedulers()
    assert _peak(scheduler) < _ROOM
    assert api.post("/workflows/submit", _WORK).status == 202
    # The control: so much is taken by the check of that.
    file = provctl.text("large.json", body)
    check = provctl.start("workflow", "validate", file, stdout=subprocess.DEVNULL)
    provctl.until(
        lambda: check.poll() is not None or _peak(check.pid) > _ROOM,
        "it takes more memory than that",
    )
    assert check.poll() is None
    check.kill()
    check.communicate()


def test_case_90_endless_requests_are_read_as_they_are_answered(
    provctl: Provctl, api: Api
) -> None:
    (scheduler,) = provctl.schedulers()
    for _ in range(100):
        api.get("/health")
    before = _peak(scheduler)
    request = _head(api, "/health", 0).replace(b"POST", b"GET")
    count, answers = 20_000, 0
    with closing(api.raw()) as sock:
        sender = threading.Thread(target=sock.sendall, args=(request * count,))
        sender.start()
        rest = b""
        while answers < count:
            piece = sock.recv(1 << 18)
            assert piece, f"{answers} answers"
            rest += piece
            answers += rest.count(b"HTTP/1.1 200")
            rest = rest[-11:]
        sender.join()
    assert _peak(scheduler) - before < 60_000_000


def _peak(pid: int) -> int:
    """The peak memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = [each for each in status.splitlines() if each.startswith("VmHWM:")]
    return int(found[0].split()[1]) << 10 if found else 0


_BROKEN: Dict[str, Tuple[Callable[[Api], bytes], int]] = {
    "length and chunks": (
        lambda api: (
            _head(api, "/workflows/submit", 2, "Transfer-Encoding: chunked")
            + b"0\r\n\r\n"
        ),
        400,
    ),
    "two lengths": (
        lambda api: _head(api, "/workflows/submit", 2, "Content-Length: 3") + b"{}",
        400,
    ),
    "a bad chunk": (lambda api: _chunked(api, "/workflows/submit") + b"zz\r\n", 400),
    "a NUL in a header": (
        lambda api: _head(api, "/workflows/submit", 2, "X-A: a\0b") + b"{}",
        400,
    ),
    "a megabyte of header": (
        lambda api: _head(api, "/tasks", 2, "X-A: " + "a" * (1 << 20)) + b"{}",
        431,
    ),
    "a header without an end": (
        lambda api: b"GET / HTTP/1.1\r\nX-A: " + b"a" * (1 << 20),
        431,
    ),
    "many headers": (
        lambda api: _head(api, "/tasks", 2, *(f"X-{n}: a" for n in range(101))) + b"{}",
        431,
    ),
    "a long address": (
        lambda api: _head(api, "/" + "a" * 9000, 2) + b"{}",
        414,
    ),
    "an escaped slash": (lambda api: _head(api, "/tasks/a%2Fb", 2) + b"{}", 400),
    "an escaped NUL": (lambda api: _head(api, "/tasks/a%00b", 2) + b"{}", 400),
    "no HTTP": (
        lambda api: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        400,
    ),
}


@pytest.mark.parametrize("name", _BROKEN)
def test_case_91_ambiguous_requests_are_refused(
    provctl: Provctl, api: Api, name: str
) -> None:
    make, status = _BROKEN[name]
    assert _sent(api, make(api)) == status
    assert api.get("/health").status == 200
    assert provctl.runs() == []
    assert "Traceback" not in provctl("scheduler", "logs").out
    body = json.dumps(_WORK).encode()
    assert _sent(api, _head(api, "/workflows/submit", len(body)) + body) == 202


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"reason":' * 100_000,
        '{"reason": "a", "reason": "b"}',
        '{"reason": NaN}',
        '{"reason": 1e999}',
        '{"reason": ' + "9" * 5000 + "}",
        r'{"reason": "\ud800"}',
        b'{"reason": "\xff"}',
        '{"reason": "a"} {}',
        "{",
        "\0",
    ],
)
def test_case_91_ambiguous_json_gets_400(provctl: Provctl, api: Api, body: Any) -> None:
    run = api.post("/workflows/submit", _WORK).data
    provctl("wait", run)
    answer = api.ask("POST", f"/workflows/{run}/cancel", body)
    assert (answer.status, answer.json()["code"]) == (400, 2), answer.body
    submission = api.ask("POST", "/workflows/submit", body)
    assert 400 <= submission.status < 500
    assert provctl.runs() == [run]
    assert "Traceback" not in provctl("scheduler", "logs").out
    fine = api.ask("POST", f"/workflows/{run}/cancel", '{"reason": "a"}')
    assert fine.status == 409  # the control: it is read, and the run has ended


@pytest.mark.parametrize("what", ["link", "world", "group", "empty", "fifo"])
def test_case_92_token_that_others_can_read_is_refused(
    provctl: Provctl, what: str
) -> None:
    place = provctl.state / "scheduler" / "token"
    place.parent.mkdir(parents=True, mode=0o700)
    provctl.state.chmod(0o700)
    text = "0" * 64 + "\n"
    if what == "link":
        real = provctl.text("real", text)
        real.chmod(0o600)
        place.symlink_to(real)
    elif what == "fifo":
        os.mkfifo(str(place), 0o600)
    else:
        place.write_text("" if what == "empty" else text)
        place.chmod({"world": 0o604, "group": 0o640}.get(what, 0o600))
    api = start_api(provctl)
    assert str(place) in provctl("scheduler", "logs").out
    with pytest.raises(ConnectionRefusedError):
        api.raw()
    assert Api(provctl.state).get("/health").status == 200
    place.unlink()  # the control: without it one is made
    provctl("scheduler", "restart")
    assert api.get("/tasks").status == 200
    assert len(api.token) == 64


@pytest.mark.parametrize("what", ["link", "world"])
def test_case_92_folder_that_others_can_write_to_is_refused(
    provctl: Provctl, what: str
) -> None:
    place = provctl.state / "scheduler"
    provctl.state.mkdir(mode=0o700)
    if what == "link":
        real = provctl.folder / "real"
        real.mkdir(mode=0o700)
        place.symlink_to(real)
    else:
        place.mkdir()
        place.chmod(0o777)
    said = provctl("scheduler", "start", code=32).err
    assert str(place) in said
    assert provctl.schedulers() == []
    if what == "link":
        place.unlink()
    else:
        place.chmod(0o700)
    provctl("scheduler", "start")
    assert Api(provctl.state).get("/health").status == 200


@pytest.mark.parametrize("mask", ["000", "077"])
def test_case_92_modes_do_not_depend_on_the_umask(provctl: Provctl, mask: str) -> None:
    subprocess.run(
        [
            "sh",
            "-c",
            f'umask {mask}; exec "$0" scheduler start',
            provctl.program,
        ],
        env=provctl.environ,
        check=True,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
    place = provctl.state / "scheduler"
    for name in ("api.sock", "control.sock", "token"):
        assert stat.S_IMODE((place / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    before = (place / "token").read_text()
    provctl("scheduler", "restart")
    assert (place / "token").read_text() == before


def _head(api: Api, path: str, length: int, *more: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{api.port}",
        f"Authorization: Bearer {api.token}",
        f"Content-Type: {JSON['Content-Type']}",
        f"Content-Length: {length}",
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _chunked(api: Api, path: str) -> bytes:
    head = _head(api, path, 0, "Transfer-Encoding: chunked")
    return head.replace(b"Content-Length: 0\r\n", b"")


def _sent(api: Api, data: bytes) -> int:
    """Send bytes and return the status of the response."""
    with closing(api.raw()) as sock:
        with suppress(ConnectionError):  # it may have its answer already
            sock.sendall(data)
        return _status_in(sock)


def _status_in(sock: socket.socket) -> int:
    head = sock.recv(4096).decode("ascii")
    assert head.startswith("HTTP/1.1 "), head
    return int(head.split()[1])
