"""A process that owns one attempt, to be killed: `owner.py FOLDER RUN SCRIPT`."""

from __future__ import annotations

import sys
from pathlib import Path

from provctl.executors.local.executor import LocalExecutor
from tests.support.attempts import Bench

__all__ = ["main"]


def main() -> None:
    """Start the attempt, then do nothing."""
    folder, run, script = sys.argv[1:]
    bench = Bench(LocalExecutor, Path(folder), run=run)
    bench.shell(script)
    bench.work(600)


if __name__ == "__main__":
    main()
