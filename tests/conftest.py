"""Fixtures for all tests: a clean environment, goldens, the command."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Callable, Iterator, List

import pytest
from hypothesis import HealthCheck, settings

from provctl.executors.local.executor import LocalExecutor
from provctl.executors.protocol import MARK
from tests.support.attempts import Bench, processes_with, wait_until
from tests.support.installed import Provctl
from tests.support.single_file import build

# How long an example takes says nothing: machines are busy.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples on every machine and at every run: a failure can be repeated.
settings.register_profile("steady", patient, derandomize=True)
# By hand, `--hypothesis-profile=long`: many more, and others each time.
settings.register_profile("long", patient, max_examples=4000)
settings.load_profile("steady")

GOLDEN = Path(__file__).parent / "golden"
_TERMINAL = {"CI", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TTY_COMPATIBLE"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-goldens",
        action="store_true",
        help="write what is produced into tests/golden, to be read before commit",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the file of that name below tests/golden."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-goldens"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"no {path}: make it with --update-goldens"
        assert text == path.read_text(encoding="utf-8")

    return check


@pytest.fixture(scope="session", autouse=True)
def heard_signals() -> None:
    """Processes started by tests ignore no signal, even if their parent does.

    nohup ignores signals, and so does a shell without jobs for background processes.
    A handler belongs to one process and is reset when another program is executed,
    but an ignored signal is inherited. The tests themselves keep their handlers.
    """
    # These Python ignores itself, and has reset.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests neither use nor change the account that they run in."""
    for name in list(os.environ):
        if name.startswith("PROVCTL_") or name in _TERMINAL:
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("CACHE", "CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))


@pytest.fixture
def provctl(tmp_path: Path) -> Iterator[Provctl]:
    """The installed command with its own account; at the end no process runs."""
    provctl = Provctl(tmp_path)
    try:
        yield provctl
    finally:
        provctl.end()


@pytest.fixture(scope="session")
def single_file() -> Path:
    """The program as one executable, built now."""
    return build()


@pytest.fixture
def bench(local_bench: Bench) -> Bench:
    """The executor that a test is about: of this machine, where nothing else is said."""
    return local_bench


@pytest.fixture
def local_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The executor of this machine; at the end all its processes must be gone."""
    folder = tmp_path / "attempts"
    folder.mkdir()
    monkeypatch.setenv("BENCH", str(folder))
    bench = Bench(LocalExecutor, folder)
    signs = (f"BENCH={folder}", f"{MARK}={bench.run_id}/")

    def left() -> List[int]:
        return [pid for sign in signs for pid in processes_with(sign)]

    try:
        yield bench
        bench.close()
        wait_until(lambda: not left(), "no process is left", within_s=30)
    finally:
        for pid in left():
            os.kill(pid, signal.SIGKILL)
