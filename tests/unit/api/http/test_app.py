"""The app without a socket: its security checks and its error responses."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Dict, List, Mapping, Optional, Tuple

import pytest

from provctl import errors
from provctl.api.http.app import make_app
from provctl.api.http.backend import LibraryCall, ListQuery, Stats, Submission

_TOKEN = "a" * 64
_HOST = b"127.0.0.1:9090"


class _Service:
    """Records its calls, and fails if the test says so."""

    def __init__(self, problem: Optional[Exception] = None) -> None:
        self.asked: List[Any] = []
        self._problem = problem

    def _note(self, what: Any) -> None:
        self.asked.append(what)
        if self._problem is not None:
            raise self._problem

    async def tasks(self, page: ListQuery) -> bytes:
        self._note(page)
        return b"[]"

    async def submit(self, submission: Submission) -> str:
        self._note(submission)
        return "bcdfghjkmn"

    async def call(self, call: LibraryCall) -> str:
        self._note(call)
        return "bcdfghjkmn"

    async def control(self, request: Any) -> None:
        self._note(request)

    def figures(self) -> Stats:
        return Stats({"running": 2}, {}, 1, 10, {"p": (1, 2)}, {}, {"failed": 3}, 4, {})


def ask(
    service: Any,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    door: str = "unix",
    headers: Tuple[Tuple[bytes, bytes], ...] = (),
) -> Tuple[int, Dict[str, Any]]:
    """Return the status and the body of a response."""
    bare, _, query = path.partition("?")
    kind = ((b"content-type", b"application/json"),) if method == "POST" else ()
    named = {name for name, _ in headers}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": bare,
        "raw_path": bare.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "scheme": "http",
        "headers": [*headers, *(pair for pair in kind if pair[0] not in named)],
        "state": {"door": door},
    }
    sent: List[Mapping[str, Any]] = []
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    app = make_app(service, token=_TOKEN, hosts={"tcp": frozenset([_HOST])})
    asyncio.run(app(scope, receive, send))
    whole = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(whole)


_HOSTED = (b"host", _HOST)
_BEARER = (b"authorization", b"Bearer " + _TOKEN.encode())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 421),
        ((_HOSTED, _HOSTED, _BEARER), 421),
        (((b"host", b"evil:9090"), _BEARER), 421),
        ((_HOSTED,), 401),
        ((_HOSTED, _BEARER, _BEARER), 401),
        ((_HOSTED, _BEARER, (b"origin", b"null")), 403),
        ((_HOSTED, _BEARER), 200),
    ],
)
def test_tcp_request_needs_the_right_host_and_token(headers: Any, status: int) -> None:
    service = _Service()
    assert ask(service, "GET", "/tasks", door="tcp", headers=headers)[0] == status
    assert len(service.asked) == (status == 200)


def test_health_needs_the_host_but_no_token() -> None:
    told = ask(_Service(), "GET", "/health", door="tcp", headers=(_HOSTED,))
    assert told[0] == 200
    assert told[1]["status"] == "healthy"
    assert ask(_Service(), "GET", "/health", door="tcp")[0] == 421


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (errors.UsageError("no"), 400),
        (errors.NotFound("no"), 404),
        (errors.RequestRejected("no", hint="wait"), 409),
        (errors.DuplicateKey("no"), 409),
        (errors.JournalDamaged("no"), 409),
        (errors.MissingTool("no"), 424),
        (errors.SchedulerUnreachable("no"), 503),
        (errors.StateDirError("no"), 507),
    ],
)
def test_error_has_its_http_status_and_its_exit_code(
    problem: errors.ProvctlError, status: int
) -> None:
    told = ask(_Service(problem), "POST", "/workflows/submit", b"{}")
    body = {
        "success": False,
        "error": "no",
        "hint": problem.hint,
        "code": problem.exit_code,
    }
    assert told == (status, body)


def test_mistakes_of_a_workflow_have_their_location() -> None:
    mistake = errors.Diagnostic("wrong", "body", 3, 7, "  x", 1, "do so")
    problem = errors.InvalidWorkflow([mistake])
    status, told = ask(_Service(problem), "POST", "/workflows/submit", b"{}")
    assert (status, told["code"]) == (422, 50)
    (shown,) = told["mistakes"]
    assert (shown["line"], shown["column"], shown["hint"]) == (3, 7, "do so")


def test_body_and_key_are_passed_on_unchanged() -> None:
    service = _Service()
    key = ((b"idempotency-key", b"k1"),)
    ask(service, "POST", "/workflows/submit", b'{"a": 1}', headers=key)
    assert service.asked == [Submission(b'{"a": 1}', "k1")]
    service = _Service()
    ask(service, "POST", "/workflows/servers/create", b'{"infra": "w"}')
    assert service.asked == [LibraryCall("servers", "create", {"infra": "w"})]
    service = _Service()
    ask(service, "GET", "/tasks?status=Failed&limit=3&offset=2")
    assert service.asked == [ListQuery(limit=3, offset=2, status="Failed")]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("/tasks?limit=x", 422), ("/workflows/%41B", 404)],
)
def test_every_error_response_has_the_envelope(path: str, status: int) -> None:
    told = ask(_Service(), "GET", path)
    assert told[0] == status
    assert told[1]["success"] is False


def test_bodies_are_limited_and_strictly_parsed() -> None:
    service = _Service()
    path = "/workflows/bcdfghjkmn/cancel"
    for body in (b"{", b'{"reason": "a", "reason": "b"}', b'{"reason": NaN}'):
        assert ask(service, "POST", path, body)[0] == 400
    assert ask(service, "POST", path, b" " * ((1 << 20) + 1))[0] == 413
    told = ask(service, "POST", path, headers=((b"content-length", b"9999999"),))
    assert told[0] == 413
    kind = ((b"content-type", b"text/plain"),)
    assert ask(service, "POST", path, b"{}", headers=kind)[0] == 415
    assert service.asked == []
    assert ask(service, "POST", path, b"{}")[0] == 200


def test_too_large_response_is_500() -> None:
    class Large(_Service):
        size = (16 << 20) - len(b'{"success":true,"data":}')

        async def tasks(self, page: ListQuery) -> bytes:
            return b'"' + b"x" * (self.size - 2) + b'"'

    service = Large()
    status, told = ask(service, "GET", "/tasks")
    assert (status, told["success"]) == (200, True)
    service.size += 1
    status, told = ask(service, "GET", "/tasks")
    assert (status, told["error"]) == (500, "the answer is larger than 16 MiB")
    assert "limit" in told["hint"]


def test_number_of_large_bodies_at_a_time_is_limited() -> None:
    class Slow(_Service):
        def __init__(self) -> None:
            super().__init__()
            self.go = asyncio.Event()

        async def submit(self, submission: Submission) -> str:
            await self.go.wait()
            return "bcdfghjkmn"

    async def play() -> List[int]:
        service: Any = Slow()
        app = make_app(service, token=None, hosts={})
        large, small = 16 << 20, 64 << 10
        first = [asyncio.ensure_future(_posted(app, large)) for _ in range(4)]
        await asyncio.sleep(0)
        refused = [await _posted(app, size) for size in (large, small + 1)]
        few = asyncio.ensure_future(_posted(app, small))
        service.go.set()
        done = [await each for each in (*first, few)]
        return [*refused, *done, await _posted(app, large)]

    assert asyncio.run(play()) == [503, 503, 202, 202, 202, 202, 202, 202]


async def _posted(app: Any, size: int) -> int:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/workflows/submit",
        "raw_path": b"/workflows/submit",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", str(size).encode()),
        ],
        "state": {"door": "unix"},
    }
    statuses: List[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 0))

    await app(scope, receive, send)
    return statuses[0]
