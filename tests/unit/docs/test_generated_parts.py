"""Generated parts of the documentation match the code."""

from __future__ import annotations

import re
from collections import Counter
from typing import Dict
from xml.etree import ElementTree

import pytest

from provctl.config.registry import KEYS
from tests.support.documents import DOCUMENTS, ROOT, page
from tests.support.scripts import load_script

GENERATE = load_script(".ci/docs/generate.py")
PICTURE = ROOT / "docs" / GENERATE.PICTURE
PAGES: Dict[str, str] = {
    path.name: text
    for path, text in GENERATE.generated().items()
    if path.suffix == ".md"
}
RENEW = "this is stale: python .ci/docs/generate.py"


@pytest.mark.parametrize("name", PAGES)
def test_page_is_up_to_date(name: str) -> None:
    assert DOCUMENTS[f"docs/{name}"] == PAGES[name], RENEW


def test_picture_of_the_live_view_is_up_to_date() -> None:
    # The words and their styles; how they become shapes is a matter of rich's version.
    assert words_of(PICTURE.read_text()) == words_of(GENERATE.live_view()), RENEW


def words_of(svg: str) -> str:
    return "".join(ElementTree.fromstring(svg).itertext()).partition("}\n")[2]


def test_picture_loads_nothing() -> None:
    svg = PICTURE.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[\w./]+", svg)) <= {
        "http://www.w3.org/2000/svg",
        "https://www.textualize.io",  # a comment: who made it
    }
    assert "font-face" not in svg
    for name in ("README.md", "docs/index.md"):
        assert GENERATE.PICTURE in DOCUMENTS[name]


def test_each_generated_part_is_in_one_place() -> None:
    found = Counter(
        name
        for text in DOCUMENTS.values()
        for name in re.findall(r"<!-- begin generated: ([\w-]+) -->", text)
    )
    assert found == Counter(list(GENERATE.PARTS))
    assert all(GENERATE.PARTS[name]() in "".join(PAGES.values()) for name in found)


def test_control_stale_part_is_found() -> None:
    text = page("exit-codes")
    changed = text.replace("| 10 |", "| 99 |")
    assert changed != text
    assert GENERATE.filled(changed) == text


def test_settings_table_has_every_spelling_and_default() -> None:
    table = GENERATE.settings()
    for key in KEYS:
        for spelling in key.spellings:
            assert f"`{spelling}`" in table
    assert "| `server.port` = `orchestrator.port` | not set |" in table


def test_every_transition_and_every_route_is_listed() -> None:
    rows = GENERATE.task_transitions().splitlines()[2:]
    assert "| running | held | TaskHeld |  |" in rows
    assert len(rows) > 15
    routes = GENERATE.routes()
    for route in ("GET /health", "POST /workflows/RUN/cancel", "PUT /schedules/NAME"):
        assert f"| `{route}` | " in routes


def test_every_package_is_described() -> None:
    layers = set(re.findall(r"\w+", GENERATE.layers())) - {"text"}
    described = set(re.findall(r"^\| `(\w+)` \|", page("architecture"), re.MULTILINE))
    assert described - {"admit", "observe", "apply", "decide"} == layers
    there = {path.stem for path in (ROOT / "provctl").glob("[a-z]*")}
    assert layers <= there


def test_generate_check_reports_stale_pages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["generate.py", "--check"])
    monkeypatch.setattr(GENERATE, "stale", list)
    GENERATE.main()
    monkeypatch.setattr(GENERATE, "stale", lambda: ["docs/a.md"])
    with pytest.raises(SystemExit, match=r"stale: docs/a\.md"):
        GENERATE.main()
