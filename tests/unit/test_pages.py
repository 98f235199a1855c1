"""Every link of a page leads somewhere, and every command of make that it names is there."""

import re
from pathlib import PurePosixPath

import pytest

from tests.harness.pages import PAGES, text_of
from tests.harness.pipeline import PROJECT

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ANCHOR = re.compile(r'<a id="([^"]+)">')
COMMAND = re.compile(r"`make ([a-z-]+)|^make ([a-z-]+)", re.MULTILINE)
TARGET = re.compile(r"^([a-z-]+):.*## ", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """What a page's headings are called in links, as GitHub makes it of them."""
    headings = HEADING.findall(CODE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings} | {
        *ANCHOR.findall(text)
    }


def links_of(page: str) -> list[str]:
    return [link for link in LINK.findall(CODE.sub("", text_of(page))) if "://" not in link]


def broken(page: str, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (PROJECT / page).parent / path if path else PROJECT / page
    return not target.exists() or bool(anchor and anchor not in anchors(target.read_text()))


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    nowhere = [link for link in links_of(page) if broken(page, link)]
    assert not nowhere, f"{page} links to what is not there: {', '.join(nowhere)}"


def test_a_link_that_leads_nowhere_is_found() -> None:
    assert broken("README.md", "docs/none.md")
    assert broken("docs/files.md", "../README.md#none")
    assert not broken("docs/files.md", "../README.md#data")


def test_the_readme_leads_to_every_page() -> None:
    assert {*links_of("README.md")} >= {page for page in PAGES if PurePosixPath(page).name != "README.md"}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_make_is_there(page: str) -> None:
    named = {first or second for first, second in COMMAND.findall(text_of(page))}
    gone = named - {*TARGET.findall((PROJECT / "Makefile").read_text())}
    assert not gone, f"{page} names commands that the Makefile does not have: {', '.join(sorted(gone))}"
