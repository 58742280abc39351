"""Owns a process that owns an attempt on a node: `node_owner.py FOLDER NODES RUN SCRIPT`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.nodes import NodeBench, Nodes

__all__ = ["main"]


def main() -> None:
    """Give the order for the attempt, then only be there."""
    folder, nodes, run, script = sys.argv[1:]
    bench = NodeBench(Nodes(Path(nodes)), Path(folder), run=run)
    bench.shell(script)
    bench.work(600)


if __name__ == "__main__":
    main()
