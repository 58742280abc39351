"""Other runners of the same graph of commands, as far as they are installed."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping

from tests.bench import graphs

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["commands"]

_DODO = """
import json
GRAPH = json.load(open({file!r}))
def task_t():
    for name, task in GRAPH["tasks"].items():
        needs = ["t:" + need for need in task.get("needs", ())]
        yield {{"name": name, "actions": [["true"]], "task_dep": needs}}
"""


def commands(
    graph: Mapping[str, Any], folder: Path, jobs: int, path: str
) -> Dict[str, Callable[[], List[str]]]:
    """Return how each runner on `path` runs a graph, `jobs` tasks at a time."""
    makers = {"make": _make, "doit": _doit, "task": _task}
    return {
        name: maker(dict(graph), folder, jobs)
        for name, maker in makers.items()
        if shutil.which(name, path=path)
    }


def _make(graph: Dict[str, Any], folder: Path, jobs: int) -> Callable[[], List[str]]:
    file = folder / f"{graph['name']}.mk"
    file.write_text(graphs.makefile(graph), encoding="utf-8")
    return lambda: ["make", f"-j{jobs}", "-f", str(file)]


def _doit(graph: Dict[str, Any], folder: Path, jobs: int) -> Callable[[], List[str]]:
    given = folder / f"{graph['name']}.doit.json"
    given.write_text(json.dumps(graph), encoding="utf-8")
    file = folder / f"{graph['name']}.dodo.py"
    file.write_text(_DODO.format(file=str(given)), encoding="utf-8")
    made = iter(range(1_000_000))

    def command() -> List[str]:
        database = str(folder / f"doit-{graph['name']}-{jobs}-{next(made)}")
        run = ["doit", "run", "-f", str(file), "--db-file", database]
        return [*run, "-n", str(jobs), "-P", "thread"]

    return command


def _task(graph: Dict[str, Any], folder: Path, jobs: int) -> Callable[[], List[str]]:
    tasks: Dict[str, Any] = {
        name: {"deps": task.get("needs", []), "cmds": ["true"]}
        for name, task in graph["tasks"].items()
    }
    tasks["all"] = {"deps": list(graph["tasks"])}
    file = folder / f"{graph['name']}.Taskfile.yml"  # JSON is YAML
    text = json.dumps({"version": "3", "silent": True, "tasks": tasks})
    file.write_text(text, encoding="utf-8")
    return lambda: ["task", "-C", str(jobs), "-t", str(file), "all"]
