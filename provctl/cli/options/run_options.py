"""Options of the commands that start runs."""

from __future__ import annotations

from typing import (
    Any,
    Callable,
)

import click

from provctl.cli.completion.param_types import PARAM


def params_option(
    help: str = "Set a parameter of the workflow; repeat for more.",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a verb the option for parameters of a workflow."""
    return click.option(
        "-p",
        "--param",
        "params",
        multiple=True,
        metavar="KEY=VALUE",
        type=PARAM,
        help=help,
    )


def run_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the parameters of a workflow, and the options of a new run."""
    return params_option()(new_run_options(verb))


def new_run_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options of a new run: jobs, priority and fail-fast."""
    for option in (
        click.option(
            "--fail-fast",
            is_flag=True,
            help="Do not start new tasks after the first failure.",
        ),
        click.option(
            "-P",
            "--priority",
            type=click.IntRange(-1000, 1000),
            default=0,
            help="Run priority; higher starts first (default: 0).",
        ),
        click.option(
            "-j",
            "--jobs",
            type=click.IntRange(1),
            help="Maximum number of tasks to run in parallel.",
        ),
    ):
        verb = option(verb)
    return verb


def key_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the option for an idempotency key."""
    return click.option(
        "--key",
        metavar="TEXT",
        help="Idempotency key: submitting again with the same key returns the existing run.",
    )(verb)
