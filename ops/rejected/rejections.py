"""What `nacre rejected` decides: which rejected rows are selected, which can be sent again, and as what. Pure."""

import csv
from collections.abc import Collection, Iterable, Mapping
from itertools import chain

from msgspec import Struct

from common.protocol.rejections import Rejection
from common.rows.codec import JsonCodec, join_fields
from common.rows.schema import Dialect, Schema
from ops.rejected.foreign_files import explain_foreign
from services.ingest.parsing.framing import Reject, RowBlock, frame

COLUMNS = ("id", "source", "line", "offset", "split", "reason", "row")
_TO_MATCH = ("id", "source", "line", "offset", "split", "row")
# The byte order mark that spreadsheets write before UTF-8, as latin-1.
_BOM = "\xef\xbb\xbf"
# Reasons may hold values, so there may be very many: beyond this number they share one group.
MAX_GROUPS = 10_000
_MANY = "(other reasons)"
_EVERY = "(all)"


class OffsetSet:
    """A set of Kafka offsets, one bit each, so that millions take little memory."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, offset: int) -> None:
        """Add an offset."""
        if len(self._bits) <= offset >> 3:
            self._bits.extend(bytes((offset >> 3) + 1 - len(self._bits)))
        self._bits[offset >> 3] |= 1 << (offset & 7)

    def __contains__(self, offset: int) -> bool:
        return len(self._bits) > offset >> 3 and bool(self._bits[offset >> 3] & (1 << (offset & 7)))


class Selection(Struct, frozen=True):
    """Which rejections to select; None means any. `reason` is a part of the reason; `split` "" selects ingest's own."""

    reason: str = ""
    code: str | None = None
    source: str | None = None
    split: str | None = None
    ids: frozenset[int] = frozenset()

    def __call__(self, number: int, rejection: Rejection) -> bool:
        """Whether this one is selected."""
        return (
            self.reason in rejection.reason
            and self.code in {None, rejection.code}
            and self.source in {None, rejection.source}
            and self.split in {None, rejection.split}
            and (not self.ids or number in self.ids)
        )


class RejectionGroup(Struct):
    """Rejections with one reason or code, split and source: how many, how many replayed, first and last line."""

    rows: int = 0
    replayed: int = 0
    first_line: int = 0
    last_line: int = 0

    def add(self, line: int, *, replayed: bool) -> None:
        """Count one more."""
        self.first_line = min(self.first_line, line) if self.rows else line
        self.last_line = max(self.last_line, line)
        self.rows += 1
        self.replayed += replayed


class RejectionGroups:
    """Groups by reason, split and source, in the order of their first row; beyond `most`, rows share one group."""

    def __init__(self, most: int = MAX_GROUPS) -> None:
        self._most = most
        self.groups: dict[tuple[str, str, str], RejectionGroup] = {}

    def add(self, reason: str, rejection: Rejection, *, replayed: bool = False) -> None:
        """Count a rejection under this reason."""
        key = reason, rejection.split, rejection.source
        if key not in self.groups and len(self.groups) >= self._most:
            key = _MANY, "", ""
        self.groups.setdefault(key, RejectionGroup()).add(rejection.line, replayed=replayed)


class Sending(Struct, frozen=True):
    """A row that can be sent again: the CSV row, what the record in `rows` holds, and the row that sink makes of it."""

    schema_id: str
    block: RowBlock
    value: bytes
    written: bytes


class Mended(Struct, frozen=True):
    """A row of a file that `show` printed, with the source, line, offset and split beside it."""

    source: bytes
    line: bytes
    offset: bytes
    split: bytes
    row: bytes

    def is_of(self, rejection: Rejection) -> bool:
        """Whether it is that rejection's row."""
        place = b"%d" % rejection.line, b"%d" % rejection.offset
        return (self.source, self.line, self.offset, self.split) == (
            rejection.source.encode(),
            *place,
            rejection.split.encode(),
        )


class ReplayJudge:
    """Judges whether rows can be sent again, by their sources' schemas and, where known, the splits in use."""

    def __init__(
        self,
        schema_ids: Mapping[str, str],
        schemas: Mapping[str, Schema],
        max_row_bytes: int,
        splits: Collection[str] | None = None,
    ) -> None:
        self._splits = splits
        self._schema_ids = schema_ids
        self._schemas = schemas
        self._max_row_bytes = max_row_bytes
        self._codecs: dict[str, JsonCodec] = {}

    def __call__(self, rejection: Rejection, row: bytes) -> Sending:
        """How to send this row in place of the rejected bytes. Raises ValueError, one line, if it cannot be sent."""
        if rejection.split and self._splits is not None and rejection.split not in self._splits:
            # Sent to another split, the row would be in its files twice.
            raise ValueError(
                f"split {rejection.split} is not in use, so it would reject the row again. In use: "
                f"{_listed(self._splits)}; each of these got the row from its source, and its own rejections are "
                "listed under its name"
            )
        schema_id = self._schema_ids.get(rejection.source, "")
        if not schema_id:
            raise ValueError("the source has no schema: its header was rejected")
        if schema_id not in self._schemas:
            raise ValueError(f"schema {schema_id} is not in the topic of schemas")
        schema = self._schemas[schema_id]
        if not rejection.split and row == rejection.raw:
            # They may be only a part of a row, or cut off: unchanged they never become a row.
            raise ValueError("ingest rejected these bytes: mend them first (show, replay --from)")
        check_row(row, schema, self._max_row_bytes)
        plain = not schema.dialect.quote or schema.dialect.quote not in row
        block = RowBlock([row], schema.dialect.eol, rejection.line, rejection.offset, plain)
        return Sending(schema_id, block, *self._encode(row, schema_id, schema))

    def _encode(self, row: bytes, schema_id: str, schema: Schema) -> tuple[bytes, bytes]:
        """The record's value, and the row that it becomes in a file."""
        if schema.row_format != "json":
            return row, row
        if schema_id not in self._codecs:
            self._codecs[schema_id] = JsonCodec(schema)
        value = self._codecs[schema_id].encode(row)
        if len(value) > self._max_row_bytes:
            raise ValueError(f"{len(value)} bytes as JSON, at most {self._max_row_bytes}")
        return value, self._codecs[schema_id].decode_all([value])[0]


def _listed(splits: Collection[str]) -> str:
    return ", ".join(sorted(splits)) or "none that SPLIT_BY names here"


def check_row(row: bytes, schema: Schema, max_row_bytes: int) -> None:
    """Raise ValueError unless ingest would read these bytes as one row of this schema."""
    framed = frame(
        row + schema.dialect.eol,
        dialect=schema.dialect,
        columns=len(schema.columns),
        line=1,
        offset=0,
        at_end=True,
        max_row_bytes=max_row_bytes,
    )
    match framed.frames:
        case [RowBlock(rows=[only])] if only == row:
            return
        case [Reject(reason=reason, raw=raw)] if raw == row:
            raise ValueError(reason.text)
    raise ValueError("not one record: it has a line break outside quotes, or quotes that do not match")


def csv_line_of(number: int, rejection: Rejection) -> bytes:
    """A rejection as a line of CSV, its bytes unchanged."""
    return join_fields((b"%d" % number, *rejection.place, rejection.reason.encode(), rejection.raw), Dialect()) + b"\n"


def read_mended(lines: Iterable[str]) -> dict[int, Mended]:
    """The rows of a file that `show` printed, by id; `lines` are decoded as latin-1. Raises ValueError, one line."""
    lines = iter(lines)
    first = next(lines, "")
    if what := explain_foreign(first, _TO_MATCH):
        raise ValueError(what)
    reader = csv.reader(chain([first.removeprefix(_BOM)], lines), strict=True)
    try:
        header = next(reader, [])
        if missing := [column for column in _TO_MATCH if column not in header]:
            raise ValueError(f"no column {missing[0]}: keep the columns that `nacre rejected show` prints")
        found: dict[int, Mended] = {}
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(header):
                raise ValueError(f"line {reader.line_num}: {len(fields)} fields, the header has {len(header)}")
            number, *rest = (dict(zip(header, fields, strict=True))[column] for column in _TO_MATCH)
            if not (number.isascii() and number.isdigit()):
                raise ValueError(f"line {reader.line_num}: the id {number!r} is not a number")
            if int(number) in found:
                raise ValueError(f"line {reader.line_num}: id {number} occurs twice")
            found[int(number)] = Mended(*(text.encode("latin-1") for text in rest))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    return found


def split_shown(split: str) -> str:
    """A rejection's split as people read it."""
    return split or _EVERY
