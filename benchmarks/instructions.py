"""`python -m benchmarks.instructions`: processor instructions that each row costs in the pure hot functions.

Counted by valgrind (callgrind), so that neither other work nor the processor's speed makes a difference. A count is of
one build of Python: benchmarks/results/instructions.json has a table for each that it was run with. `make long-test`
counts again and fails where a function costs more than a tenth more (`tests/integration/test_instructions.py`).
"""

import gc
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from benchmarks.kept import keep, kept
from benchmarks.tables import table
from common.aiokafka_internals.batch_builder import NewBatch
from common.aiokafka_internals.fetched_batches import RecordBatch
from common.protocol.category_keys import row_key
from common.protocol.messages import Mark, SourceMark, encode_control
from common.rows.schema import Schema
from common.rows.tally import tally
from services.ingest.parsing.framing import Framed, RowBlock, frame
from services.sink.grouping import ValueRun, group_by_key
from services.sink.rendering import csv_runs, layout_of, render
from services.split.categories.provenance import Cursor, divide
from services.split.categories.routing import RoutedBatch, compile_route
from services.split.categories.splits import parse_split_by

_ABALONE = Path(__file__).parents[1] / "data" / "abalone_full.csv"
_ROWS = 2_000
_TIMES = 5
_BATCH_BYTES = 2**20
_TIMESTAMP_MS = 1_764_000_000_000
# Counting begins and ends with this C function, `functools.reduce`: nothing else here calls it.
_COUNTED = "functools_reduce"


def make_cases() -> Mapping[str, Callable[[], object]]:
    """Each function with its work for so many rows."""
    header, *lines = _ABALONE.read_bytes().splitlines()
    data = b"".join(row + b"\n" for row in lines[:_ROWS])
    schema = Schema(header, tuple(header.decode().split(",")))

    def framed() -> Framed:
        return frame(
            data,
            dialect=schema.dialect,
            columns=len(schema.columns),
            line=2,
            offset=0,
            at_end=False,
            max_row_bytes=_BATCH_BYTES,
        )

    [block] = framed().frames
    assert isinstance(block, RowBlock)  # noqa: S101 - for mypy
    rows = block.rows
    [split] = parse_split_by("Sex")
    route = compile_route(split, schema, partitions=1)
    # Most weights are there once: a new route meets nearly as many spellings as rows, in few bins.
    [bins] = parse_split_by("#5:float/0.5")
    layout = layout_of(schema)
    runs = [ValueRun(None, rows)]
    key = row_key("Sex", ("M",))
    mark_value, mark_headers = encode_control(Mark("/abalone.csv", schema.id, 2, len(header) + 1, b"\n", plain=True))

    source_value, source_headers = encode_control(SourceMark("/abalone.csv", schema.id))

    def put() -> NewBatch:
        batch = NewBatch(_BATCH_BYTES)
        batch.append(timestamp=_TIMESTAMP_MS, key=None, value=source_value, headers=source_headers)
        batch.put_rows(_TIMESTAMP_MS, key, rows, 0)
        return batch

    def new_route_of_bins() -> RoutedBatch:
        return compile_route(bins, schema, partitions=6)(rows, True)  # noqa: FBT003 - a route takes it by position

    def fetched(batch: NewBatch) -> RecordBatch:
        return RecordBatch(memoryview(batch._build()), 0)  # noqa: SLF001 - what the broker would give

    marked = NewBatch(_BATCH_BYTES)
    marked.append(timestamp=_TIMESTAMP_MS, key=None, value=mark_value, headers=mark_headers)
    marked.put_rows(_TIMESTAMP_MS, None, rows, 0)
    of_rows, of_categorized = fetched(marked), fetched(put())
    return MappingProxyType(
        {
            "ingest: frame": framed,
            "ingest: tally": lambda: tally(rows),
            "ingest, split: put rows": put,
            "split: divide": lambda: list(divide(of_rows.runs(), Cursor())),
            "split: route": lambda: route(rows, True),  # noqa: FBT003 - as above
            "split: route many spellings": new_route_of_bins,
            "sink: group": lambda: group_by_key(of_categorized.runs()),
            "sink: render": lambda: render(csv_runs(runs, layout), layout, empty=False, open_line=False),
        }
    )


def count_all() -> dict[str, int]:
    """Instructions for each row, by function."""
    with TemporaryDirectory() as folder:
        out = Path(folder, "counts")
        subprocess.run(
            [  # noqa: S607 - wherever it is installed
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={out}",
                f"--toggle-collect={_COUNTED}",
                f"--dump-after={_COUNTED}",
                sys.executable,
                "-m",
                "benchmarks.instructions",
                "--work",
            ],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            check=True,
        )
        names = list(make_cases())
        dumps = sorted(out.parent.glob("counts.*"), key=lambda path: int(path.suffix[1:]))[-len(names) :]
        totals = [re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE) for dump in dumps]
        counts = [int(total[1]) for total in totals if total is not None]
    return {name: round(count / (_TIMES * _ROWS)) for name, count in zip(names, counts, strict=True)}


def work() -> None:
    """Do all of it, each function within one call of `reduce`."""
    # A collection would fall into whichever function is counted when it is due.
    gc.disable()
    for case in make_cases().values():
        reduce(lambda _, once: once(), [case] * _TIMES, None)


def read_table() -> dict[str, dict[str, int]]:
    """The table of each build of Python."""
    return kept("instructions") or {}


def main() -> int:
    """Count and write the table."""
    if sys.argv[1:] == ["--work"]:
        work()
        return 0
    counts = count_all()
    rows = ((name, f"{count:,}") for name, count in counts.items())
    sys.stdout.write(table("function", ("instructions per row",), rows))
    keep("instructions", read_table() | {sys.version: counts})
    return 0


if __name__ == "__main__":
    sys.exit(main())
