"""The results of benchmarks: the table, and a file to compare a later run with."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional

__all__ = ["Finding", "compare", "file_system", "save"]

_SLOWER = 1.05  # times the earlier value, from which on a comparison fails


@dataclass(frozen=True)
class Finding:
    """One line of the table: what was measured, and the bar it has to stay under.

    `place` names the file system that was measured on.
    """

    what: str
    value: float
    unit: str
    bar: Optional[float] = None
    notes: str = ""
    place: str = ""

    @property
    def missed(self) -> bool:
        return self.bar is not None and self.value > self.bar

    def __str__(self) -> str:
        bar = "" if self.bar is None else f"{self.bar:g} {self.unit}"
        verdict = "MISSED" if self.missed else ("ok" if bar else "")
        measured = f"{self.value:.3g} {self.unit}"
        line = f"{self.place:<6} {self.what:<42} {measured:>10} {bar:>10} {verdict:<6}"
        return f"{line} {self.notes}".rstrip()


def save(findings: Iterable[Finding], file: Path) -> None:
    """Write findings as JSON, with the machine and the Python they are of."""
    document = {
        "machine": platform.platform(),
        "python": platform.python_version(),
        "findings": [asdict(finding) for finding in findings],
    }
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def compare(findings: Iterable[Finding], earlier: Path) -> List[str]:
    """Return a line for each finding that an earlier file has, too.

    A line ends with SLOWER if the value is more than 5 % above the earlier one. Values
    are comparable if both runs are of the same machine, best one after the other.
    """
    document: Dict[str, Any] = json.loads(earlier.read_bytes())
    before = {(f["place"], f["what"]): f["value"] for f in document["findings"]}
    lines: List[str] = []
    for finding in findings:
        old = before.get((finding.place, finding.what))
        if not old:
            continue
        ratio = finding.value / old
        verdict = "  SLOWER" if ratio > _SLOWER else ""
        what = f"{finding.place:<6} {finding.what:<42}"
        lines.append(
            f"{what} {old:>8.3g} -> {finding.value:.3g} {finding.unit}"
            f"  ({ratio:.2f} x){verdict}"
        )
    return lines


def file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on, such as "ext4"."""
    best, kind = "", ""
    target = str(folder.resolve())
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, mount, each, *_ = line.split()
        inside = target == mount or target.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, each
    return kind or "unknown"
