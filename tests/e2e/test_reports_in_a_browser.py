"""The HTML report in a real browser without network: what it draws and requests."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Dict

import pytest
from PIL import Image, ImageColor

from provctl.render.graph.layout import COLOURS
from tests.support.tools import need

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl


@pytest.fixture(autouse=True)
def browser() -> None:
    need("chromium")


TASKS = {
    "ok": {"command": ["true"]},
    "bad": {"command": ["sh", "-c", "echo last words; exit 3"], "needs": ["ok"]},
}


def browsed(page: Path, *options: str) -> str:
    """Return the page as headless Chromium prints it; as root without network."""
    apart = ["unshare", "--net"] if os.geteuid() == 0 else []
    asked = [f"--user-data-dir={page.parent / 'profile'}", "--no-sandbox", *options]
    done = subprocess.run(
        [*apart, "chromium", "--headless", "--disable-gpu", *asked, page.as_uri()],
        capture_output=True,
        timeout=180,
        check=True,
    )
    return done.stdout.decode("utf-8")


def pixels_by_state(page: Path) -> Dict[str, int]:
    """The number of pixels in the page's screenshot with the colour of each state."""
    file = page.with_suffix(".png")
    browsed(page, f"--screenshot={file}", "--window-size=1000,900")
    with Image.open(file) as shot:
        counted = {
            colour: count
            for count, colour in shot.convert("RGB").getcolors(1000 * 900) or []
        }
    return {
        state: counted.get(ImageColor.getrgb(COLOURS[state][0]), 0)
        for state in ("succeeded", "failed", "running")
    }


def report_of(provctl: Provctl) -> Path:
    provctl("run", provctl.file(TASKS), code=10)
    page = provctl.folder / "report.html"
    provctl("workflow", "report", "@last", "--html", page)
    return page


def test_a_browser_without_a_network_shows_the_whole_page(provctl: Provctl) -> None:
    shown = browsed(report_of(provctl), "--dump-dom")
    assert "last words" in shown
    assert shown.count("<svg") == 2


def test_browser_shows_outcomes_in_their_colours(provctl: Provctl) -> None:
    page = report_of(provctl)
    pixels = pixels_by_state(page)
    assert pixels["succeeded"] > 500
    assert pixels["failed"] > 500
    assert pixels["running"] == 0
    page.write_text("<!doctype html><title>empty</title>", encoding="utf-8")
    assert set(pixels_by_state(page).values()) == {0}
