"""Writes the parts of docs/ that follow from the code, and completions/.

    python .ci/docs/generate.py             writes them
    python .ci/docs/generate.py --check     exits with 1 and names what is stale

A page has each part between two comments, `<!-- begin generated: NAME -->` and
`<!-- end generated: NAME -->`. The picture of the live view is a file of its own. A
test fails when one of them is stale.
"""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List
from unittest.mock import Mock

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402

from provctl.api.http.app import make_app  # noqa: E402
from provctl.cli.completion.shells import COMPLETE_VAR, SHELLS  # noqa: E402
from provctl.cli.exit_codes import EXIT_CODES  # noqa: E402
from provctl.cli.main import cli  # noqa: E402
from provctl.config.registry import KEYS  # noqa: E402
from provctl.core.engine import transitions  # noqa: E402
from provctl.core.engine.view import RunView, TaskView  # noqa: E402
from provctl.core.model.attempt_result import AttemptResult  # noqa: E402
from provctl.render.live.layout import render  # noqa: E402
from tests.support.run_views import done, failed, run_of, running, waiting  # noqa: E402

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PICTURE = "images/live-view.svg"
COMPLETIONS = {
    "bash": "provctl.bash",
    "zsh": "_provctl",
    "fish": "provctl.fish",
    "nu": "provctl.nu",
}
_WIDTH = 96
_MARKED = r"(<!-- begin generated: ([\w-]+) -->\n).*?(<!-- end generated: \2 -->\n)"


def settings() -> str:
    """Return all keys of the configuration as a table."""
    return _table(["key", "default", "values", "meaning"], _settings())


def _settings() -> Iterator[List[str]]:
    for key in KEYS:
        names = " = ".join(f"`{spelling}`" for spelling in key.spellings)
        default = "not set" if key.default is None else f"`{json.dumps(key.default)}`"
        yield [names, default, key.description.kind.expected, key.description.help]


def exit_codes() -> str:
    """Return all exit codes as a table."""
    return _table(["code", "meaning"], ([str(c), m] for c, m in EXIT_CODES.items()))


def routes() -> str:
    """Return all routes of the OpenAPI document as a table."""
    return _table(["route", "what it does"], _routes())


def _routes() -> Iterator[List[str]]:
    app: Any = make_app(Mock(), token=None, hosts={})
    document = getattr(app, "_app", app).openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            route = re.sub(r"\{(\w+)\}", lambda match: match[1].upper(), path)
            about = " ".join(operation["description"].split())
            yield [f"`{method.upper()} {route}`", about + _parameters(operation)]


def _parameters(operation: Dict[str, Any]) -> str:
    names = [
        f"`{parameter['name']}`"
        for parameter in operation.get("parameters", ())
        if parameter["in"] != "path"
    ]
    return f" Takes {', '.join(names)}." if names else ""


def task_transitions() -> str:
    """Return the table of transitions, as the docstring of its module has it."""
    rows = re.findall(
        r"^ {4}(\w+) +-> (\w+) +(\S.*)$", transitions.__doc__ or "", re.MULTILINE
    )
    note = ""
    cells = []
    for start, end, by in rows:
        events, found, condition = by.partition("(")
        # There, a row can say that its condition is that of the row before.
        note = note if condition == "the same)" else condition.rstrip(")")
        if condition == "derived)":  # it follows from another event
            cells.append([start, end, "none", events.strip()])
        else:
            cells.append([start, end, events.strip(), note if found else ""])
    return _table(["from", "to", "event", "when"], cells)


def layers() -> str:
    """Return a picture of the layers that `lint-imports` checks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(
        each
        for each in project["tool"]["importlinter"]["contracts"]
        if each["type"] == "layers" and each["containers"] == ["provctl"]
    )
    width = max(map(len, contract["layers"])) + 2
    rows = [f"│{layer:^{width}}│" for layer in contract["layers"]]
    between = f"├{'─' * width}┤"
    lines = [f"┌{'─' * width}┐", f"\n{between}\n".join(rows), f"└{'─' * width}┘"]
    return "```text\n" + "\n".join(lines) + "\n```\n"


def _table(head: List[str], rows: Iterable[List[str]]) -> str:
    first, *rest = (f"| {' | '.join(cells)} |\n" for cells in (head, *rows))
    return f"{first}|{'---|' * len(head)}\n{''.join(rest)}"


def picture_run() -> RunView:
    """Return the run in the picture: something of each kind."""
    return run_of(
        replace(
            done("image", 40.0), result=AttemptResult(cpu_s=31.5), started_at=960.0
        ),
        replace(
            running("server-1", 20, "reserving an address"),
            expected_end=1061.5,
            rate=1.7,
            cpu_percent=3.2,
            rss_bytes=45 << 20,
        ),
        replace(
            running("server-2", 66, "disk 2 of 3", attempt=2, attempts=3),
            expected_end=1018.2,
            rate=5.5,
            cpu_percent=87.0,
            rss_bytes=312 << 20,
        ),
        replace(
            failed("server-3", "Error: quota exceeded in es-mad1"),
            result=AttemptResult(1, cpu_s=0.3),
        ),
        replace(waiting("kubernetes"), waits_for=("server-1", "server-2")),
        replace(waiting("apps"), waits_for=("kubernetes",)),
        TaskView("notify", "ready"),
        expected_end=1133.0,
        id="k3f9x2m7qd",
    )


def live_view() -> str:
    """Return the picture of the live view: a frame of it, exported by rich."""
    frame = render(picture_run(), now=1012.0, width=_WIDTH, height=24)
    console = Console(
        record=True,
        width=_WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        _environ={},
    )
    console.print(frame, end="")
    svg = console.export_svg(title="provctl run", unique_id="live")
    # No font from elsewhere: the reader's own.
    svg = re.sub(r"\s*@font-face \{.*?\n {4}\}\n", "\n", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "ui-monospace, monospace")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


PARTS: Dict[str, Callable[[], str]] = {
    "exit-codes": exit_codes,
    "layers": layers,
    "routes": routes,
    "settings": settings,
    "transitions": task_transitions,
}


def filled(text: str) -> str:
    """Return a page with its generated parts as they are to be."""
    return re.sub(
        _MARKED,
        lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n{match[3]}",
        text,
        flags=re.DOTALL,
    )


def generated() -> Dict[Path, str]:
    """Return all files with generated parts, by path, as they are to be."""
    found = {}
    for page in sorted((ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if "<!-- begin generated: " in text:
            found[page] = filled(text)
    for shell, name in COMPLETIONS.items():
        script = SHELLS[shell](cli, {}, "provctl", COMPLETE_VAR).source()
        found[ROOT / "completions" / name] = script
    return {**found, ROOT / "docs" / PICTURE: live_view()}


def stale() -> List[str]:
    """Return the files that are not as they are to be."""
    return [
        str(path.relative_to(ROOT))
        for path, text in generated().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main() -> None:
    """Write the parts, or check them."""
    if sys.argv[1:] == ["--check"]:
        names = stale()
        if names:
            sys.exit(f"stale: {', '.join(names)}\nhelp:  python .ci/docs/generate.py")
        return
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
