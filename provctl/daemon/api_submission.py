"""Submissions over the API: creates runs from workflows, and adds schedules.

This happens in a thread of the scheduler or in a separate process
(`validation_process`); both do the same.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

from provctl.base.text import NotText, decode
from provctl.core.model.schedule import Schedule
from provctl.errors import InvalidWorkflow, RequestRejected, UsageError
from provctl.runs.task_environment import task_environment
from provctl.scheduler.clock import WallClock
from provctl.storage.schedules import Schedules

if TYPE_CHECKING:
    from provctl.api.http.backend import NewSchedule, Submission
    from provctl.config.settings import Settings
    from provctl.storage.layout import StateDir


@contextmanager
def brief_mistakes() -> Iterator[None]:
    """Shorten an InvalidWorkflow so that it fits an answer of the API."""
    try:
        yield
    except InvalidWorkflow as problem:
        from provctl.workflow_files.diagnostics import brief

        raise brief(problem) from None


def put_workflow(settings: Settings, folder: StateDir, submission: Submission) -> str:
    """Check a workflow, queue it and return the run's id.

    Raises UsageError, InvalidWorkflow, MissingTool, and what `queue` raises.
    """
    from provctl.runs.load_context import check_tools, make_context
    from provctl.runs.submit import SubmitOptions, submit_and_enqueue
    from provctl.workflow_files.request_body import load_body

    try:
        text = decode(submission.body)
    except NotText:
        message = "the body is not UTF-8 text"
        raise UsageError(message) from None
    context = make_context(settings, os.environ, Path.home())
    with brief_mistakes():
        body = load_body(text, context=context)
    check_tools(settings, body.workflow)
    if None not in (body.key, submission.key) and body.key != submission.key:
        message = "the key in the body differs from the Idempotency-Key header"
        raise UsageError(message)
    key = submission.key if body.key is None else body.key
    wishes = SubmitOptions(priority=body.priority, key=key, labels=body.labels)
    return submit_and_enqueue(folder, body.workflow, wishes)


def put_schedule(settings: Settings, folder: StateDir, wish: NewSchedule) -> bool:
    """Check a schedule and add it; return False if an identical one exists.

    Raises RequestRejected if a different schedule has its name, and what `put_workflow`
    raises.
    """
    files = Schedules(folder)
    made = _make_schedule(settings, wish)
    try:
        files.add(made)
    except RequestRejected:
        if not made.asks_as(files.read(wish.name)):
            raise
        return False
    return True


def _make_schedule(settings: Settings, wish: NewSchedule) -> Schedule:
    from provctl.runs.load_context import check_tools, make_context
    from provctl.runs.submit import merge_labels
    from provctl.schedules import cron
    from provctl.workflow_files.request_body import load_body

    fields, now = wish.fields, WallClock().now()
    zone = fields["time_zone"]
    zone = cron.local_zone(now) if zone is None else zone
    cron.check(fields["cron"], zone, now)
    context = make_context(settings, os.environ, Path.home())
    with brief_mistakes():
        body = load_body(decode(wish.text), context=context, beside=fields)
    check_tools(settings, body.workflow)
    workflow = {"name": wish.name, **fields["workflow"]}
    made = Schedule(
        name=wish.name,
        made=os.urandom(8).hex(),
        file="",
        cron=fields["cron"],
        zone=zone,
        since=now,
        priority=body.priority,
        max_parallel=fields["max_parallel"],
        fail_fast=fields["fail_fast"],
        catch_up=fields["catch_up"],
        overlap=fields["overlap"],
        cwd=str(Path.home()),
        environment=task_environment(os.environ, settings.executor.env_passthrough),
        labels=dict(body.labels),
        body=json.dumps({"workflow": workflow, "params": fields["params"]}),
    )
    merge_labels(body.workflow, made.labels_of_runs)
    return made
