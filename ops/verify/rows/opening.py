"""The beginning of a source: its header, and what its rows' schema may be. Pure.

With DELIMITER=auto or QUOTE=auto nothing is detected here: each dialect that ingest may have found is a candidate, and
the one whose schema a ledger knows is the source's.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, product

from msgspec import Struct

from common.rows.reasons import Code
from common.rows.schema import BOM, Dialect, Schema
from ops.verify.rows.records import CsvRecord, Line, Rules, closing, records_of
from services.ingest.parsing.options import ReadOptions

_DELIMITERS = (b",", b";", b"\t", b"|")
_QUOTES = (b'"', b"'", b"")
# A header within quotes is no longer than this.
_LONGEST_BROKEN = 65_536
_SEP_LINE = re.compile(rb'"?sep=(.)"?', re.IGNORECASE)


class Beginning(Struct, frozen=True):
    """A source behind what is skipped: blank lines before its header, its first lines, and all that follow.

    `candidates` are the schemas that its rows may have.
    """

    blanks: Sequence[CsvRecord]
    head: Sequence[Line]
    rest: Iterator[Line]
    candidates: Sequence[Schema]


def read_beginning(lines: Iterable[Line], options: ReadOptions) -> Beginning:
    """Read a source's beginning, from its first line on."""
    stream = iter(lines)
    delimiter, skipped = options.delimiter, options.skip_lines
    if (first := next(stream, None)) is not None:
        named = _SEP_LINE.fullmatch(first.text.removeprefix(BOM)) if delimiter is None and not skipped else None
        if named is not None:
            delimiter, skipped = named[1], 1
        stream = islice(chain((first,), stream), skipped, None)
    blanks, head = [], list(islice(stream, 1))
    while options.header == "first" and head and _is_blank(head[0]):
        blanks.append(_blank(head[0]))
        head = list(islice(stream, 1))
    size = 0
    while size <= 2 * _LONGEST_BROKEN and (line := next(stream, None)) is not None:
        head.append(line)
        size += len(line.text) + len(line.eol)
    delimiters = _DELIMITERS if delimiter is None else (delimiter,)
    quotes = _QUOTES if options.quote is None else (options.quote,)
    pairs = [(mark, quote) for mark, quote in product(delimiters, quotes) if mark != quote]
    schemas = (_schema(head, mark, quote, options) for mark, quote in pairs)
    candidates = [schema for schema in schemas if schema is not None]
    if not candidates:
        # Without a header it is only now that blank lines are known to precede nothing.
        blanks += map(_blank, head)
    return Beginning(blanks, head, stream, candidates)


def lines_behind(beginning: Beginning, schema: Schema) -> Iterator[Line]:
    """The lines from the first row on, if the source has this schema. Only once."""
    head = list(beginning.head)
    if schema.header is not None:
        del head[: _breaks(schema.header) + 1]
    elif head and head[0].text.startswith(BOM):
        bare = head[0]._replace(text=head[0].text[len(BOM) :], offset=head[0].offset + len(BOM))
        head[:1] = [bare] if bare.text or bare.eol else []
    return chain(head, beginning.rest)


def _is_blank(line: Line) -> bool:
    return bool(line.eol) and line.text in (b"", BOM)


def _blank(line: Line) -> CsvRecord:
    return CsvRecord(line.text, line.eol, line.number, line.offset, Code.BLANK_LINE)


def _schema(head: Sequence[Line], delimiter: bytes, quote: bytes, options: ReadOptions) -> Schema | None:
    """The schema of the rows, read with these marks; None if there is no first record."""
    begun = next((at for at, line in enumerate(head) if not _is_blank(line)), len(head))
    if begun == len(head):
        return None
    first = head[begun]
    mark = BOM if first.text.startswith(BOM) else b""
    bare = first._replace(text=first.text[len(mark) :])
    rules = Rules(delimiter, quote, 0, max(_LONGEST_BROKEN, len(bare.text)))
    record = next(records_of((bare, *head[begun + 1 :]), rules))
    fields = record.fields if record.code is Code.FIELDS else _literal_fields(bare.text, delimiter, quote)
    is_last = begun + _breaks(record.text) + 1 == len(head)
    # A CR at the very end is more often half of CRLF.
    eol = b"\r\n" if record.eol == b"\r" and is_last else record.eol or b"\n"
    dialect = Dialect(delimiter, quote, eol, options.encoding)
    if options.header == "none":
        return Schema(None, tuple(f"#{number}" for number in range(1, len(fields) + 1)), dialect, options.row_format)
    return Schema(mark + record.text, _names(fields, options.encoding), dialect, options.row_format)


def _breaks(text: bytes) -> int:
    """How many lines end within a record."""
    return len((text + b".").splitlines()) - 1


def _literal_fields(text: bytes, delimiter: bytes, quote: bytes) -> Sequence[bytes]:
    """The fields of a line whose quotes are wrong: a field with such quotes ends at the next delimiter."""
    fields: list[bytes] = []
    at = 0
    while True:
        end = closing(text, quote, at + 1) if quote and text.startswith(quote, at) else -1
        if end >= 0 and (end + 1 == len(text) or text.startswith(delimiter, end + 1)):
            fields.append(text[at + 1 : end].replace(quote * 2, quote))
            at = end + 1
        else:
            end = text.find(delimiter, at)
            fields.append(text[at:] if end < 0 else text[at:end])
            at = len(text) if end < 0 else end
        if at == len(text):
            return fields
        at += 1


def _names(fields: Sequence[bytes], encoding: str) -> tuple[str, ...]:
    """The names of the columns: all of them in their encoding, or else all as latin-1."""
    try:
        return tuple(field.decode(encoding) for field in fields)
    except UnicodeDecodeError:
        return tuple(field.decode("latin-1") for field in fields)
