"""The demo's files: its input, its output folder, and what is read back of them."""

import csv
import fcntl
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from common.protocol.output_folder import HIDDEN, REJECTED_PATH
from common.protocol.receipts import decode_receipt
from ops.demo.proof import (
    BYTES_AS_TEXT,
    CategoryFile,
    RejectedRow,
    WholeFile,
    count_rows,
    prove,
    prove_receipt,
    prove_whole,
    read_rejected,
    without,
)
from ops.findings import Finding, shown_path
from services.sink.paths.names import file_path, parse_path
from services.sink.paths.receipts import receipt_path
from services.split.categories.splits import Split

# This file marks a folder as a demo's: a real pipeline's output has a hidden folder with ledgers too.
_MARKER = "demo"


class DemoError(Exception):
    """The demo cannot run; the message says why, for the person who asked for it."""


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Empty the folder and lock it for this demo. Raises DemoError unless it is a demo's, empty, or not there."""
    marker = folder / HIDDEN / _MARKER
    if folder.exists() and not folder.is_dir():
        raise DemoError(f"{folder} is not a folder")
    if folder.is_dir() and any(folder.iterdir()):
        if not marker.is_file():
            raise DemoError(f"{folder} is not empty and not a demo's: name another folder with --output-dir")
        with marker.open("rb") as held:
            _lock(held.fileno(), folder)
            shutil.rmtree(folder)
    marker.parent.mkdir(parents=True)
    with marker.open("xb") as held:
        _lock(held.fileno(), folder)
        yield


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoError(f"another demo is running in {folder}") from None


def repeat_rows(data: bytes, rows: int) -> Iterator[bytes]:
    """Pieces of a CSV file that has the header of `data`, and its rows again and again until there are `rows`."""
    lines = data.splitlines(keepends=True)
    reader = csv.reader(line.decode(BYTES_AS_TEXT) for line in lines)
    ends = [reader.line_num for _ in reader]
    if len(ends) < 2:  # noqa: PLR2004 - a header and a row
        raise DemoError("the input has no rows to repeat")
    ending = lines[0][len(lines[0].rstrip(b"\r\n")) :]
    if not lines[-1].endswith((b"\r", b"\n")):
        lines[-1] += ending
    header_end, *row_ends = ends
    yield b"".join(lines[:header_end])
    body = b"".join(lines[header_end:])
    whole_times, more = divmod(rows, len(row_ends))
    for _ in range(whole_times):
        yield body
    if more:
        yield b"".join(islice(lines, header_end, row_ends[more - 1]))


def count_input(path: Path) -> int:
    """The rows of a CSV file."""
    with path.open(encoding=BYTES_AS_TEXT, newline="") as file:
        return count_rows(file).count


def read_back(folder: Path, splits: Sequence[Split]) -> tuple[list[CategoryFile], list[RejectedRow]]:
    """Every category's file below the folder, and the rejected rows. Raises DemoError for a file of no split."""
    # The first part of any path of a split is the split's folder.
    folders = {file_path(split.name, ("-",) * len(split.columns), 1).split("/")[0]: split.name for split in splits}
    files = []
    rejected: list[RejectedRow] = []
    for path in sorted(folder.rglob("*.csv")):
        relative = path.relative_to(folder).as_posix()
        with path.open(encoding=BYTES_AS_TEXT, newline="") as file:
            if relative == REJECTED_PATH:
                rejected = read_rejected(file)
            else:
                split = folders.get(relative.split("/")[0])
                if split is None:
                    raise DemoError(f"{path} belongs to no split of this run")
                files.append(CategoryFile(split, _category(relative), count_rows(file)))
    return files, rejected


def _category(relative: str) -> str:
    """The category of a path as people write it."""
    try:
        _, category, _ = parse_path(relative)
    except ValueError:
        # A long name is cut off and ends in a digest of its text, so it cannot be parsed.
        return Path(relative).stem
    return "+".join("(empty)" if part is None else part for part in category)


def check(
    data: bytes, name: str, source: str, folder: Path, splits: Sequence[Split]
) -> tuple[list[CategoryFile], list[Finding]]:
    """The files that the run has written, and what they prove. `source` is what the input is called in them."""
    files, rejected = read_back(folder, splits)
    findings = prove(data, name, [split.name for split in splits], files, rejected)
    for split in splits:
        if not split.columns:
            left_out = [row for row in rejected if row.split in ("", split.name)]
            path = folder / file_path(split.name, (), 1)
            expected = hashlib.sha256(without(data, left_out)).hexdigest()
            whole = WholeFile(shown_path(path), _sha256(path), expected)
            findings.append(prove_whole(whole, name, len(left_out)))
    path = folder / receipt_path(source)
    receipt = decode_receipt(path.read_bytes()) if path.exists() else None
    findings.append(prove_receipt(receipt, shown_path(path), name, data, [row for row in rejected if not row.split]))
    return files, findings


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
