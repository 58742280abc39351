"""`provctl doctor`: whether everything that runs need exists, and what to do."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Callable, Mapping, Optional, Union

import click

from provctl.base.light_dataclass import light_dataclass
from provctl.base.text import plain
from provctl.cli.doctor.check_context import CheckContext, CheckNote
from provctl.cli.doctor.checks import CHECKS, FIXES
from provctl.cli.session import Session, emit
from provctl.errors import InvalidConfig, ProvctlError

_Check = Callable[[CheckContext], Union[str, CheckNote]]


@light_dataclass
class _Finding:
    """The result of one check; `problem` is None if nothing is wrong."""

    check: str
    detail: str
    advice: Optional[str] = None
    problem: Optional[ProvctlError] = None


@click.command()
@click.option("--fix", is_flag=True, help="Install Nushell from npm if it is missing.")
@click.pass_context
def doctor(context: click.Context, fix: bool) -> None:
    """Check that provctl has all that it needs, and say how to fix what is missing.

    Exits with 0 if all is well, otherwise with the code of the first problem: 2 for the
    configuration, 52 for a tool or the library, 32 for the state directory, 33 for a
    run or a schedule. A line with ! is a note, not a problem. --fix installs Nushell
    into provctl's own folder, unless a suitable one is found.
    """
    session: Session = context.obj
    surroundings = _look_around(session)
    findings = [
        _retold(session, _examine(name, check, surroundings, fix=fix))
        for name, check in CHECKS
    ]
    if session.output == "table":
        for finding in findings:
            _show(finding)
    else:
        emit(session, [_record(finding) for finding in findings], (), name="check")
    problems = [finding.problem for finding in findings if finding.problem]
    context.exit(problems[0].exit_code if problems else 0)


def _look_around(session: Session) -> CheckContext:
    import time

    from provctl.config.paths import config_files, state_dir
    from provctl.config.settings import Settings

    broken = None
    try:
        settings = session.loaded.settings
    except InvalidConfig as problem:
        settings, broken = Settings(), problem
    files = config_files(environ=session.environ, config_file=session.config_file)
    return CheckContext(
        settings=settings,
        state_dir=state_dir(settings),
        environ=session.environ,
        now=time.time(),  # noqa: TID251  the clock itself is what is examined
        files=tuple(file.path for file in files if os.access(file.path, os.F_OK)),
        broken=broken,
    )


def _examine(
    name: str,
    check: _Check,
    surroundings: CheckContext,
    *,
    fix: bool,
) -> _Finding:
    try:
        found = check(surroundings)
    except ProvctlError as problem:
        if fix and name in FIXES:
            return _examine(
                name, _repaired(check, FIXES[name]), surroundings, fix=False
            )
        return _Finding(name, problem.message, problem.hint, problem)
    if isinstance(found, CheckNote):
        return _Finding(name, found.detail, found.advice)
    return _Finding(name, found)


def _repaired(check: _Check, repair: Callable[[CheckContext], None]) -> _Check:
    def again(surroundings: CheckContext) -> Union[str, CheckNote]:
        repair(surroundings)
        return check(surroundings)

    return again


def _retold(session: Session, finding: _Finding) -> _Finding:
    """A finding whose advice repeats the flags of this command."""
    advice = finding.advice and session.called.with_flags(finding.advice)
    return replace(finding, advice=advice)


def _record(finding: _Finding) -> Mapping[str, object]:
    return {
        "check": finding.check,
        "ok": finding.problem is None,
        "detail": finding.detail,
        "advice": finding.advice,
    }


def _show(finding: _Finding) -> None:
    mark = _printable("✓", "ok")
    if finding.problem is not None:
        mark = _printable("✗", "!!")
    elif finding.advice:
        mark = "! "
    click.echo(f"{mark:2} {finding.check:15}  {plain(finding.detail)}")
    if finding.advice:
        click.echo(f"{'':20}{plain(finding.advice)}")


def _printable(mark: str, otherwise: str) -> str:
    try:
        mark.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return otherwise
    return mark
