"""Owns the process in which Nickel is evaluated: limits first, then the work.

Run by path with `python -I`; standard library and the package `nickel` only.
Reads one JSON request from stdin:

    {"sources": [text, ...], "import_paths": [directory, ...], "program": name,
     "memory_bytes": n, "cpu_s": n, "output_bytes": n}

and writes one JSON line for each source, as soon as it is known:

    {"json": text}   {"error": text}   {"too_large": true}   {"signal": number}

(the last one if a signal ended the program) or the one line {"missing": true} where there is neither package nor program.
"""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
import threading
from typing import Any, Callable, Dict, Optional

# Nickel's parser works on the stack; the default one ends at 2,000 brackets.
STACK_BYTES = 128 << 20

Evaluate = Callable[[str], Dict[str, Any]]


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    memory, cpu = request["memory_bytes"], request["cpu_s"]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    threading.stack_size(STACK_BYTES)
    worker = threading.Thread(target=_answer, args=(request,))
    worker.start()
    worker.join()


def _answer(request: Dict[str, Any]) -> None:
    evaluate = _by_package(request) or _by_program(request)
    if evaluate is None:
        _write({"missing": True})
        return
    for source in request["sources"]:
        answer = evaluate(source)
        # Indentation alone makes deep documents large; no text has raw newlines.
        text = re.sub(r"\n *", "", answer.get("json", ""))
        if len(text) > request["output_bytes"]:
            answer = {"too_large": True}
        elif text:
            answer = {"json": text}
        _write(answer)


def _write(answer: Dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _by_package(request: Dict[str, Any]) -> Optional[Evaluate]:
    try:
        import nickel
    except ImportError:
        return None

    def evaluate(source: str) -> Dict[str, Any]:
        try:
            return {"json": nickel.run(source, import_paths=request["import_paths"])}
        except nickel.NickelException as error:
            return {"error": str(error)}

    return evaluate


def _by_program(request: Dict[str, Any]) -> Optional[Evaluate]:
    program = shutil.which(request["program"])
    if program is None:
        return None
    command = [program, "export", "--format", "json"]
    for directory in request["import_paths"]:
        command += ["--import-path", directory]

    def evaluate(source: str) -> Dict[str, Any]:
        done = subprocess.run(
            command, input=source.encode(), capture_output=True, check=False
        )
        if done.returncode < 0:
            return {"signal": -done.returncode}
        text = (done.stdout or done.stderr).decode(errors="replace")
        return {"error" if done.returncode else "json": text}

    return evaluate


if __name__ == "__main__":
    main()
