"""The lines of a category's files, one part after the other, while their checksums are compared with the ledger's."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from common.rows.schema import Dialect, Schema
from ops.verify.entries import REJECTED_KEY, File
from ops.verify.files import opened, read_checked
from ops.verify.ledgers import Ledgers
from ops.verify.report import Report, ReportedFinding, shown
from ops.verify.rows.merging import ExpectedRow, FoundLine
from ops.verify.rows.records import CsvRecord, Rules, lines_of, records_of, wholes_of
from ops.verify.spool import rejection_digest, row_digest

# How the file of rejected rows is read.
REJECTED = Schema(
    b"source,line,offset,split,code,reason,row",
    ("source", "line", "offset", "split", "code", "reason", "row"),
    Dialect(),
)
# More than the header of rejected rows has.
_MOST_HEADER_BYTES = 1_000
# What a rejection has beside its row, at most.
_REJECTION_BYTES = 65_536


class Lines:
    """Reads the lines of files. `has_hole`: a part of the last category was not there, and nothing stood in for it."""

    def __init__(self, ledgers: Ledgers, longest: int, report: Report) -> None:
        self._ledgers = ledgers
        self._longest = longest
        self._report = report
        self.has_hole = False

    def read(
        self, parts: Sequence[File], schema: Schema | None, stand_in: Callable[[], Iterator[ExpectedRow]] | None = None
    ) -> Iterator[FoundLine]:
        """Every line behind the headers; without a schema only the checksums are compared.

        Where a part is not there its rows are taken from `stand_in`, which is all rows of the category.
        """
        self.has_hole = False
        begun = 0
        for file in parts:
            with opened(self._ledgers, file, self._report) as found:
                if found is None:
                    self.has_hole |= stand_in is None and file.rows > 0
                    if stand_in is not None:
                        rows = islice(stand_in(), begun, begun + file.rows)
                        yield from (FoundLine(row.digest, b"", row.eol, file.name, 0) for row in rows)
                elif schema is None:
                    for _ in read_checked(self._ledgers, file, *found, self._report):
                        pass
                else:
                    yield from self._lines(file, *found, schema)
            begun += file.rows

    def _lines(self, file: File, path: str, content: BinaryIO, schema: Schema) -> Iterator[FoundLine]:
        before, count = self._report.differs.count, 0
        chunks = self._behind_header(read_checked(self._ledgers, file, path, content, self._report), path, schema)
        first = 1 if schema.header is None else len((schema.header + b".").splitlines()) + 1
        rules = Rules(schema.dialect.delimiter, schema.dialect.quote, len(schema.columns), self._longest)
        lines = lines_of(chunks, first, self._longest + _REJECTION_BYTES)
        if schema is REJECTED:
            found = (_rejection(record, path) for record in records_of(lines, rules))
        else:
            found = (
                FoundLine(row_digest(text) if whole is None else whole.digest, text, eol, path, number, whole)
                for text, eol, _, number, _, whole in wholes_of(lines, rules)
            )
        for line in found:
            count += 1
            yield line
        if count + 1 == file.rows and len(schema.columns) == 1:
            # An empty row without a line ending is no byte.
            count += 1
            yield FoundLine(row_digest(b""), b"", b"", path, first + count)
        self._report.count("rows", count)
        if count != file.rows and self._report.differs.count == before:
            text = f"{path} has {count:,} rows, and its ledger says {file.rows:,}"
            self._report.differs.add(ReportedFinding("rows", text, path, found=str(count), expected=str(file.rows)))

    def _behind_header(self, chunks: Iterator[bytes], path: str, schema: Schema) -> Iterator[bytes]:
        """What follows the header; that it is the right one is checked."""
        if schema.header is None:
            yield from chunks
            return
        header, data = schema.header + schema.dialect.eol, b""
        while len(data) < len(header) and (chunk := next(chunks, b"")):
            data += chunk
        if data and not data.startswith(header):
            found, expected = shown(data[: len(header)]), shown(header)
            text = f'{path}, line 1: its header is "{found}", not "{expected}"'
            self._report.differs.add(ReportedFinding("header", text, path, 1, found=found, expected=expected))
        if rest := data[len(header) :]:
            yield rest
        yield from chunks


def has_codes(ledgers: Ledgers) -> bool:
    """Whether the file of rejected rows, if there is one, has a column of codes: in format 1 it was begun without."""
    unreported = Report()
    for file in ledgers.parts(REJECTED_KEY):
        with opened(ledgers, file, unreported) as found:
            return found is None or found[1].readline(_MOST_HEADER_BYTES).rstrip(b"\n") == REJECTED.header
    return True


def _rejection(record: CsvRecord, path: str) -> FoundLine:
    """A line of rejected rows; its text is the row that was rejected."""
    if record.code is not None:
        return FoundLine(row_digest(record.text), record.text, record.eol, path, record.line)
    source, line, offset, split, code, _, raw = record.fields
    return FoundLine(rejection_digest(source, line, offset, split, code, raw), raw, record.eol, path, record.line)
