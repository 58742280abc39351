"""Errors of libraries are written to the scheduler's log; closed clients are not."""

from __future__ import annotations

import logging
from typing import Iterator, List

import pytest

from provctl.daemon.process import log_library_errors


@pytest.fixture
def heard() -> Iterator[List[str]]:
    lines: List[str] = []
    root = logging.getLogger()
    before = root.handlers
    log_library_errors(lines.append)
    yield lines
    root.handlers = before


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except (KeyError, OSError) as raised:
        return raised


def test_library_errors_are_written_to_the_log(heard: List[str]) -> None:
    bug = _raised(KeyError("gone"))
    logging.getLogger("asyncio").error("Exception in callback", exc_info=bug)
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    first, second = heard
    assert first[:2] == "20"
    assert "Z asyncio: Exception in callback\n    Traceback" in first
    assert "\n    KeyError: 'gone'\n" in first
    assert second.endswith("Z API: Exception in ASGI application\n")


def test_closed_client_is_not_written_to_the_log(heard: List[str]) -> None:
    logging.getLogger("asyncio").warning("socket.send() raised exception.")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    gone = _raised(ConnectionResetError("gone"))
    logging.getLogger("asyncio").error("Task exception", exc_info=gone)
    assert heard == []
