"""Compares output with what a filter over the input would give, row by row, with no code of the services."""

import csv
import gzip
import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from common.protocol.output_folder import is_reserved
from tests.harness.chaos.rows import COLUMNS, HEADER, SPLITS, paths_of, source_of
from tests.harness.parts import part_of

_REJECTED_HEADER = ["source", "line", "offset", "split", "code", "reason", "row"]

# A file and a source whose rows are in it.
Stream = tuple[str, str]
# Line, byte offset, the row.
Rejected = tuple[int, int, bytes]


class Digest:
    """Rows in order, as a count and a hash: equal digests mean equal bytes."""

    def __init__(self) -> None:
        self.rows = 0
        self.size = 0
        self._hash = blake2b(digest_size=16)

    def add(self, row: bytes) -> None:
        """Add the next row, with its line ending."""
        self.rows += 1
        self.size += len(row)
        self._hash.update(row)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"{self.rows} rows, {self.size} bytes, {self._hash.hexdigest()}"


@dataclass(slots=True)
class Content:
    """What the files hold or should hold: rows by file and source, rejections by source and split."""

    rows_in: int = 0
    streams: defaultdict[Stream, Digest] = field(default_factory=lambda: defaultdict(Digest))
    rejected: defaultdict[tuple[str, str], list[Rejected]] = field(default_factory=lambda: defaultdict(list))

    @property
    def paths(self) -> set[str]:
        """The category files."""
        return {path for path, _ in self.streams}

    @property
    def size(self) -> int:
        """The bytes of all category files together."""
        return sum(digest.size for digest in self.streams.values()) + len(HEADER) * len(self.paths)

    @property
    def rows_out(self) -> int:
        """The rows of all files together, those in rejected.csv too."""
        return sum(digest.rows for digest in self.streams.values()) + self.rejections

    @property
    def rejections(self) -> int:
        """How many there are."""
        return sum(map(len, self.rejected.values()))

    def rows_of_split(self, split: str) -> int:
        """The rows in a split's files and those rejected for it."""
        written = sum(
            d.rows for (path, _), d in self.streams.items() if path.removesuffix(".csv").split("/")[0] == split
        )
        return written + sum(len(found) for (_, of), found in self.rejected.items() if of in {"", split})


def expected_content(inputs: Mapping[str, Path]) -> Content:
    """What the files should hold for these sources, by the name in their rows."""
    content = Content()
    for path in inputs.values():
        with path.open("rb") as file:
            header = file.readline()
            assert header == HEADER, path
            offset = len(header)
            for line, row in enumerate(file, start=2):
                content.rows_in += 1
                _expect(content, str(path), line, offset, row)
                offset += len(row)
    return content


def _expect(content: Content, source: str, line: int, offset: int, row: bytes) -> None:
    text = row.rstrip(b"\n")
    fields = text.split(b",")
    if len(fields) != COLUMNS:
        content.rejected[source, ""].append((line, offset, text))
        return
    name = source_of(row)
    for split, path in paths_of(fields).items():
        if path is None:
            content.rejected[source, split].append((line, offset, text))
        else:
            content.streams[path, name].add(row)


def found_content(output: Path) -> Content:
    """What an output folder holds: finished and open files of a category count as one."""
    content = Content()
    parts: Counter[str] = Counter()
    for path in files_in(output):
        if path == "rejected.csv":
            _read_rejected(content, (output / path).read_bytes())
            continue
        name, number = whole(path)
        parts[name] += 1
        assert number == parts[name], f"{path} is there, part {parts[name]} is not, or twice"
        with gzip.open(output / path) if path.endswith(".gz") else (output / path).open("rb") as file:
            header = file.readline()
            assert header == HEADER, f"{path} begins with {header!r}"
            for row in file:
                content.streams[name, source_of(row)].add(row)
    return content


def whole(path: str) -> tuple[str, int]:
    """The file that this one is a part of, and its number; a file without parts is the first."""
    return part_of(path) or (path, 1)


def files_in(output: Path) -> Iterator[str]:
    """The files that are for readers."""
    for path in sorted(output.rglob("*")):
        relative = str(path.relative_to(output))
        if path.is_file() and not is_reserved(relative):
            yield relative


def _read_rejected(content: Content, data: bytes) -> None:
    header, *lines = csv.reader(io.StringIO(data.decode("latin-1"), newline=""))
    assert header == _REJECTED_HEADER
    for source, line, offset, split, _, _, row in lines:
        content.rejected[source, split].append((int(line), int(offset), row.encode("latin-1")))


def differences(found: Content, expected: Content) -> list[str]:
    """What is lost, repeated, torn or out of order, in words; nothing if all is well."""
    told = [
        f"{path}, rows of {source}: {found.streams.get((path, source))}, not {expected.streams.get((path, source))}"
        for path, source in sorted(found.streams.keys() | expected.streams.keys())
        if found.streams.get((path, source)) != expected.streams.get((path, source))
    ]
    told += [
        f"rejected of {source} by {split!r}: {_summary(found.rejected.get((source, split), []))}, not "
        f"{_summary(expected.rejected.get((source, split), []))}"
        for source, split in sorted(found.rejected.keys() | expected.rejected.keys())
        if found.rejected.get((source, split)) != expected.rejected.get((source, split))
    ]
    told += [
        f"split {split}: {expected.rows_in} rows in, {found.rows_of_split(split)} out or rejected"
        for split in SPLITS
        if found.rows_of_split(split) != expected.rows_in
    ]
    return told


def _summary(rejected: list[Rejected]) -> str:
    return f"{len(rejected)} rows {rejected[:2]}"
