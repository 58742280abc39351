"""`provctl report`: writes reports of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import click

from provctl.cli.completion.param_types import RUN, TARGET
from provctl.cli.options.global_options import report_options
from provctl.cli.write_reports import write_reports
from provctl.errors import UsageError

if TYPE_CHECKING:
    from provctl.cli.session import Session


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option(
    "--html", metavar="FILE", type=TARGET, help="Write an HTML page with everything."
)
@report_options
@click.pass_obj
def report(
    session: Session,
    run: str,
    html: Optional[str],
    junit: Optional[str],
    summary: Optional[str],
) -> None:
    """Write reports of a RUN to files.

    \b
    --html FILE    one page with graph, chart, failures with their logs, and resource
                   use; it needs no network and has no scripts
    --junit FILE   for CI systems; tasks that needed a retry are marked as flaky
    --summary FILE graph, table, critical path and last lines of logs, as Markdown
    """
    from provctl.runs.find import find_run

    if html is None and junit is None and summary is None:
        message = "no report was requested"
        raise UsageError(
            message, hint="use --html FILE, --junit FILE or --summary FILE"
        )
    found = find_run(session.folder, run)
    write_reports(session, [found], html=html, junit=junit, summary=summary)
