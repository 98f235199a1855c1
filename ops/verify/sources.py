"""Reading sources: each row goes into the spool, once for each file that has to hold it."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from google_crc32c import value as crc32c
from msgspec import Struct

from common.errors import ConfigurationError
from common.protocol.messages import HALF_CRLF
from common.protocol.shares import EVERY_SPLIT
from common.rows.reasons import Code
from common.rows.schema import Schema
from common.rows.tally import NOTHING, Tally
from ops.verify.entries import REJECTED_KEY
from ops.verify.rows.merging import ExpectedRow
from ops.verify.rows.opening import Beginning, lines_behind, read_beginning
from ops.verify.rows.records import CsvRecord, Rules, cut_at, lines_of, records_of
from ops.verify.rows.routes import RoutedRow, router
from ops.verify.settings import SourceSettings
from ops.verify.spool import Spool, rejection_digest, row_digest
from ops.verify.unpacking import Packing, packing_by_content, unpacked_chunks

_SHOWN_BYTES = 400
# No header that ingest takes is longer.
_LONGEST_HEADER = 10_000_000


class Source(Struct):
    """A source that is given: its name in the ledgers, its file, and what has been read of it.

    `read` and `rejected` are its rows, and how many are none, before `ended_at`, an offset. `late` are the offsets at
    which rows were taken as ended before their rest came. `size` is how many bytes it holds, unpacked; 0 while nothing
    follows its header: ingest may wait for its line ending.
    """

    name: str
    path: Path
    ended_at: float = math.inf
    late: Sequence[int] = ()
    schema: Schema | None = None
    read: Tally = NOTHING
    rejected: int = 0
    size: int = 0
    bytes_read: int = 0

    def counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """These chunks, which are counted."""
        for chunk in chunks:
            self.bytes_read += len(chunk)
            yield chunk


class Streams(Struct, frozen=True):
    """The numbers of streams: each source has one for each split, and one for what is rejected for every split."""

    splits: Sequence[str]

    def number(self, source: int, split: str) -> int:
        """The number of the stream of a source and a split."""
        return source * (1 + len(self.splits)) + (0 if split == EVERY_SPLIT else 1 + self.splits.index(split))

    def of(self, stream: int) -> tuple[int, str]:
        """The source and the split of a stream."""
        source, split = divmod(stream, 1 + len(self.splits))
        return source, self.splits[split - 1] if split else EVERY_SPLIT


class SourceReader:
    """Reads sources into a spool, in a pipeline of this format whose files have these `schemas`."""

    def __init__(self, settings: SourceSettings, spool: Spool, version: int, schemas: Collection[str]) -> None:
        self._settings = settings
        self._spool = spool
        self._version = version
        self._known = schemas
        self.streams = Streams([split.name for split in settings.splits])

    def read(self, number: int, source: Source, *, has_files: bool) -> bool:
        """Read the source with this number; `has_files`: some of its rows are in files.

        False if nothing shows which dialect it has. ConfigurationError if it cannot be read, or if the settings are not
        those with which ingest has read it. FileNotFoundError if it has left, before anything of it is in the spool.
        """
        try:
            with source.path.open("rb") as file:
                chunks = unpacked_chunks(file, packing_by_content(file))
                # A header may be longer than a row.
                longest = max(self._settings.max_row_bytes, _LONGEST_HEADER)
                lines = lines_of(source.counted(chunks), 1, longest, max(source.late, default=0))
                beginning = read_beginning(cut_at(lines, source.late), self._settings.read_options)
                source.schema = self._schema_of(source, beginning, has_files=has_files)
                if beginning.candidates and source.schema is None:
                    return False
                self._reject(number, source, beginning.blanks)
                if source.schema is not None:
                    self._read_rows(number, source, source.schema, beginning)
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{source.path} cannot be read: {error}") from error
        return True

    def _schema_of(self, source: Source, beginning: Beginning, *, has_files: bool) -> Schema | None:
        """The schema that a ledger knows; without files of the source the only candidate; else None."""
        known = [schema for schema in beginning.candidates if schema.id in self._known]
        if len(known) == 1:
            return known[0]
        settings = "DELIMITER, QUOTE, HEADER, SKIP_LINES, ENCODING and ROW_FORMAT as ingest has them"
        if known:
            raise ConfigurationError(f"{source.path} may have been read in {len(known)} ways: set {settings}")
        if has_files:
            raise ConfigurationError(f"no file has the header of {source.path} as it is read here: set {settings}")
        return beginning.candidates[0] if len(beginning.candidates) == 1 else None

    def _read_rows(self, number: int, source: Source, schema: Schema, beginning: Beginning) -> None:
        longest = self._settings.max_row_bytes
        rules = Rules(schema.dialect.delimiter, schema.dialect.quote, len(schema.columns), longest)
        route = router(self._settings.splits, schema, self._version, longest)
        read = _Sums()
        for record, is_last in _with_last(records_of(lines_behind(beginning, schema), rules)):
            # Behind a header all is records, up to the end.
            source.size = source.bytes_read
            routed = route(record)
            is_half = is_last and record.eol == b"\r" != schema.dialect.eol
            row = ExpectedRow(row_digest(routed.text), HALF_CRLF if is_half else record.eol, record.line, record.offset)
            is_row = True
            for split, destination in routed.places:
                if isinstance(destination, Code):
                    self._reject_one(number, source, record, routed, split, destination)
                    is_row = split != EVERY_SPLIT
                else:
                    self._spool.add(destination, self.streams.number(number, split), row)
            if record.offset >= source.ended_at:
                continue
            if is_row:
                read.add(routed.text)
            else:
                source.rejected += 1
        source.read = read.tally

    def _reject(self, number: int, source: Source, blanks: Sequence[CsvRecord]) -> None:
        for record in blanks:
            self._reject_one(number, source, record, RoutedRow(record.text, ()), EVERY_SPLIT, Code.BLANK_LINE)
            source.rejected += record.offset < source.ended_at

    def _reject_one(
        self, number: int, source: Source, record: CsvRecord, routed: RoutedRow, split: str, code: Code
    ) -> None:
        raw = routed.text[: self._settings.max_row_bytes] if split == EVERY_SPLIT else routed.text
        place = source.name.encode(), b"%d" % record.line, b"%d" % record.offset, split.encode()
        row = ExpectedRow(rejection_digest(*place, code.encode(), raw), b"\n", record.line, record.offset)
        self._spool.add(REJECTED_KEY, self.streams.number(number, split), row)


class _Sums(Struct):
    """What rows add up to, in plain numbers: this runs for each row."""

    rows: int = 0
    size: int = 0
    checksum: int = 0

    def add(self, row: bytes) -> None:
        self.rows += 1
        self.size += len(row)
        self.checksum += crc32c(row)

    @property
    def tally(self) -> Tally:
        return Tally(self.rows, self.size, self.checksum % 2**64)


def _with_last(records: Iterator[CsvRecord]) -> Iterator[tuple[CsvRecord, bool]]:
    """Each record, and whether it is the last."""
    previous = next(records, None)
    if previous is None:
        return
    for record in records:
        yield previous, False
        previous = record
    yield previous, True


def text_at(path: Path, offset: int) -> bytes:
    """The line of a source at this offset, or its beginning; b"" if the source has left or changed since."""
    try:
        with path.open("rb") as file:
            packing = packing_by_content(file)
            if packing is Packing.NONE:
                file.seek(offset)
                offset = 0
            for chunk in unpacked_chunks(file, packing):
                if offset < len(chunk):
                    return (chunk[offset : offset + _SHOWN_BYTES].splitlines() or [b""])[0]
                offset -= len(chunk)
    except (OSError, ValueError):
        pass
    return b""
