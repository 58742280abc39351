"""The measured graphs, as workflow files in JSON.

    python -m tests.bench.graphs FOLDER [--wfinstances FOLDER]

writes them into FOLDER. The wfinstances are reduced records of real scientific
workflows (tasks with `id` and `parents`); each of their tasks becomes `true`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional

__all__ = ["chain", "fan", "instance", "makefile", "script_fan", "write"]

Graph = Dict[str, Any]

_COMMAND = {"command": ["true"]}


def fan(size: int) -> Graph:
    """Return `size` independent commands."""
    tasks = {f"t{i}": _COMMAND for i in range(size)}
    return {"name": f"fan-{size}", "tasks": tasks}


def script_fan(size: int) -> Graph:
    """Return `size` minimal Nushell scripts."""
    tasks = {f"t{i}": {"script": "1"} for i in range(size)}
    return {"name": f"script-fan-{size}", "tasks": tasks}


def chain(size: int) -> Graph:
    """Return `size` commands, each of which needs the previous one."""
    tasks = {f"t{i}": {**_COMMAND, "needs": [f"t{i - 1}"]} for i in range(1, size)}
    return {"name": f"chain-{size}", "tasks": {"t0": _COMMAND, **tasks}}


def instance(record: Mapping[str, Any], name: str) -> Graph:
    """Return a recorded workflow whose commands do nothing."""
    tasks = {
        task["id"]: {**_COMMAND, "needs": task["parents"]} for task in record["tasks"]
    }
    return {"name": name, "tasks": tasks}


def makefile(graph: Graph) -> str:
    """Return the same graph of commands for make."""
    tasks = graph["tasks"]
    lines = [f".PHONY: all {' '.join(tasks)}", f"all: {' '.join(tasks)}"]
    for name, task in tasks.items():
        lines += [f"{name}: {' '.join(task.get('needs', ()))}", "\t@/bin/true"]
    return "\n".join(lines) + "\n"


def write(graph: Graph, folder: Path) -> Path:
    """Write a graph as a workflow file and return the file."""
    file = folder / f"{graph['name']}.json"
    file.write_text(json.dumps(graph), encoding="utf-8")
    return file


def instances(folder: Path) -> Iterable[Graph]:
    """Return all recorded workflows of a folder."""
    for file in sorted(folder.glob("*.json")):
        yield instance(json.loads(file.read_bytes()), file.stem)


def main(arguments: Optional[List[str]] = None) -> None:
    """Write all graphs."""
    parser = argparse.ArgumentParser(description="Write the graphs that are measured.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wfinstances", type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    graphs = [fan(1_000), fan(10_000), script_fan(200), chain(200)]
    if options.wfinstances:
        graphs += instances(options.wfinstances)
    for graph in graphs:
        write(graph, options.folder)


if __name__ == "__main__":
    main()
