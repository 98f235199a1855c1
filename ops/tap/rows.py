"""Rows by themselves, each with its place, as text and as JSON. Pure."""

import base64
from collections.abc import Iterator, Sequence

import orjson
from msgspec import Struct

from common.escaping import escaped, printable
from common.protocol.messages import Mark
from common.rows.codec import JsonCodec
from common.rows.loops import take_out
from common.rows.schema import Schema
from ops.tap.origins import Origin, OriginRun, Stage

# Text output shows so many characters of a row or a name, and keeps so many bytes of a row.
MOST_SHOWN = 1_000
MOST_BYTES = 4 * MOST_SHOWN
_MOST_OF_NAME = 500


class Place(Struct, frozen=True):
    """Where a batch is, and the time of its latest record, in ms since 1970."""

    stage: Stage
    topic: str
    partition: int
    latest_ms: int


class Layout(Struct, frozen=True):
    """How rows of a schema are written: their encoding, and what gives JSON rows as CSV, None for CSV rows."""

    encoding: str = "utf-8"
    codec: JsonCodec | None = None

    @classmethod
    def of(cls, schema: Schema) -> "Layout":
        """That of this schema; UTF-8 where it names an encoding in which bytes are no text, as Nacre never does."""
        if schema.row_format == "json":
            return cls(codec=JsonCodec(schema))
        encoding = schema.dialect.encoding
        try:
            # The probe has a byte: Python decodes no bytes with any codec.
            b"a\xff".decode(encoding, "backslashreplace")
        except (LookupError, TypeError, ValueError):
            return cls()
        return cls(encoding)


class Row(Struct, frozen=True):
    """A row, or its first bytes, and its place: `line` and `offset` are those in its source, None if unknown.

    `size` is the whole row's, `encoding` what its bytes are text in.
    """

    place: Place
    kafka_offset: int
    origin: Origin
    line: int | None
    offset: int | None
    value: bytes
    size: int
    encoding: str


def rows_of(
    run: OriginRun, place: Place, layout: Layout, first: int, last: int, most_bytes: int | None = None
) -> Iterator[Row]:
    """The run's rows from index `first` to before `last`, at most the first `most_bytes` bytes of each."""
    mark = run.mark
    for rows in (*run.before, run.rows[:first]):
        mark = _passed(mark, rows, layout.codec)
    for index in range(first, last):
        value = run.rows[index]
        yield Row(
            place,
            run.offset + index,
            run.origin,
            None if mark is None else mark.line,
            None if mark is None else mark.offset,
            value[:most_bytes],
            len(value),
            layout.encoding,
        )
        mark = _passed(mark, [value], layout.codec)


def _passed(mark: Mark | None, rows: Sequence[bytes], codec: JsonCodec | None) -> Mark | None:
    """The mark behind these rows; None if that cannot be known, because one is not what its schema says."""
    if mark is None or not rows:
        return mark
    if codec is None:
        return mark.passed(rows)
    try:
        return mark.passed(codec.decode_all(take_out(rows)))
    except ValueError:
        return None


def as_text(row: Row) -> str:
    """A line for a terminal: where the record is, what it is, where it comes from, and the row."""
    origin = row.origin
    parts = [f"{row.place.stage}-{row.place.partition}@{row.kafka_offset}"]
    if row.place.stage is Stage.CATEGORIZED:
        parts.append(_cut(origin.key or "(no category)", _MOST_OF_NAME))
    source = _cut(origin.source or "(source not known)", _MOST_OF_NAME)
    parts.append(source if row.line is None else f"{source}:{row.line} (byte {row.offset})")
    if origin.code is not None:
        split = f"split {_cut(origin.split, _MOST_OF_NAME)}" if origin.split else "every split"
        parts.append(f"[{split}: {_cut(origin.code, _MOST_OF_NAME) or 'rejected'}]")
        parts.append(_cut(origin.reason or "", _MOST_OF_NAME))
    text = row.value.decode(row.encoding, "backslashreplace")
    cut = printable(text[:MOST_SHOWN])
    parts.append(cut if len(text) <= MOST_SHOWN and len(row.value) == row.size else f"{cut}… ({row.size:,} bytes)")
    return "  ".join(parts) + "\n"


def _cut(text: str, most: int) -> str:
    return printable(text if len(text) <= most else f"{text[:most]}…")


def as_json(row: Row) -> bytes:
    r"""A JSON object on a line. A byte that is no text is \xff in `row`, and `row_base64` then has the exact bytes."""
    origin, stage = row.origin, row.place.stage
    fields = {
        "stage": stage,
        "topic": row.place.topic,
        "partition": row.place.partition,
        "kafka_offset": row.kafka_offset,
        "timestamp_ms": row.place.latest_ms,
        "source": origin.source,
    }
    if stage is not Stage.CATEGORIZED:
        fields |= {"line": row.line, "offset": row.offset}
    if stage is not Stage.ROWS:
        fields["split"] = origin.split
    if stage is Stage.CATEGORIZED:
        fields |= {"category": origin.category, "key": origin.key}
    if stage is Stage.REJECTED:
        fields |= {"code": origin.code, "reason": origin.reason}
    fields["row"] = escaped(row.value.decode(row.encoding, "backslashreplace"))
    if not _is_text(row):
        fields["row_base64"] = base64.b64encode(row.value).decode()
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def _is_text(row: Row) -> bool:
    try:
        row.value.decode(row.encoding)
    except UnicodeDecodeError:
        return False
    return True
