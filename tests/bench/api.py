"""Benchmarks of the API: a real scheduler over TCP, called by another process.

    .venv/bin/python -m tests.bench.api                 both
    .venv/bin/python -m tests.bench.api tasks --seconds 20
    .venv/bin/python -m tests.bench.api progress --posts 100000

`tasks`: GET /tasks at a steady rate, with 1,000 known tasks and 10 running ones, first
without changes, then with a task that finishes every few milliseconds. The duration of
a request counts from the time at which it was due. `progress`: as many posts as
possible about 10 running tasks. Then the last posts must be in the journal, and at
most 4 per second and task.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List

from tests.support.api import Api, start_api
from tests.support.installed import Provctl

__all__ = ["main"]

_CONNECTIONS = 4
_RUNNING = 10
_KNOWN = 1000


def main() -> None:
    """Run the named benchmarks; exit with 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", choices=["tasks", "progress"])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--posts", type=int, default=100_000)
    asked = parser.parse_args()
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        provctl = Provctl(Path(folder))
        try:
            api = start_api(provctl)
            if asked.what != "progress":
                fine &= _bench_tasks(provctl, api, asked.rate, asked.seconds)
            if asked.what != "tasks":
                fine &= _bench_progress(provctl, api, asked.posts)
        finally:
            provctl.end()
    sys.exit(not fine)


def _submitted(api: Api, commands: Dict[str, str]) -> str:
    tasks = {name: {"command": ["sh", "-c", text]} for name, text in commands.items()}
    return str(api.post("/workflows/submit", {"tasks": tasks}).data)


# -- GET /tasks -----------------------------------------------------------------------


def _bench_tasks(provctl: Provctl, api: Api, rate: int, seconds: float) -> bool:
    known = {f"t{n}": "exit 0" for n in range(_KNOWN - _RUNNING)}
    provctl("wait", _submitted(api, known), within_s=120)
    fine = True
    for name, text in (
        ("10 tasks sleep", "exec sleep 600"),
        ("10 tasks run, one ends every 10 ms", "sleep 0.1"),
    ):
        count = _RUNNING if "600" in text else int(seconds * 200)
        run = _submitted(api, {f"r{n}": text for n in range(count)})
        provctl.until(
            lambda: len(api.get("/tasks?status=Running").data) == 10, "10 run"
        )
        taken = sorted(_asked(api, rate, seconds))
        done = len(taken) / seconds
        p50, p99 = (taken[int(len(taken) * part)] * 1000 for part in (0.5, 0.99))
        fine &= p99 < 20 and done > 0.99 * rate
        print(  # noqa: T201
            f"GET /tasks, {name}: {done:.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms,"
            f" max {taken[-1] * 1000:.1f} ms"
        )
        api.post(f"/workflows/{run}/cancel", {"now": True})
        provctl("wait", run, code=None)
    return fine


def _asked(api: Api, rate: int, seconds: float) -> List[float]:
    """Send requests at a steady rate; return the duration of each in seconds."""
    taken: List[List[float]] = [[] for _ in range(_CONNECTIONS)]
    begin, step = time.perf_counter() + 0.2, _CONNECTIONS / rate

    def ask(number: int) -> None:
        head = (
            f"GET /tasks HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n"
            f"Authorization: Bearer {api.token}\r\n\r\n"
        ).encode()
        with closing(api.raw()) as sock:
            for turn in range(int(seconds / step)):
                due = begin + (turn + number / _CONNECTIONS) * step
                time.sleep(max(0.0, due - time.perf_counter()))
                sock.sendall(head)
                _read_answer(sock)
                taken[number].append(time.perf_counter() - due)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [each for some in taken for each in some]


def _read_answer(sock: Any) -> bytes:
    data = sock.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), data
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(1 << 20)
    return bytes(body)


# -- progress ------------------------------------------------------------------------


def _bench_progress(provctl: Provctl, api: Api, posts: int) -> bool:
    run = _submitted(api, {f"t{n}": "exec sleep 600" for n in range(_RUNNING)})
    provctl.until(lambda: provctl.status(run)["counts"].get("running") == 10, "all run")
    each = posts // _RUNNING
    begin = time.perf_counter()
    threads = [
        threading.Thread(target=_post, args=(api, run, f"t{n}", each))
        for n in range(_RUNNING)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    time.sleep(0.5)  # what waited is written by then
    facts = [f for f in provctl.journal(run) if f["type"] == "progress_reported"]
    last = {fact["task"]: fact.get("message") for fact in facts}
    lost = sum(last.get(f"t{n}") != f"post {each - 1}" for n in range(_RUNNING))
    most = max(sum(fact["task"] == task for fact in facts) for task in last) / seconds
    api.post(f"/workflows/{run}/cancel", {"now": True})
    print(  # noqa: T201
        f"progress: {each * _RUNNING} posts, {each * _RUNNING / seconds:.0f}/s,"
        f" last values lost: {lost}, facts {len(facts)}, {most:.2f} a second of a task"
    )
    return not lost and bool(most <= 4.1)


def _post(api: Api, run: str, task: str, posts: int) -> None:
    with closing(api.raw()) as sock:
        for number in range(posts):
            told = {"progress": number * 100 // posts, "message": f"post {number}"}
            body = json.dumps(told)
            head = (
                f"POST /tasks/{run}/{task}/progress HTTP/1.1\r\n"
                f"Host: 127.0.0.1:{api.port}\r\nAuthorization: Bearer {api.token}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            sock.sendall(head.encode() + body.encode())
            _read_answer(sock)


if __name__ == "__main__":
    main()
