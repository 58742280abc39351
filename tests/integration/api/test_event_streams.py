"""Event streams are complete, can be resumed, and do not block each other."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Dict, List

import pytest

from tests.support.api import Api, start_api

if TYPE_CHECKING:
    from tests.support.api import Event
    from tests.support.installed import Provctl


@pytest.fixture
def api(provctl: Provctl) -> Api:
    return start_api(provctl)


def submitted(api: Api, *commands: str) -> str:
    tasks: Dict[str, Any] = {
        f"t{n}": {"command": ["sh", "-c", text]} for n, text in enumerate(commands)
    }
    return str(api.post("/workflows/submit", {"tasks": tasks}).data)


def test_stream_equals_the_journal_and_ends_with_the_run(
    provctl: Provctl, api: Api
) -> None:
    run = submitted(api, "sleep 0.3", "exit 1")
    events = api.all_events(f"/workflows/{run}/events")
    records = provctl.journal(run)
    assert [int(event.id) for event in events] == [r["seq"] for r in records]
    for event, record in zip(events, records):
        assert event.kind == record["type"] == event.data["type"]
        assert event.data["run"] == run
        inner = {"v", "dur", "prev", "crc"}
        assert event.data == {
            "run": run,
            **{k: v for k, v in record.items() if k not in inner},
        }
    assert events[-1].kind == "run_finished"


def test_stream_can_be_resumed_after_any_event(provctl: Provctl, api: Api) -> None:
    run = submitted(api, "exit 0", "exit 0")
    path = f"/workflows/{run}/events"
    every = api.all_events(path)
    for event in every[:-1]:
        assert api.all_events(path, event.id) == every[int(event.id) :]
    assert api.get(path, **{"Last-Event-ID": every[-1].id}).status == 204
    assert api.get(path, **{"Last-Event-ID": "x"}).status == 400
    # The run is opened again: there is something to tell again.
    api.post(f"/workflows/{run}/retry", {"tasks": ["t0"]})
    more = api.all_events(path, every[-1].id)
    assert [event.kind for event in more][:1] == ["retry_requested"]


def test_stream_follows_a_run_of_another_owner(provctl: Provctl, api: Api) -> None:
    gate = provctl.folder / "gate"
    script = f"echo ready; until [ -e {gate} ]; do sleep 0.05; done"
    file = provctl.file({"a": {"command": ["sh", "-c", script]}})
    with provctl.start("run", file) as process:
        provctl.until(provctl.runs, "the run is there")
        (run,) = provctl.runs()
        provctl.until_ready(run)
        kinds: List[str] = []
        with api.events(f"/workflows/{run}/events") as stream:
            for event in stream:
                kinds.append(event.kind)
                if event.kind == "attempt_started":
                    gate.touch()
        assert kinds[-1] == "run_finished"
        process.communicate(timeout=60)


def test_stream_of_all_runs_reports_missed_events(provctl: Provctl, api: Api) -> None:
    with api.events("/events") as stream:
        runs = [submitted(api, "exit 0"), submitted(api, "exit 1")]
        seen: List[Event] = []
        for event in stream:
            seen.append(event)
            if [e.kind for e in seen].count("run_finished") == 2:
                break
    for run in runs:
        told = [e.kind for e in seen if e.data["run"] == run]
        # All that was written since it has an owner.
        assert told == [r["type"] for r in provctl.journal(run)][1:]
    with api.events("/events", seen[0].id) as stream:
        for expected, event in zip(seen[1:], stream):
            assert event == expected
    for unknown in ("0badcafe-7", "7", seen[-1].id + "0"):
        with api.events("/events", unknown) as stream:
            lost = next(iter(stream))
            assert (lost.kind, lost.id) == ("reset", "")


def test_idle_reader_does_not_block_others(provctl: Provctl, api: Api) -> None:
    with ExitStack() as sleepers:
        for _ in range(20):
            sleepers.enter_context(api.events("/events"))
        for _ in range(100):
            assert api.get("/health").status == 200
        run = submitted(api, "exit 0")
        provctl("wait", run)


def test_number_of_readers_is_limited(provctl: Provctl, api: Api) -> None:
    with ExitStack() as sleepers:
        for _ in range(31):
            sleepers.enter_context(api.events("/events"))
        last = api.events("/events")
        answer = api.get("/events")
        assert (answer.status, answer.json()["code"]) == (409, 41)
        last.close()

        def there_is_room() -> bool:
            try:
                sleepers.enter_context(api.events("/events"))
            except AssertionError:
                return False
            return True

        provctl.until(there_is_room, "there is room again")


def test_stop_of_the_scheduler_ends_the_streams(provctl: Provctl, api: Api) -> None:
    run = submitted(api, "exec sleep 60")
    with api.events(f"/workflows/{run}/events") as stream:
        events = iter(stream)
        assert next(events).kind == "run_submitted"
        provctl("scheduler", "stop")
        assert "attempt_started" in [event.kind for event in events]
    provctl("scheduler", "start")
    api.post(f"/workflows/{run}/cancel", {"now": True})
    provctl("wait", run, code=11)
