"""The process in which files are evaluated: limits first, then the work.

Run by path with `python -I`; standard library and the packages of the languages only.
Reads one JSON request from stdin:

    {"language": "nickel", "sources": [text, ...], "import_paths": [directory, ...],
     "program": name, "memory_bytes": n, "cpu_s": n, "output_bytes": n}
    {"language": "kcl", "sources": [path], "arguments": {name: text, ...}, ...}

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

# Nickel's parser is recursive; the default stack ends at 2,000 brackets.
STACK_BYTES = 128 << 20

Evaluate = Callable[[str], Dict[str, Any]]


def main() -> None:
    """Process the request on stdin."""
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
    if request["language"] == "kcl":
        evaluate = _by_kcl(request)
    else:
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


def _by_kcl(request: Dict[str, Any]) -> Optional[Evaluate]:
    try:
        from kcl_lib import api
    except ImportError:
        return None

    def evaluate(path: str) -> Dict[str, Any]:
        program = api.ExecProgramArgs(k_filename_list=[path])
        for name, text in request["arguments"].items():
            program.args.append(api.Argument(name=name, value=text))
        kcl = api.API()
        try:
            done = kcl.exec_program(program)
            asked = kcl.list_options(api.ParseProgramArgs(paths=[path])).options
        except Exception as error:  # noqa: BLE001  # it has no class of its own
            return {"error": str(error)}
        if done.err_message:
            return {"error": done.err_message}
        options = json.dumps([option.name for option in asked])
        # Its text is inserted unchanged: reading it here would be reading it twice.
        return {
            "json": f'{{"options": {options}, "value": {done.json_result or "null"}}}'
        }

    return evaluate


if __name__ == "__main__":
    main()
