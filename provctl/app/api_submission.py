"""Owns what is submitted over the API: workflows become runs, and schedules are added.

It is done in a thread of the scheduler or in a process of its own (`submission_process`),
and both do the same.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

from provctl.app.environment import task_environment
from provctl.core.schedule import Schedule
from provctl.errors import Refused, UsageProblem, WorkflowInvalid
from provctl.journal.schedules import Schedules
from provctl.scheduler.clock import WallClock
from provctl.text import NotText, decode

if TYPE_CHECKING:
    from provctl.api.service import ScheduleWish, Submission
    from provctl.config.settings import Settings
    from provctl.journal.folder import StateFolder

__all__ = ["brief_mistakes", "put_schedule", "put_workflow"]


@contextmanager
def brief_mistakes() -> Iterator[None]:
    """Let WorkflowInvalid through as far as it fits an answer of the API."""
    try:
        yield
    except WorkflowInvalid as problem:
        from provctl.spec.report import brief

        raise brief(problem) from None


def put_workflow(
    settings: Settings, folder: StateFolder, submission: Submission
) -> str:
    """Check a workflow, queue it and return the run's id.

    Raises UsageProblem, WorkflowInvalid, ToolMissing, and what `queue` does.
    """
    from provctl.app.loading import check_tools, make_context
    from provctl.app.submit import Wishes, queue
    from provctl.spec.body import load_body

    try:
        text = decode(submission.body)
    except NotText:
        message = "the body is not UTF-8 text"
        raise UsageProblem(message) from None
    context = make_context(settings, os.environ, Path.home())
    with brief_mistakes():
        body = load_body(text, context=context)
    check_tools(settings, body.workflow)
    if None not in (body.key, submission.key) and body.key != submission.key:
        message = "the key in the body is not that of Idempotency-Key"
        raise UsageProblem(message)
    key = submission.key if body.key is None else body.key
    wishes = Wishes(priority=body.priority, key=key, labels=body.labels)
    return queue(folder, body.workflow, wishes)


def put_schedule(settings: Settings, folder: StateFolder, wish: ScheduleWish) -> bool:
    """Check a schedule and add it; return False if it is there and the same.

    Raises Refused if another has its name, and what `put_workflow` does.
    """
    files = Schedules(folder)
    made = _made(settings, wish)
    try:
        files.add(made)
    except Refused:
        if not made.asks_as(files.read(wish.name)):
            raise
        return False
    return True


def _made(settings: Settings, wish: ScheduleWish) -> Schedule:
    from provctl.app.loading import check_tools, make_context
    from provctl.app.submit import all_labels
    from provctl.scheduler import cron
    from provctl.spec.body import load_body

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
    all_labels(body.workflow, made.labels_of_runs)
    return made
