"""How often DELIMITER=auto and QUOTE=auto are right, and how long they take, beside csv.Sniffer and CleverCSV.

    python benchmarks/dialects.py [FOLDER]

Files are made here, in every dialect with every content; those of FOLDER are added, which has what
github.com/ws-garcia/CSVsniffer has in `python/`: three published sets of real files and their dialects, annotated by
hand (Pollock, CSV Wrangling, W3C). CleverCSV is measured where it is installed (0.8.5 here).
"""

import csv
import io
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from services.ingest.parsing.encodings import find_encoding
from services.ingest.parsing.opening import find_opening
from services.ingest.parsing.options import ReadOptions
from services.ingest.parsing.sampling import SAMPLE_BYTES

_MOST_S = 3
_BOM = b"\xef\xbb\xbf"
_MARKS = {"comma": ",", "semicolon": ";", "tab": "\t", "vslash": "|", "space": " ", "colon": ":", "nsign": "#"}
_QUOTES = {"singlequote": "'"}
_SETS = {
    "Pollock": ("POLLOCK-dialect_annotations.txt", "CSV"),
    "CSV Wrangling": ("CCSV-manual_Dialect_Annotation.txt", "CSV_Wrangling"),
    "W3C": ("W3C-CSVW-dialect_annotations.txt", "W3C-CSVW"),
}


@dataclass(frozen=True, slots=True)
class File:
    """A file and how it is written; `delimiter` is "" where it has one column, `quote` where nothing is quoted."""

    corpus: str
    name: str
    data: bytes
    encoding: str
    delimiter: str
    quote: str


# Files that are made

_WORDS = [
    "pipe", "river", "Jean-Luc", "O'Neill", "东京", "Größe", "naïve", "station", "A/B", "50%", "note", "(UTC)", "x=1",
]  # fmt: skip


def _values(content: str, n: int, rng: random.Random) -> list[str]:
    """A row of one kind of content."""
    words = " ".join(rng.choices(_WORDS, k=3))
    day, clock = f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}", f"{n % 24:02}:{n % 60:02}:{rng.randrange(60):02}"
    return {
        "numbers": [str(n), f"{rng.random():.4f}", str(rng.randrange(10**6)), f"-{rng.random():.1e}"],
        "names": [str(n), words, f"Smith, {rng.choice(_WORDS)}", rng.choice(["yes", "no", ""])],
        "times": [day, clock, f"{day}T{clock}+02:00", f"{day} {clock}"],
        "addresses": [":".join(f"{rng.randrange(256):02x}" for _ in range(6)), f"fe80::{n:x}:1", f"10.0.{n % 256}.7"],
        "pages": [f"https://example.org/{n}/a;b?q=1&r={words.replace(' ', '+')}", str(n), f"me{n}@example.org"],
        "decimal commas": [str(n), f"{rng.randrange(1000)},{rng.randrange(100):02}", f"1.{n % 1000:03},50", "EUR"],
        "lists": [str(n), "a;b;c", "x|y", words],
        "empty": ["", str(n) if n % 3 else "", "", words if n % 5 else ""],
        "texts": [str(n), f'He said "{words}"; then, nothing', words, f"line {n}\nand another"],
        "inches": [str(n), f'{n}" pipe', words, "in"],
        "one column of names": [f"Doe, {words}"],
        "one column of times": [f"{day} {clock}"],
        "one column of addresses": [":".join(f"{rng.randrange(256):02x}" for _ in range(6))],
        "one column of numbers": [f"{n},{rng.randrange(100):02}"],
    }[content]


_CONTENTS = [
    "numbers", "names", "times", "addresses", "pages", "decimal commas", "lists", "empty", "texts", "inches",
    "one column of names", "one column of times", "one column of addresses", "one column of numbers",
]  # fmt: skip


def _written(fields: list[str], delimiter: str, quote: str, *, every: bool) -> str:
    def field(text: str) -> str:
        if quote and (every or any(mark in text for mark in (delimiter, quote, "\n"))):
            return quote + text.replace(quote, quote * 2) + quote
        return text

    return delimiter.join(map(field, fields))


def made_files() -> Iterator[File]:
    """Each content with each delimiter, quote, encoding and number of rows."""
    rng = random.Random(20)  # noqa: S311 - no secret
    for content in _CONTENTS:
        alone = content.startswith("one column")
        for delimiter in ",;\t|":
            for quote, every in (('"', False), ('"', True), ("'", True), ("", False)):
                for encoding, rows in (("utf-8", 3), ("utf-8", 40), ("gb18030", 40), ("utf-8", 1000)):
                    table = [_values(content, n, rng) for n in range(rows)]
                    flat = [text for row in table for text in row]
                    if not quote and any(delimiter in text or "\n" in text for text in flat):
                        continue
                    if delimiter == "|" and encoding != "utf-8":
                        # It may be part of a character: refused.
                        continue
                    header = [
                        f"{name} {number}"
                        for number, name in enumerate(["id", "value", "a note", "to"][: len(table[0])])
                    ]
                    lines = [_written(row, delimiter, quote, every=every) for row in (header, *table)]
                    data = "\n".join([*lines, ""]).encode(encoding)
                    name = f"{content} {delimiter!r} {quote!r} {every=} {encoding} {rows}"
                    yield File("made here", name, data, encoding, "" if alone else delimiter, quote)


# Files that are published


def published_files(folder: Path) -> Iterator[File]:
    """Those whose dialect is known, but UTF-16."""
    for corpus, (annotations, below) in _SETS.items():
        for line in (folder / "ground truth" / annotations).read_text(errors="replace").splitlines():
            name, *rest = line.split("|")
            path = folder / below / name
            if line.startswith("#") or len(rest) < 4 or not path.is_file():  # noqa: PLR2004 - as many as are read below
                continue
            data = path.read_bytes()
            if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
                yield File(corpus, name, data, rest[0], _MARKS.get(rest[1], rest[1]), _QUOTES.get(rest[2], '"'))


# What detects dialects

Answer = tuple[str, str] | None


def nacre(data: bytes, encoding: str) -> Answer:
    """As ingest does with the whole file."""
    opening = find_opening(data, ReadOptions(delimiter=None, quote=None, encoding=encoding), at_end=True)
    if opening is None or opening.schema is None:
        return None
    dialect = opening.schema.dialect
    return dialect.delimiter.decode(), dialect.quote.decode()


def sniffer(data: bytes, encoding: str) -> Answer:
    """Python's own."""
    found = csv.Sniffer().sniff(data[:SAMPLE_BYTES].removeprefix(_BOM).decode(encoding, "replace"))
    return found.delimiter, found.quotechar or ""


def clevercsv(data: bytes, encoding: str) -> Answer:
    """With the candidates that it has."""
    # It may not be installed.
    text = data[:SAMPLE_BYTES].removeprefix(_BOM).decode(encoding, "replace").replace("\0", "x")
    found = import_module("clevercsv.detect").Detector().detect(text)
    return None if found is None else (found.delimiter or "", found.quotechar or "")


class _TooLongError(Exception):
    pass


def _give_up(_number: int, _frame: object) -> None:
    raise _TooLongError


def _measure(find: Callable[[bytes, str], Answer], file: File, encoding: str) -> tuple[Answer, float]:
    began = time.process_time()
    answer: Answer = None
    signal.setitimer(signal.ITIMER_VIRTUAL, _MOST_S)
    # What each raises where it finds nothing.
    with suppress(csv.Error, ValueError, _TooLongError, IndexError):
        answer = find(file.data, encoding)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return answer, time.process_time() - began


def _is_right(file: File, answer: Answer, encoding: str) -> bool:
    """Whether the file is read as it is meant, whatever the marks are: one column has none."""
    if answer is None or len(answer[0]) > 1:
        return False
    text = file.data[: 4 * SAMPLE_BYTES].removeprefix(_BOM).decode(encoding, "replace")
    return _table(text, *answer) == _table(text, file.delimiter, file.quote)


def _table(text: str, delimiter: str, quote: str) -> list[list[str]]:
    lines = io.StringIO(text, newline="")
    mark = delimiter or "\x1f"
    if not quote:
        return list(csv.reader(lines, delimiter=mark, quoting=csv.QUOTE_NONE))
    return list(csv.reader(lines, delimiter=mark, quotechar=quote))


def main() -> None:
    """Print a table."""
    signal.signal(signal.SIGVTALRM, _give_up)
    files = list(made_files())
    for folder in map(Path, sys.argv[1:]):
        files += published_files(folder)
    finders = {"nacre": nacre, "csv.Sniffer": sniffer} | ({"CleverCSV": clevercsv} if find_spec("clevercsv") else {})
    sys.stdout.write("| files | | right | median | slowest |\n| --- | --- | --- | --- | --- |\n")
    for corpus in dict.fromkeys(file.corpus for file in files):
        # A header alone decides nothing.
        of_corpus = [file for file in files if file.corpus == corpus and len(file.data.strip().splitlines()) > 1]
        for name, find in finders.items():
            right, times = 0, []
            for file in of_corpus:
                try:
                    encoding = find_encoding(file.encoding).name
                except ValueError:
                    encoding = "utf-8"
                answer, took = _measure(find, file, encoding)
                right += _is_right(file, answer, encoding)
                times.append(took)
            middle = sorted(times)[len(times) // 2]
            share = f"{right} of {len(of_corpus)}, {right / len(of_corpus):.1%}"
            sys.stdout.write(f"| {corpus} | {name} | {share} | {middle * 1000:.1f} ms | {max(times):.2f} s |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
