"""Evaluates Nickel and KCL in a separate process with limits."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import field
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Tuple

from provctl.base.light_dataclass import light_dataclass
from provctl.base.limited_process import (
    Exit,
    ProcessLimits,
    limit_reached,
    run_with_limits,
)
from provctl.base.self_command import pip_install
from provctl.errors import MissingTool

CONTRACTS = Path(__file__).parents[1] / "contracts"

_CHILD = Path(__file__).with_name("evaluator_child.py")
_NOT_HARMLESS = re.compile(r"[^A-Za-z0-9 _./:,-]")


@light_dataclass
class EvaluationResult:
    """The result of one source: JSON text, or the language's error text."""

    json: str = ""
    error: str = ""


@light_dataclass
class EvaluationStatus:
    """The results in order; fewer than requested if a limit was exceeded.

    `stopped` then says so in words for users; otherwise it is empty.
    """

    answers: Tuple[EvaluationResult, ...]
    stopped: str = ""


@light_dataclass
class Evaluator:
    """Evaluates Nickel with the package py-nickel of `python`, or with `program`.

    And KCL with the package kcl-lib.
    """

    program: str = "nickel"
    limits: ProcessLimits = field(default_factory=ProcessLimits)
    python: str = sys.executable

    def evaluate(self, sources: Sequence[str]) -> EvaluationStatus:
        """Evaluate sources of Nickel one after the other, in one process.

        Raises MissingTool if there is neither the package nor the program.
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

    def evaluate_kcl(
        self, path: Path, arguments: Mapping[str, str]
    ) -> EvaluationStatus:
        """Evaluate a KCL file; `arguments` maps options to JSON texts.

        The result's JSON is a record of `value`, and of `options`, the names that the
        file asks for. Raises MissingTool if there is no package kcl-lib.
        """
        request = {"language": "kcl", "sources": [str(path)]}
        outcome = self._evaluate({**request, "arguments": dict(arguments)})
        if outcome is None:
            message = f"{path}: KCL files require the Python package kcl-lib"
            raise MissingTool(message, hint=pip_install("kcl-lib"))
        return outcome

    def _evaluate(self, request: Mapping[str, Any]) -> Optional[EvaluationStatus]:
        """Run the child process; None if what it needs is missing."""
        limits = {
            "memory_bytes": self.limits.memory_bytes,
            "cpu_s": self.limits.cpu_s,
            "output_bytes": self.limits.output_bytes,
        }
        ended = run_with_limits(
            [self.python, "-I", str(_CHILD)],
            json.dumps({**request, **limits}).encode(),
            self.limits,
        )
        # An incomplete line was cut off with the process.
        lines = [json.loads(line) for line in ended.out.split(b"\n")[:-1]]
        if {"missing": True} in lines:
            return None
        answers = tuple(
            EvaluationResult(line.get("json", ""), line.get("error", ""))
            for line in lines
            if "json" in line or "error" in line
        )
        if len(answers) == len(request["sources"]):
            return EvaluationStatus(answers)
        return EvaluationStatus(answers, self._why(lines, ended))

    def _why(self, lines: Sequence[Mapping[str, Any]], ended: Exit) -> str:
        """The reason why an evaluation ended early."""
        last = lines[-1] if lines else {}
        if "too_large" in last and not ended.late:
            size = self.limits.output_bytes >> 20
            return f"exceeded the limit of {size} MiB of JSON"
        died_of = last.get("signal", -ended.code)
        why = limit_reached(ended, self.limits, died_of=died_of)
        tail = ended.err.decode(errors="replace").strip().rpartition("\n")[2]
        return why or f"exited without a result (status {ended.code}): {tail}"


def text_literal(text: str) -> str:
    """A Nickel string literal for any text.

    Everything but harmless characters is written as a code point, so nothing in
    the text can end the literal or begin an interpolation.
    """
    safe = _NOT_HARMLESS.sub(lambda found: f"\\u{{{ord(found.group()):x}}}", text)
    return f'"{safe}"'


def _missing(program: str) -> MissingTool:
    return MissingTool(
        "Nickel files require the Python package py-nickel or the program"
        f" `{program}`; neither was found",
        hint=(
            f"on Python 3.11 to 3.13: {pip_install('py-nickel')}; otherwise put"
            " `nickel` on PATH"
        ),
    )
