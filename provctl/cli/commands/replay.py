"""`provctl replay`: plays a run back from its journal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from provctl.cli.completion.param_types import RUN

if TYPE_CHECKING:
    from provctl.cli.session import Session


_TICK_S = 0.05


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option(
    "--speed",
    type=click.FloatRange(0.01, 1e6),
    default=10.0,
    show_default=True,
    help="Playback speed; 1 is the original speed.",
)
@click.pass_obj
def replay(session: Session, run: str, speed: float) -> None:
    """Play a run back from its journal. Ctrl-C stops it.

    Only progress sent through the API is replayed; PROGRESS: lines in logs carry no
    timestamps.
    """
    from provctl.cli.watching.open_view import open_replay
    from provctl.runs.history.time_travel import JournalPlayer

    retold = JournalPlayer(session.run_dir(run))
    began, clock_began = retold.run.submitted.at, time.monotonic()

    def now() -> float:
        return began + (time.monotonic() - clock_began) * speed

    try:
        with open_replay(session, now, speed) as screen:
            while retold.next_at is not None:
                left_s = (retold.next_at - now()) / speed
                if left_s > 0:
                    screen.on_tick([retold.run])
                    time.sleep(min(left_s, _TICK_S))
                else:
                    screen.on_update(retold.run, [retold.step()])
            screen.close([retold.run])
    except KeyboardInterrupt:
        sys.exit(130)
