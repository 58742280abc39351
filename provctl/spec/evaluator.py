"""Owns evaluating Nickel and KCL: in a process of its own, with limits on everything."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Tuple

from provctl.errors import ToolMissing

__all__ = ["CONTRACTS", "Answer", "Evaluator", "Limits", "Outcome", "text_literal"]

CONTRACTS = Path(__file__).parent / "contracts"

_CHILD = Path(__file__).with_name("evaluator_child.py")
_NOT_HARMLESS = re.compile(r"[^A-Za-z0-9 _./:,-]")


@dataclass(frozen=True)
class Limits:
    """What an evaluation may use.

    Seconds of time and of CPU, bytes of address space and of JSON that it makes.
    """

    wall_s: float = 30.0
    cpu_s: int = 30
    memory_bytes: int = 1 << 30
    output_bytes: int = 16 << 20


@dataclass(frozen=True)
class Answer:
    """What one source became: JSON text, or the language's error text."""

    json: str = ""
    error: str = ""


@dataclass(frozen=True)
class Outcome:
    """The answers, in order; fewer than asked for if a limit ended the work.

    `stopped` says so in words for people; otherwise it is empty.
    """

    answers: Tuple[Answer, ...]
    stopped: str = ""


@dataclass(frozen=True)
class Evaluator:
    """Evaluates Nickel with the package py-nickel of `python`, or with `program`.

    And KCL with the package kcl-lib.
    """

    program: str = "nickel"
    limits: Limits = Limits()
    python: str = sys.executable

    def evaluate(self, sources: Sequence[str]) -> Outcome:
        """Evaluate sources of Nickel one after the other, in one process.

        Raises ToolMissing if there is neither the package nor the program.
        """
        outcome = self._evaluate(
            {
                "language": "nickel",
                "sources": sources,
                "import_paths": [str(CONTRACTS)],
                "program": self.program,
            }
        )
        if outcome is None:
            raise _missing(self.program)
        return outcome

    def evaluate_kcl(self, path: Path, arguments: Mapping[str, str]) -> Outcome:
        """Evaluate a file of KCL; `arguments` maps options to JSON texts.

        The answer's JSON is a record of `value`, and of `options`, the names that the
        file asks for. Raises ToolMissing if there is no package kcl-lib.
        """
        request = {"language": "kcl", "sources": [str(path)]}
        outcome = self._evaluate({**request, "arguments": dict(arguments)})
        if outcome is None:
            message = f"{path}: KCL files need the Python package kcl-lib"
            raise ToolMissing(message, hint="pip install kcl-lib")
        return outcome

    def _evaluate(self, request: Mapping[str, Any]) -> Optional[Outcome]:
        """Let the child answer; None if what it needs is missing."""
        limits = {
            "memory_bytes": self.limits.memory_bytes,
            "cpu_s": self.limits.cpu_s,
            "output_bytes": self.limits.output_bytes,
        }
        command = [self.python, "-I", str(_CHILD)]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        ) as child:
            late = False
            try:
                out, err = child.communicate(
                    json.dumps({**request, **limits}).encode(),
                    timeout=self.limits.wall_s,
                )
            except subprocess.TimeoutExpired:
                late = True
                _kill(child)
                out, err = child.communicate()
            except BaseException:
                _kill(child)
                raise
        # A line without its end was cut off with the process.
        lines = [json.loads(line) for line in out.split(b"\n")[:-1]]
        if {"missing": True} in lines:
            return None
        answers = tuple(
            Answer(line.get("json", ""), line.get("error", ""))
            for line in lines
            if "json" in line or "error" in line
        )
        if len(answers) == len(request["sources"]):
            return Outcome(answers)
        return Outcome(answers, self._why(lines, late, child.returncode, err))

    def _why(
        self, lines: Sequence[Mapping[str, Any]], late: bool, code: int, err: bytes
    ) -> str:
        """What ended an evaluation early."""
        limits = self.limits
        last = lines[-1] if lines else {}
        if late:
            return f"took longer than {limits.wall_s:g} s, the limit on its time"
        if "too_large" in last:
            size = limits.output_bytes >> 20
            return f"made more than {size} MiB of JSON, the limit on its size"
        died_of = last.get("signal", -code)
        if died_of in (signal.SIGXCPU, signal.SIGKILL):
            return f"used more than {limits.cpu_s} s of CPU, the limit on it"
        if died_of == signal.SIGSEGV or b"overflowed its stack" in err:
            return "nests too deeply for its language"
        if died_of == signal.SIGABRT or b"MemoryError" in err:
            size = limits.memory_bytes >> 20
            return f"used more than {size} MiB of memory, the limit on it"
        tail = err.decode(errors="replace").strip().rpartition("\n")[2]
        return f"ended without an answer (status {code}): {tail}"


def text_literal(text: str) -> str:
    """A Nickel string literal for any text.

    Everything but harmless characters is written as a code point, so nothing in
    the text can end the literal or begin an interpolation.
    """
    safe = _NOT_HARMLESS.sub(lambda found: f"\\u{{{ord(found.group()):x}}}", text)
    return f'"{safe}"'


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End the child and the program that it may have started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _missing(program: str) -> ToolMissing:
    return ToolMissing(
        f"Nickel files need the Python package py-nickel or the program `{program}`;"
        " neither is there",
        hint="pip install py-nickel (Python 3.11 and newer), or put `nickel` on PATH",
    )
