"""HTML and JUnit reports of runs: complete, self-contained and safe."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

if TYPE_CHECKING:
    from tests.support.installed import Provctl

_VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """The content of a page: its tags, its text, and whether all tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: List[Tuple[str, Dict[str, Optional[str]]]] = []
        self.text = ""
        self._open: List[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], self._open

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(
        self, tag: str, attrs: List[Tuple[str, Optional[str]]]
    ) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def reported(provctl: Provctl) -> Page:
    out = provctl.folder / "report.html"
    said = provctl("workflow", "report", "@last", "--html", out).err
    assert str(out) in said
    return Page(out.read_text(encoding="utf-8"))


def test_html_report_is_complete_and_loads_nothing(provctl: Provctl) -> None:
    tasks = {
        "ok": {"command": ["true"]},
        "bad": {"command": ["sh", "-c", "echo last words; exit 3"], "needs": ["ok"]},
        "flaky": {
            "command": ["sh", "-c", "[ -e seen ] || { touch seen; exit 1; }"],
            "retry": {"attempts": 2},
        },
    }
    provctl("run", provctl.file(tasks), code=10)
    page = reported(provctl)
    assert "last words" in page.text
    assert "exit code 3" in page.text
    names = {tag for tag, _ in page.tags}
    assert {"svg", "table", "style"} <= names
    assert not names & {"script", "link", "img", "iframe", "object"}
    for _, attributes in page.tags:
        assert not {"src", "href"} & attributes.keys()
    assert not re.search(r"url\(|@import", page.text)
    # Each try has a bar: flaky has two.
    (row,) = re.findall(r"flaky\s*2\s*succeeded", " ".join(page.text.split()))[:1]
    assert row


def test_html_report_escapes_hostile_texts(provctl: Provctl) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    file = provctl.file(
        {"a": {"command": ["sh", "-c", f"echo '{evil}'; exit 1"]}},
        name=evil[:40].replace("/", ""),
        params={"zone": evil},
    )
    provctl("run", file, code=10)
    page = reported(provctl)
    assert evil in page.text
    assert not {tag for tag, _ in page.tags} & {"script", "img"}


def test_html_report_of_an_unfinished_run_shows_its_state(provctl: Provctl) -> None:
    run = provctl.submit(provctl.endless())
    provctl.until_ready(run)
    page = reported(provctl)
    assert "running" in page.text
    provctl("cancel", run)


def cases_of(provctl: Provctl, name: str) -> Dict[str, ET.Element]:
    root = ET.parse(provctl.folder / name).getroot()
    assert root.tag == "testsuites"
    return {str(case.get("name")): case for case in root.iter("testcase")}


def test_junit_shows_retries_as_flaky(provctl: Provctl) -> None:
    tasks = {
        "ok": {"command": ["true"]},
        "bad": {
            "command": ["sh", "-c", "printf 'a\\001<b>&'; exit 3"],
            "retry": {"attempts": 2},
        },
        "never": {"command": ["true"], "needs": ["bad"]},
        "flaky": {
            "command": ["sh", "-c", "[ -e seen ] || { touch seen; exit 1; }"],
            "retry": {"attempts": 2},
        },
    }
    provctl("run", provctl.file(tasks), "--junit", "j.xml", code=10)
    cases = cases_of(provctl, "j.xml")
    assert list(cases) == list(tasks)
    kinds = {name: [each.tag for each in case] for name, case in cases.items()}
    assert kinds == {
        "ok": [],
        "bad": ["failure", "rerunFailure"],
        "never": ["skipped"],
        "flaky": ["flakyFailure"],
    }
    failure = cases["bad"].find("failure")
    assert failure is not None
    assert failure.get("message") == "exit code 3"
    assert "<b>&" in (failure.text or "")
    suite = ET.parse(provctl.folder / "j.xml").getroot()[0]
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "0", "skipped": "1"}
    provctl("workflow", "report", "@last", "--junit", "again.xml")
    assert cases_of(provctl, "again.xml").keys() == cases.keys()
    assert "--junit" in provctl("workflow", "report", "@last", code=2).err


def test_reports_accept_invalid_utf_8(provctl: Provctl) -> None:
    shout = (
        "import os; os.write(1, b'\\xef\\xbf\\xbe \\x01 \\xff\\n'); raise SystemExit(1)"
    )
    tasks = {"a": {"command": ["python3", "-c", shout]}}
    file = provctl.file(tasks).rename(provctl.folder / os.fsdecode(b"w\xff.json"))
    files = ("--html", "r.html", "--junit", "j.xml", "--summary", "s.md")
    provctl("run", file, *files[2:], code=10)
    provctl("workflow", "report", "@last", *files)
    assert ET.parse(provctl.folder / "j.xml").getroot().tag == "testsuites"
    page = Page((provctl.folder / "r.html").read_text(encoding="utf-8"))
    assert "w\\udcff.json" in page.text
    assert "a" in (provctl.folder / "s.md").read_text(encoding="utf-8")
