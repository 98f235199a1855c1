"""Receipts compared with an independent filter of their sources, at the end and at the instant at which they appear."""

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google_crc32c import value as crc32c

from tests.harness.chaos.rows import COLUMNS, HEADER, SPLITS, paths_of, source_of
from tests.harness.parts import part_of, unpacked

_LOOK_INTERVAL_S = 0.02


class Sums:
    """Rows without line endings: how many, their bytes, the sum of their CRC-32C."""

    def __init__(self) -> None:
        self.rows = self.size = self.checksum = 0

    def add(self, row: bytes) -> None:
        """Add a row."""
        self.rows += 1
        self.size += len(row)
        self.checksum = (self.checksum + crc32c(row)) % 2**64

    @property
    def fields(self) -> dict[str, Any]:
        """As a receipt has them."""
        return {"rows": self.rows, "row_bytes": self.size, "checksum": f"{self.checksum:016x}"}


def receipt_path(output: Path, source: Path) -> Path:
    """Where the receipt of a source is whose path needs no escapes."""
    return output / "_receipts" / f"{source}.json".removeprefix("/")


def expected_receipt(data: bytes) -> dict[str, Any]:
    """What the receipt of a source with these bytes says, as far as its bytes decide it."""
    read = Sums()
    files: defaultdict[str, Sums] = defaultdict(Sums)
    rejected: defaultdict[str, Sums] = defaultdict(Sums)
    by_ingest = 0
    for row in data.removeprefix(HEADER).splitlines():
        fields = row.split(b",")
        if len(fields) != COLUMNS:
            by_ingest += 1
            continue
        read.add(row)
        for split, path in paths_of(fields).items():
            (rejected if path is None else files)[split].add(row)
    return {
        "bytes": len(data),
        **read.fields,
        "rejected": {"rows": by_ingest, "codes": {"fields": by_ingest} if by_ingest else {}, "replayed": 0},
        "splits": {split: _split(files[split], rejected[split]) for split in SPLITS},
    }


def _split(files: Sums, rejected: Sums) -> dict[str, Any]:
    codes = {"number": rejected.rows} if rejected.rows else {}
    return {**files.fields, "rejected": {**rejected.fields, "codes": codes, "replayed": 0}, "replayed": 0}


def wrong_receipt(receipt: Mapping[str, Any], data: bytes) -> str:
    """How a receipt differs from what the source's first bytes say; "" if it does not."""
    expected = expected_receipt(data[: receipt["bytes"]])
    found = {name: receipt[name] for name in expected}
    for split in found["splits"].values():
        split.pop("files")
        split.pop("more_files")
    return "" if found == expected else f"receipt of {receipt['source']}: {found} is not {expected}"


def is_delivered(output: Path, source: Path) -> bool:
    """Whether there is a receipt for all that the source has now."""
    path = receipt_path(output, source)
    return path.exists() and json.loads(path.read_bytes())["bytes"] == source.stat().st_size


def wrong_receipts(output: Path, inputs: Mapping[str, Path]) -> list[str]:
    """What is wrong with the receipts of sources that are all delivered: one line for each."""
    told = []
    for source in inputs.values():
        if not is_delivered(output, source):
            told.append(f"{source} has no receipt of all that it has")
        elif wrong := wrong_receipt(json.loads(receipt_path(output, source).read_bytes()), source.read_bytes()):
            told.append(wrong)
    return told


class ReceiptWatch:
    """Reads the files whenever a receipt appears: each row that it speaks of has to be there. It has its own thread."""

    def __init__(self, output: Path, inputs: Mapping[str, Path]) -> None:
        self._output = output
        self._inputs = inputs
        self._seen: dict[Path, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="receipts")
        self.checked = 0
        self.wrong: list[str] = []
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_INTERVAL_S):
            for name, source in self._inputs.items():
                path = receipt_path(self._output, source)
                if path.exists() and path.stat().st_mtime_ns != self._seen.get(path) and not self._ended.is_set():
                    self._seen[path] = path.stat().st_mtime_ns
                    self._check(name, json.loads(path.read_bytes()), source.read_bytes())

    def _check(self, name: str, receipt: dict[str, Any], data: bytes) -> None:
        # Each tenth time those files too that hold rows of every source.
        splits = SPLITS if self.checked % 10 == 0 else ("Source", "Source+Sex")
        there = {split: rows_of(self._output, split, name) for split in splits}
        for row in data[: receipt["bytes"]].removeprefix(HEADER).splitlines():
            fields = row.split(b",")
            if len(fields) == COLUMNS:
                paths = paths_of(fields)
                self.wrong += [
                    f"{row!r} of {name} is not in split {split}, and the receipt of {receipt['bytes']} bytes is there"
                    for split in splits
                    if paths[split] is not None and not there[split][row]
                ][:3]
        if wrong := wrong_receipt(receipt, data):
            self.wrong.append(wrong)
        self.checked += 1


def rows_of(output: Path, split: str, name: str) -> Counter[bytes]:
    """The rows of a source in the files of a split, which may be finished meanwhile."""
    while True:
        try:
            return Counter(_rows_of(output, split, name))
        except FileNotFoundError:
            continue


def _rows_of(output: Path, split: str, name: str) -> Iterator[bytes]:
    of_one = {"Source": f"{name}", "Source+Sex": f"{name}/"}
    for path in output.rglob("*.csv*"):
        relative = str(path.relative_to(output))
        whole = relative if part_of(relative) is None else part_of(relative)[0]  # type: ignore[index]
        folder, _, rest = whole.removesuffix(".csv").partition("/")
        if relative.endswith(".tmp") or folder != split or not rest.startswith(of_one.get(split, "")):
            continue
        for row in unpacked(relative.removesuffix(".open"), path.read_bytes()).splitlines()[1:]:
            if row.count(b",") == COLUMNS - 1 and source_of(row) == name:
                yield row
