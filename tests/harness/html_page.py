"""A page of HTML as a parser reads it, and as a browser does: its elements, and the texts of its tables by section."""

import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

# Of HTML, and the shapes of SVG that the pages have, which close themselves.
_VOID = {"meta", "br", "link", "img", "input", "hr"}
_DEADLINE_S = 60

Row = list[str]
Table = list[Row]


@dataclass
class HtmlPage:
    """What is in a page. `tables` and `texts` are by the id of the section, or header, that they are in."""

    tags: Counter[str] = field(default_factory=Counter)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    tables: dict[str, list[Table]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    style: str = ""
    title: str = ""

    def values(self, tag: str, attribute: str) -> list[str]:
        """The values of an attribute in all elements of this name."""
        return [value for of, name, value in self.attributes if (of, name) == (tag, attribute)]


def parse_page(text: str) -> HtmlPage:
    """Parse a page; every element has to be closed in its order."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert parser.open_tags == []
    return parser.page


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = HtmlPage()
        self.open_tags: list[str] = []
        self._section = ""
        self._tables: list[Table] = []
        # The texts of the cells that are open, the innermost last.
        self._cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in _VOID:
            self.open_tags.append(tag)
        if tag in ("section", "header"):
            self._section = dict(attrs).get("id") or ""
        if tag == "table":
            self._tables.append([])
            self.page.tables.setdefault(self._section, []).append(self._tables[-1])
        if tag == "tr":
            self._tables[-1].append([])
        if tag in ("td", "th"):
            self._cells.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.tags[tag] += 1
        self.page.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag
        if tag in ("td", "th"):
            self._tables[-1][-1].append(" ".join(self._cells.pop().split()))
        if tag == "table":
            self._tables.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self.open_tags:
            self.page.style += data
            return
        if self.open_tags[-2:] == ["head", "title"]:
            self.page.title += data
        self.page.texts[self._section] = self.page.texts.get(self._section, "") + data
        if self._cells:
            # A cell that holds a table has none of that table's texts.
            self._cells[-1] += data


def find_chromium() -> str | None:
    """The browser's command, None where there is none."""
    return next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


def browse(chromium: str, page: Path, profile: Path) -> tuple[str, str]:
    """Show a file in a headless browser; the document as it has become, and what the browser logged of it."""
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command += [f"--user-data-dir={profile}", "--virtual-time-budget=2000", page.absolute().as_uri()]
    done = subprocess.run(command, capture_output=True, check=True, timeout=_DEADLINE_S)
    return done.stdout.decode(), done.stderr.decode(errors="replace")
