"""Whole files, read by ingest and by Python's csv module."""

import csv
import io
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from common.rows.codec import parse_fields
from common.rows.schema import BOM, Dialect
from tests.harness.csv_pieces import PIECES
from tests.harness.reading import Reader, clocked

__all__ = ["clocked"]

A_PERSONS_PAUSE_S = 3.0
LONGER_THAN_HALF_A_ROW_IS_HELD_S = 61.0


@dataclass(frozen=True)
class Table:
    """Rows, the first one a header, and how csv.writer writes them."""

    rows: list[list[str]]
    delimiter: str
    quote: str
    quoting: Literal[0, 1, 2]
    eol: str
    mark: bytes
    is_last_ended: bool

    def written(self) -> bytes:
        """The file's bytes."""
        text = io.StringIO(newline="")
        csv.writer(
            text, delimiter=self.delimiter, quotechar=self.quote, quoting=self.quoting, lineterminator=self.eol
        ).writerows(self.rows)
        data = text.getvalue().encode()
        return self.mark + (data if self.is_last_ended else data.removesuffix(self.eol.encode()))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Tables that csv.writer writes so that csv.reader reads them back."""
    delimiter, quote = draw(st.sampled_from(",;\t|")), draw(st.sampled_from("\"'"))
    columns = draw(st.integers(1, 4))
    pieces = st.sampled_from(
        [delimiter, quote, quote * 2, "\n", "\r", "\r\n", " ", "a", "7", "ä", "\N{SNOWMAN}", "=", "#"]
    )
    field = st.lists(pieces, max_size=4).map("".join)
    row = st.lists(field, min_size=columns, max_size=columns)
    names = [f"{draw(field)}{number}" for number in range(columns)]
    return Table(
        [names, *draw(st.lists(row, max_size=6))],
        delimiter,
        quote,
        draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])),
        draw(st.sampled_from(["\n", "\r\n", "\r"])),
        draw(st.sampled_from([b"", BOM])),
        draw(st.booleans()),
    )


def fields_of(rows: list[bytes], dialect: Dialect) -> list[list[str]]:
    return [[field.decode() for field in parse_fields(row, dialect)] for row in rows]


async def grow(clocked: Reader, reader: Reader, data: bytes, cuts: list[int]) -> None:
    """Let the file grow with pauses at these offsets, then rest for long."""
    for begin, end in pairwise([0, *cuts, len(data)]):
        with clocked.path.open("ab") as file:
            file.write(data[begin:end])
        await reader.read()
        clocked.clock += A_PERSONS_PAUSE_S
        await reader.read()
    clocked.clock += LONGER_THAN_HALF_A_ROW_IS_HELD_S
    await reader.read()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables(), edges=st.lists(st.integers(1, 80), max_size=4))
@example(Table([["a"], [""], ["b"], [""]], ",", '"', csv.QUOTE_MINIMAL, "\r\n", b"", is_last_ended=False), [6, 7])
@example(Table([["a\r\n0", "1"], ['"', "\r"]], "\t", "'", csv.QUOTE_ALL, "\n", BOM, is_last_ended=True), [1, 5])
async def test_files_by_csv_writer_come_out_as_they_are_with_their_fields_however_they_grow(
    clocked: Reader, table: Table, edges: list[int]
) -> None:
    data = table.written()
    text = io.StringIO(data.removeprefix(BOM).decode(), newline="")
    # Before Python 3.13 csv.writer leaves a CR without quotes where LF ends lines.
    assume(list(csv.reader(text, delimiter=table.delimiter, quotechar=table.quote, strict=True)) == table.rows)
    # Where CR alone ends lines, a CR at the end of a read may be half of CRLF, and its row goes out like that.
    cuts = sorted({edge for edge in edges if edge < len(data)}) if table.eol != "\r" else []
    clocked.path.write_bytes(b"")
    reader = Reader(clocked.path, {"delimiter": table.delimiter, "quote": table.quote})
    await grow(clocked, reader, data, cuts)
    assert not reader.rejects
    dialect = Dialect(table.delimiter.encode(), table.quote.encode())
    if len(table.rows) == 1:
        assert reader.rows == []
        return
    assert fields_of(reader.rows, dialect) == table.rows[1:]
    assert reader.output == data


# NUL is left out: at the beginning it makes the file UTF-16, which is refused.
MORE_PIECES = [*(piece for piece in PIECES if piece != b"\0"), b";", b"\t", b" ", BOM]
SOUP = st.lists(st.sampled_from(MORE_PIECES), max_size=20).map(b"".join)


def read_by_csv(data: bytes) -> list[list[bytes]] | None:
    """Every record, a blank line as one without fields; None if csv refuses the file."""
    try:
        records = list(csv.reader(io.StringIO(data.decode("latin-1"), newline=""), strict=True))
    except csv.Error:
        return None
    return [[field.encode("latin-1") for field in record] for record in records]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=SOUP)
@example(data=b"\n\na,b\n\n1,2\n3\n")
@example(data=b"a\n\n1\r\r")
async def test_of_any_bytes_ingest_reads_what_csv_reads(clocked: Reader, data: bytes) -> None:
    clocked.path.write_bytes(data)
    reader = Reader(clocked.path)
    await reader.run()
    assert reader.progress is not None
    assert reader.followed is not None
    assert reader.progress.tally.rows == len(reader.rows)
    assert reader.progress.rejected == len(reader.rejects)
    expected = read_by_csv(data.removeprefix(BOM))
    if expected is None or BOM in data.removeprefix(BOM):
        return
    if reader.followed.trouble:
        # Ingest refuses one kind of file that csv reads: every second line of its only column would be empty.
        assert r"\r\r\n" in reader.followed.trouble
        return
    while expected and expected[0] == []:
        expected.pop(0)
    columns = len(expected[0]) if expected else 0
    records = [record or [b""] * (columns == 1) for record in expected[1:]]
    assert [parse_fields(row, Dialect()) for row in reader.rows] == [row for row in records if len(row) == columns]
    rejected = [parse_fields(raw, Dialect()) for each in reader.rejects if (raw := each.raw.removeprefix(BOM))]
    assert rejected == [row for row in records if row and len(row) != columns]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=SOUP, edges=st.lists(st.integers(1, 40), max_size=3), row_format=st.sampled_from(["csv", "json"]))
async def test_auto_reads_any_bytes_to_their_end_or_says_why_not(
    clocked: Reader, data: bytes, edges: list[int], row_format: str
) -> None:
    clocked.path.write_bytes(b"")
    reader = Reader(clocked.path, {"delimiter": "auto", "quote": "auto", "row_format": row_format})
    cuts = sorted({edge for edge in edges if edge < len(data)})
    await grow(clocked, reader, data, cuts)
    assert reader.progress is not None
    assert reader.followed is not None
    assert reader.progress.tally.rows == len(reader.rows)
    assert reader.progress.rejected == len(reader.rejects)
    if not reader.followed.trouble and reader.rows:
        assert reader.progress.offset == len(data)
