"""A state directory with runs in every status, at times that never change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Tuple
from zlib import crc32

from provctl.core.engine import events as ev
from provctl.executors.protocol import AttemptRef
from provctl.storage.layout import StateDir
from provctl.workflow_files.load import LoadContext, load_workflow
from tests.support.engine_driver import RUN, Dialogue, Opened
from tests.support.run_folders import append, submit

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.model.workflow import Workflow
    from provctl.storage.layout import RunDir

__all__ = ["CONFIG", "DAY", "DEPLOY", "fill"]

DAY = 1_777_852_800.0  # 2026-05-04T00:00:00Z
_HOUR = 3600.0

CONFIG = "pools.upcloud = 1\nexecutor.max_concurrent_tasks = 4\n"

DEPLOY: Dict[str, Any] = {
    "name": "deploy",
    "params": {"zone": "fi-hel1"},
    "tasks": {
        "network": {"command": ["true"], "undo": {"command": ["true"]}},
        "web-1": {
            "command": ["true"],
            "needs": ["network"],
            "pools": {"upcloud": 1},
            "undo": {"command": ["true"]},
        },
        "web-2": {
            "command": ["true"],
            "needs": ["network"],
            "pools": {"upcloud": 1},
            "retry": {"attempts": 2, "delay": "30s"},
        },
        "database": {
            "script": "{ size: 20 }",
            "needs": ["network"],
            "timeout": "10m",
            "retry": {"attempts": 2, "delay": "1h", "on": [75]},
        },
        "cluster": {
            "needs": ["web-1", "web-2", "database"],
            "workflow": {
                "tasks": {
                    "etcd": {"command": ["true"]},
                    "api": {"command": ["true"], "needs": ["etcd"]},
                }
            },
        },
        "check": {
            "command": ["true"],
            "needs": ["cluster"],
            "when": {"$less": [{"$output": {"task": "database", "path": "size"}}, 50]},
        },
        "alert": {
            "command": ["true"],
            "needs": [{"task": "database", "on": "failure"}],
        },
    },
}

# Seconds since the submission, and what happens then, in the words of a dialogue.
_WELL = """
{network} network exits 0
{web_1} web-1 exits 0
{database} database returns {{"size": {size}}}
{web_2} web-2 exits 0
{etcd} cluster/etcd exits 0
{api} cluster/api exits 0
"""
_RUNS: Dict[str, Tuple[str, Mapping[str, Any]]] = {
    "failed1": (
        """
        30 network exits 0
        95 database exits 3
        150 web-1 exits 0
        160 alert exits 0
        240 web-2 exits 0
        """,
        {},
    ),
    "cancelled1": (
        """
        30 network exits 0
        60 cancel
        61 web-1 is stopped
        62 database is stopped
        """,
        {"priority": 5},
    ),
    "timedout1": (
        """
        30 network exits 0
        150 web-1 exits 0
        240 web-2 exits 0
        630 database times out
        650 alert exits 0
        """,
        {},
    ),
    "held1": (
        """
        30 network exits 0
        95 database returns {"size": 20}
        130 web-1 is lost
        220 web-2 exits 0
        """,
        {},
    ),
    "undone1": (
        """
        30 network exits 0
        95 database exits 3
        150 web-1 exits 0
        160 alert exits 0
        240 web-2 exits 0
        900 undo all
        930 web-1 exits 0
        950 network exits 0
        """,
        {},
    ),
    "stands1": (
        """
        30 network exits 0
        95 database exits 3
        150 web-1 exits 0
        160 alert exits 0
        240 web-2 exits 0
        900 undo all
        930 web-1 exits 1
        """,
        {},
    ),
    "retrying1": (
        """
        30 network exits 0
        95 database exits 75
        """,
        {},
    ),
    "paused1": (
        """
        30 network exits 0
        40 pause
        95 database returns {"size": 20}
        150 web-1 exits 0
        """,
        {},
    ),
}

_LOGS = {
    "database": "creating a volume of 20 GB in fi-hel1\nerror: no space left in fi-hel1\n",
    "web-1": "PROGRESS: 100% web-1 is up\n",
}


def fill(folder: Path, state: Path) -> None:
    """Write the workflow file, the configuration, and all runs.

    `good1` to `good5` succeeded, the last one slower, `flaky1` after another attempt.
    The names of the others say their outcome or status. `queued1` and `queued2` are a
    batch. No process owns any of them.
    """
    (folder / "pools.toml").write_text(CONFIG, encoding="utf-8")
    file = folder / "deploy.json"
    file.write_text(json.dumps(DEPLOY, indent=2), encoding="utf-8")
    workflow = load_workflow(file, {}, context=LoadContext(cwd="/work"))
    workflow = replace(workflow, source="deploy.json")
    place = StateDir(state)
    place.prepare()
    hour = 1
    for number in range(1, 6):
        script = _well(slower=20 * number if number == 5 else number, size=20)
        _tell(place, workflow, f"good{number}", hour, script)
        hour += 1
    again = _well(slower=0, size=80).replace(
        "210 web-2 exits 0", "180 web-2 exits 1\n210 wait 0\n250 web-2 exits 0"
    )
    _tell(place, workflow, "flaky1", hour, again.replace("check exits 0", "wait 0"))
    for name, (script, fields) in _RUNS.items():
        hour += 1
        _tell(place, workflow, name, hour, script, **fields)
    for name in ("queued1", "queued2"):
        hour += 1
        _tell(place, workflow, name, hour, None, batch="batch1")
        place.enqueue(name)


def _well(*, slower: int, size: int) -> str:
    times = {"network": 30, "web_1": 150, "database": 95, "web_2": 210}
    times = {name: at + slower for name, at in times.items()}
    script = _WELL.format(etcd=400 + slower, api=420 + slower, size=size, **times)
    return script if size >= 50 else f"{script}{425 + slower} check exits 0\n"


def _tell(
    place: StateDir,
    workflow: Workflow,
    name: str,
    hour: int,
    script: Any,
    **fields: Any,
) -> None:
    """Write a run to disk in which this has happened; without a script nothing has."""
    at = DAY + hour * _HOUR
    run = submit(place, workflow, name, at=at, **fields)
    if script is None:
        return
    dialogue = Dialogue(slots=4, capacity={"upcloud": 1}, now=at)
    dialogue.submit(workflow, RUN)
    lines = [line.split(maxsplit=1) for line in script.strip().splitlines()]
    for seconds, news in sorted((float(first), rest) for first, rest in lines):
        dialogue.advance(at + seconds - dialogue.now)
        dialogue.hear(news)
    told = [step for step in dialogue.history if not isinstance(step, Opened)]
    events: List[Any] = [ev.OwnershipTaken(name, at, "scheduler", 4242, "boot-1")]
    began: Dict[Tuple[str, int], float] = {}
    events += [_dated(replace(event, run=name), began) for event in told]
    append(run, events)
    _write_files(run, workflow, events)


def _dated(event: Any, began: Dict[Tuple[str, int], float]) -> Any:
    """An exit report as its supervisor writes it, with its start and its usage."""
    if isinstance(event, ev.AttemptStarted):
        began[event.task, event.attempt] = event.at
    if not isinstance(event, ev.AttemptFinished):
        return event
    began_at = began[event.task, event.attempt]
    took_s = event.at - began_at
    return replace(
        event,
        result=replace(
            event.result,
            started_at=began_at,
            finished_at=event.at,
            cpu_s=took_s / 8,
            max_rss_bytes=24 << 20,
            read_bytes=3 << 20,
            written_bytes=5 << 20,
        ),
    )


def _write_files(run: RunDir, workflow: Workflow, events: List[Any]) -> None:
    """Write the files of finished attempts: a log and an exit record.

    A held attempt has no exit record: its supervisor died.
    """
    places = {task.id: task.index for task in workflow.tasks}
    purposes = {
        (event.task, event.attempt): event.purpose
        for event in events
        if isinstance(event, ev.AttemptStarted)
    }
    for event in events:
        if not isinstance(event, (ev.AttemptFinished, ev.TaskHeld)):
            continue
        key = (event.task, event.attempt)
        where = (run.attempts, places[event.task])
        place = AttemptRef(run.id, *key, *where, purposes[key])
        place.file("log").write_text(_LOGS.get(event.task, ""), encoding="utf-8")
        sealed = isinstance(event, ev.AttemptFinished)
        place.file("go").write_bytes(_record(event, place) if sealed else b"4242\n")


def _record(event: Any, place: AttemptRef) -> bytes:
    fields = ("exit_code", "signal", "started_at", "finished_at", "survivors")
    record = {name: getattr(event.result, name) for name in fields}
    told = {"id": place.mark, "cause": "exit", "problem": "", "status": 0, **record}
    body = json.dumps(told)[:-1].encode("ascii")
    return body + b',"crc":"%08x"}\n' % crc32(body)
