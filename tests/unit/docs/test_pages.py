"""The README is short, links work, and files named in the pages exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Iterator, Set, Tuple

import pytest

from tests.support.documents import DOCUMENTS, README, ROOT, page, section, spans

if TYPE_CHECKING:
    from pathlib import Path

_LINK = re.compile(r"\]\(([^)\s]+)\)")
# Of a span: a file or a folder of the repository.
_PATH = re.compile(r"(?:examples|provctl|tests|docs|\.ci)/[\w./-]*\w|install\.sh")
# Faults without a test, each with its reason in the page.
UNTESTED = {9, 33}


def test_the_readme_is_short() -> None:
    assert len(DOCUMENTS[README].encode()) <= 8000


def links() -> Iterator[Tuple[str, str]]:
    for name, text in DOCUMENTS.items():
        for link in sorted(set(_LINK.findall(text))):
            if not link.startswith(("http://", "https://")):
                yield name, link


@pytest.mark.parametrize(("document", "link"), list(links()))
def test_link_has_a_target(document: str, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (ROOT / document).parent / path if path else ROOT / document
    assert target.is_file(), link
    if anchor:
        assert anchor in anchors(whole(target)), link


def whole(page: Path) -> str:
    """A page with the files it includes."""
    text = page.read_text(encoding="utf-8")
    included = re.fullmatch(r'--8<-- "(.+)"\n', text)
    return (ROOT / included[1]).read_text(encoding="utf-8") if included else text


def anchors(text: str) -> Set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    kept = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[\s-]+", "-", heading) for heading in kept}


def test_every_page_is_linked_from_the_readme_or_the_overview() -> None:
    linked = {link.partition("#")[0] for name, link in links() if name == README}
    linked |= {f"docs/{link}" for name, link in links() if name == "docs/index.md"}
    pages = set(DOCUMENTS) - {README, "docs/index.md"}
    # README leads to the files themselves.
    assert pages - linked <= {"docs/contributing.md", "docs/changelog.md"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_files_exist(document: str) -> None:
    for span in spans(document):
        for path in _PATH.findall(span):
            if re.fullmatch(rf"(\./)?{re.escape(path)}( .*)?", span):
                assert (ROOT / path).exists(), span


def test_every_fault_has_a_test_and_a_number_in_the_catalogue() -> None:
    rows = re.findall(
        r"^\| (\d+) \| (.+) \|$", section("guarantees", "Fault catalogue"), re.MULTILINE
    )
    assert [int(number) for number, _ in rows] == list(range(1, 94))
    tested = set(numbers_of_tests())
    assert tested == set(range(1, 94)) - UNTESTED
    for number in UNTESTED:
        assert re.search(rf"Not tested: .*\b{number}\b", page("guarantees"))


def numbers_of_tests() -> Iterator[int]:
    for path in (ROOT / "tests" / "fault").glob("test_*.py"):
        for name in re.findall(r"^def test_(\w+)", path.read_text(), re.MULTILINE):
            found = re.match(r"(?:control_)?(?:case_)?((?:\d+_)+)", name)
            yield from map(int, found[1].split("_")[:-1]) if found else ()


def test_every_guarantee_is_listed() -> None:
    rows = re.findall(
        r"^\| (G\d+) \|", section("guarantees", "What is promised"), re.MULTILINE
    )
    assert rows == [f"G{number}" for number in range(1, 14)]


def test_documented_installer_options_exist() -> None:
    installer = (ROOT / "install.sh").read_text(encoding="utf-8")
    shown = set(re.findall(r"\./install\.sh (--[\w-]+)", page("installation")))
    assert len(shown) > 2
    for option in shown:
        assert re.search(rf"^\s*{option}\)", installer, re.MULTILINE), option
