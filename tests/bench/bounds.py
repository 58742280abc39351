"""Benchmarks of limits: the peak memory of a scheduler and of a check.

    .venv/bin/python -m tests.bench.bounds              all of them
    .venv/bin/python -m tests.bench.bounds readers      some

The exit code is 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple

from tests.bench.measure import clean_environment
from tests.support.api import Api, start_api
from tests.support.installed import PROGRAM, Provctl

__all__ = ["main"]

_ADDRESS_SPACE = 2_000_000 << 10  # bytes: ulimit -v 2000000
_READERS = 40
_REQUESTS = 20_000
_RUNS = 1_200
_TRUE: Dict[str, Any] = {"command": ["true"]}


class _Finding(NamedTuple):
    what: str
    value: float
    unit: str
    bar: float

    @property
    def missed(self) -> bool:
        return self.value > self.bar

    def __str__(self) -> str:
        verdict = "MISSED" if self.missed else "ok"
        return f"{self.what:<58} {self.value:>8.1f} {self.unit:<3} {self.bar:>6g} {verdict}"


def bench_readers(provctl: Provctl) -> Iterator[_Finding]:
    """The maximum number of event readers, and more, for a run of 1,000 tasks."""
    api = start_api(provctl)
    with ExitStack() as stack:
        streams = [stack.enter_context(closing(api.raw())) for _ in range(_READERS)]
        for sock in streams:
            sock.sendall(_request(api, "/events"))
            sock.recv(1 << 16)
        threads = [
            threading.Thread(target=_drain, args=(sock,), daemon=True)
            for sock in streams[: _READERS // 2]  # the others take nothing
        ]
        for thread in threads:
            thread.start()
        run = provctl.submit(provctl.file({f"t{n}": _TRUE for n in range(1_000)}))
        provctl("wait", run, within_s=600)
        yield _Finding(
            f"scheduler, {_READERS} readers of events", _peak(provctl), "MB", 130
        )


def bench_requests(provctl: Provctl) -> Iterator[_Finding]:
    """Requests that are sent without waiting for a response."""
    api = start_api(provctl)
    with closing(api.raw(timeout_s=600)) as sock:
        reader = threading.Thread(target=_count_answers, args=(sock,))
        reader.start()
        sock.sendall(_request(api, "/health") * _REQUESTS)
        reader.join()
    what = f"scheduler, {_REQUESTS:,} requests sent at once"
    yield _Finding(what, _peak(provctl), "MB", 80)


def bench_runs(provctl: Provctl) -> Iterator[_Finding]:
    """Many runs that are queued at the same time."""
    file = provctl.file({f"t{n}": _TRUE for n in range(3)})
    provctl("batch", "submit", *[file] * _RUNS, within_s=900)
    provctl("wait", "@last", code=None, within_s=900)
    yield _Finding(
        f"scheduler, {_RUNS:,} runs queued at once", _peak(provctl), "MB", 160
    )


def bench_submissions(provctl: Provctl) -> Iterator[_Finding]:
    """Submissions with the maximum number of mistakes, with little memory."""
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    api = start_api(provctl)
    for size, told in ((47_000, "47 kB"), (9_900_000, "9.9 MB"), (16_000_000, "16 MB")):
        begun = time.monotonic()
        answer = api.post("/workflows/submit", _unknown_names(size))
        took = time.monotonic() - begun
        assert answer.status == 422, (answer.status, answer.body[:500])
        yield _Finding(f"answer to {told} of mistakes", len(answer.body) / 1e6, "MB", 1)
        yield _Finding("  its time", took, "s", 180)
        yield _Finding("  scheduler", _peak(provctl), "MB", 200)
    wish = {"cron": "@daily", "workflow": _unknown_names(900_000)}
    answer = api.ask("PUT", "/schedules/x", wish, {"Content-Type": "application/json"})
    assert answer.status == 422, answer.body[:500]
    yield _Finding("answer to a schedule of mistakes", len(answer.body) / 1e6, "MB", 1)
    yield _Finding("  scheduler", _peak(provctl), "MB", 200)


def bench_validate(provctl: Provctl) -> Iterator[_Finding]:
    """The largest allowed graph: 100,000 tasks with a million dependencies."""
    chance = random.Random(1)
    tasks: Dict[str, Any] = {}
    for n in range(100_000):
        before = range(max(0, n - 1_000), n)
        needs = chance.sample(before, min(10, len(before)))
        tasks[f"t{n}"] = {**_TRUE, "needs": [f"t{m}" for m in needs]}
    file = provctl.file(tasks)
    with subprocess.Popen(
        [str(PROGRAM), "workflow", "validate", str(file)],
        env=provctl.environ,
        stdout=subprocess.DEVNULL,
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
    assert status == 0
    what = "validate 100,000 tasks with a million needs"
    yield _Finding(what, usage.ru_maxrss * 1024 / 1e6, "MB", 600)
    yield _Finding("  its CPU", usage.ru_utime + usage.ru_stime, "s", 30)


def _unknown_names(size: int) -> Dict[str, Any]:
    """Return a workflow of so many bytes in one line, full of mistakes."""
    needs = [f"n{n}" for n in range(size // len('"n123456", ') + 1)]
    return {"tasks": {"a": {**_TRUE, "needs": needs}}}


def _request(api: Api, path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n"
        f"Authorization: Bearer {api.token}\r\n\r\n"
    ).encode()


def _count_answers(sock: Any) -> None:
    found, rest = 0, b""
    while found < _REQUESTS:
        piece = sock.recv(1 << 18)
        assert piece, f"{found} answers"
        rest += piece
        found += rest.count(b"HTTP/1.1 200")
        rest = rest[-11:]


def _drain(sock: Any) -> None:
    with suppress(OSError):
        while sock.recv(1 << 18):
            continue


def _peak(provctl: Provctl) -> float:
    """Return the peak memory of the scheduler in MB."""
    (scheduler,) = provctl.schedulers()
    status = Path(f"/proc/{scheduler}/status").read_text(encoding="ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


_BENCHES: Dict[str, Callable[[Provctl], Iterator[_Finding]]] = {
    "readers": bench_readers,
    "requests": bench_requests,
    "runs": bench_runs,
    "submissions": bench_submissions,
    "validate": bench_validate,
}


def main() -> None:
    """Run the named benchmarks, or all, each with its own scheduler."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*_BENCHES, []], metavar="NAME")
    names: List[str] = parser.parse_args().names or list(_BENCHES)
    if len(names) == 1:
        sys.exit(_measured(names[0]))
    again = [
        sys.executable,
        "-m",
        "tests.bench.bounds",
    ]  # limits of a bench are its own
    sys.exit(sum(subprocess.call([*again, name]) for name in names) > 0)


def _measured(name: str) -> int:
    missed = True
    with tempfile.TemporaryDirectory() as folder:
        provctl = Provctl(Path(folder))
        provctl.environ.update({**clean_environment(os.environ), **provctl.environ})
        try:
            found = []
            for finding in _BENCHES[name](provctl):
                found.append(finding)
                print(finding, flush=True)  # noqa: T201
            missed = any(each.missed for each in found)
        finally:
            with suppress(AssertionError):
                provctl("scheduler", "stop")
    return int(missed)


if __name__ == "__main__":
    main()
