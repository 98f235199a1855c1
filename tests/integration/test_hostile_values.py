"""Whatever a category is called, its rows are in one file inside OUTPUT_DIR, and the index finds it."""

import json
import random
import subprocess
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.pipeline import PROJECT, Pipeline

_CATEGORIES = 10_000
_HEADER = b"Name,Number"
_AWKWARD = [
    *("", ".", "..", "../", "../../../../etc/passwd", "/etc/passwd", "/", "//", "a/../../b", "./a", "a;b", "%"),
    *("\0", "a\0b", "\r", "\n", "\r\n", "a\nb", '"', '""', "'", ",", "a,b", "\\", "..\\..\\a", "C:\\a", "file:///a"),
    *("CON", "con", "CON.csv", "NUL", "nul.txt", "COM1", "LPT9", "AUX", "PRN", "rejected", "rejected.csv", ".nacre"),
    *("-", "--", "-rf", "--help", ".hidden", "..hidden", "-.", "a.", "a ", " a", " ", "\t", "$(id)", "`id`", "\x7f"),
    *("~", "~empty", "~blank", "a~2", "%2F", "%2e%2e", "%00", "M.csv", "M.csv.csv", ".csv", "all", "all.csv", "null"),
    *("\ufeff", "\u202e", "\u200b", "\ufffd", "\U0001f600", "\xdf", "\u1e9e", "\u017f", "\u212a", "\u0130", "\u0131"),
    *("categorized-0.ledger", "\x1b[2J", "None", "NaN", "0", "-0"),
]
_PIECES = [
    *_AWKWARD,
    *"abcABCéÉñÅ日本",
    "e\u0301",
    "A\u030a",
    "n\u0303",
    "../",
    "/",
    "\\",
    "\0",
    "\x01",
    ".",
    "-",
    " ",
    "%",
]


def hostile_texts() -> Iterator[str]:
    """Texts that are hard on names of files, some of them twice; always the same."""
    chance = random.Random(7)  # noqa: S311 - it is to be repeatable
    yield from _AWKWARD
    while True:
        text = "".join(chance.choices(_PIECES, k=chance.randint(1, 6)))
        yield text
        match chance.randrange(20):
            case 0:
                # As long as a name may be, about, and longer.
                yield (text * 300)[: chance.randint(190, 310)]
            case 1:
                # Alike but for the end.
                long = (text * 10_000)[:10_000]
                yield from (long, long[:-1] + "x")
            case 2:
                yield text.swapcase()
            case 3:
                yield unicodedata.normalize("NFC", text)
                yield unicodedata.normalize("NFD", text)
            case 4:
                yield "." + text
                yield "-" + text


def quoted(text: str) -> bytes:
    return b'"' + text.replace('"', '""').encode() + b'"'


@pytest.mark.long
@pytest.mark.timeout(600)
def test_ten_thousand_hostile_categories_are_mapped_back_from_their_files(pipeline: Pipeline, tmp_path: Path) -> None:
    texts: dict[str, None] = {}
    for text in hostile_texts():
        texts[text] = None
        if len(texts) == _CATEGORIES:
            break
    rows = [(text, b"%s,%d" % (quoted(text), number)) for number, text in enumerate([*texts, *reversed(texts)])]
    source = tmp_path / "hostile.csv"
    source.write_bytes(b"\n".join([_HEADER, *(row for _, row in rows), b""]))
    expected: defaultdict[str | None, bytes] = defaultdict(lambda: _HEADER + b"\n")
    for text, row in rows:
        expected[text or None] += row + b"\n"
    pipeline.run(source, "Name")
    command = [sys.executable, "-m", "ops", "index", str(pipeline.output)]
    index = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True).stdout
    told = [json.loads(line) for line in index.splitlines()]
    assert {line["split"] for line in told} == {"Name"}
    assert all(line["rows"] == 2 for line in told)
    [schema] = {line["schema"] for line in told}
    assert [record.key for record in pipeline.observer.schemas()] == [schema.encode()]
    files = pipeline.output_files()
    assert {line["path"]: line["bytes"] for line in told} == {path: len(content) for path, content in files.items()}
    found = {line["category"][0]: files[line["path"]] for line in told}
    assert len(found) == len(told) == _CATEGORIES
    wrong = [text for text, content in expected.items() if found.get(text) != content]
    assert wrong == []
    # Nothing is beside the output, and no link leads out of it.
    assert {path.name for path in pipeline.folder.iterdir() if path.suffix != ".log"} == {"out"}
    assert all(path.resolve() == path for path in pipeline.output.resolve().rglob("*"))
