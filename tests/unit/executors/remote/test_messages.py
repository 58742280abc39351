"""Messages between owners and agents: what arrives is what was sent, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provctl.executors.protocol import AttemptRef, LaunchSpec, RemoteWork
from provctl.executors.remote import messages
from provctl.executors.remote.messages import ProtocolMismatch

RUNS = Path("/state/node/runs")
PLACE = AttemptRef("r1", "a/b", 2, RUNS / "r1" / "attempts", 3, "probe")


def test_an_attempt_is_named_without_its_folder() -> None:
    fields = messages.ref_fields(PLACE)
    assert "folder" not in fields
    assert messages.ref_of(fields, RUNS) == PLACE


@pytest.mark.parametrize(
    "change",
    [
        {"run": "../other"},
        {"run": ""},
        {"run": ".."},
        {"run": 7},
        {"index": -1},
        {"index": "1"},
        {"attempt": None},
        {"purpose": "x/../y"},
        {"task": ""},
    ],
)
def test_what_names_no_attempt_is_refused(change: Dict[str, Any]) -> None:
    with pytest.raises(ProtocolMismatch):
        messages.ref_of({**messages.ref_fields(PLACE), **change}, RUNS)


def test_an_order_arrives_as_it_was_sent() -> None:
    work = RemoteWork({"kind": "script", "text": "1"}, {"a": [1]}, ("w.ncl", 4))
    spec = LaunchSpec(
        PLACE,
        ("sh", "-c", "\ud800\0é"),
        {"A": "b\nc"},
        "/",
        1.5,
        2.0,
        output_max=7,
        input="café".encode(),
        log_max=9,
        masked=("secret",),
        keep_processes=True,
        remote=work,
    )
    sent = messages.encode({"say": "launch", "spec": messages.spec_fields(spec)})
    got = messages.spec_of(messages.decode(sent)["spec"], PLACE)
    assert got.remote is not None
    assert list(got.remote.origin) == ["w.ncl", 4]
    assert got.remote.action == work.action
    assert {**vars(got), "remote": None} == {**vars(spec), "remote": None}


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[1]", b"hello", b'{"say":1}', b"[" * 9999]
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolMismatch):
        messages.decode(line)


@pytest.mark.parametrize("spec", [{}, {"argv": 1}, {"argv": [], "env": []}])
def test_what_is_no_order_is_refused(spec: Dict[str, Any]) -> None:
    with pytest.raises(ProtocolMismatch):
        messages.spec_of(spec, PLACE)


@given(st.binary())
def test_bytes_arrive_as_they_are(data: bytes) -> None:
    line = messages.encode({"say": "log", "data": messages.to_text(data)})
    assert messages.to_bytes(messages.decode(line)["data"]) == data


def test_a_record_is_sealed_and_of_its_attempt() -> None:
    body = json.dumps({"v": 1, "id": PLACE.mark})[:-1].encode()
    raw = body + b',"crc":"%08x"}\n' % crc32(body)
    assert messages.is_sealed_record(raw, PLACE.mark)
    assert not messages.is_sealed_record(raw, "r1/9.9")
    for at in range(len(raw) - 1):
        other = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        assert not messages.is_sealed_record(other, PLACE.mark), at


def test_another_protocol_is_refused_in_one_line() -> None:
    assert messages.version_problem({"v": messages.PROTOCOL}, "1.0") is None
    for version in (messages.PROTOCOL + 1, 0, None):
        why = messages.version_problem({"v": version, "version": "9"}, "1.0")
        assert why is not None
        assert "\n" not in why
        assert "install the same version on both" in why
