"""One CSV record without its line ending: its fields, and the same row as a JSON object."""

import csv
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

import orjson

from common.rows.loops import csv_rows, json_rows
from common.rows.reasons import Code, RowError
from common.rows.schema import Dialect, Schema

# By default the csv module refuses fields above 128 KiB; here MAX_ROW_BYTES limits a row. The limit is the process's.
csv.field_size_limit(2**31 - 1)

# No possessive quantifier after a group, here and in framing: Python before 3.11.5 matches it wrongly (gh-106052). An
# atomic group around the quantified one matches the same.
_NUMBER = rb"-?+(?:0|[1-9][0-9]*+)(?>(?:\.[0-9]++)?)(?>(?:[eE][+-]?+[0-9]++)?)"
_TEXT = rb'[^"\\\x00-\x1f]*+'
_is_number = re.compile(_NUMBER).fullmatch


def misfit(found: int, columns: int) -> str:
    """Why a row of `found` fields is no row of a source with `columns`."""
    return f"{found} field{'' if found == 1 else 's'}, the header has {columns}"


def parse_fields(row: bytes, dialect: Dialect) -> list[bytes]:
    """Split a record into fields, without surrounding quotes and with doubled ones undone. ValueError if malformed."""
    if not dialect.quote or dialect.quote not in row:
        return row.split(dialect.delimiter)
    # latin-1 maps every byte to a character and back, so bytes of any encoding pass unchanged.
    reader = csv.reader(
        (row.decode("latin-1"),),
        delimiter=dialect.delimiter.decode("latin-1"),
        quotechar=dialect.quote.decode("latin-1"),
        strict=True,
    )
    try:
        fields = next(reader)
    except csv.Error as error:
        raise RowError(Code.QUOTES, f"not a CSV record: {error}") from None
    return [field.encode("latin-1") for field in fields]


def join_fields(fields: Sequence[bytes], dialect: Dialect) -> bytes:
    """Join fields into a record, quoting only those that hold a delimiter, a quote, CR or LF.

    A single empty field gives the empty record, where csv.writer would write two quotes. ValueError if a field needs
    quotes and the dialect has none.
    """
    row = dialect.delimiter.join(fields)
    special = b"\n" in row or b"\r" in row or row.count(dialect.delimiter) != len(fields) - 1
    if not special and (not dialect.quote or dialect.quote not in row):
        return row
    if not dialect.quote:
        raise RowError(Code.QUOTES, "a field holds a delimiter or a line break, and QUOTE is none")
    return dialect.delimiter.join([_quoted(field, dialect) for field in fields])


def _quoted(field: bytes, dialect: Dialect) -> bytes:
    quote = dialect.quote
    if quote in field or dialect.delimiter in field or b"\n" in field or b"\r" in field:
        return quote + field.replace(quote, quote + quote) + quote
    return field


class JsonCodec:
    """The rows of one schema as JSON objects, and back.

    Keys are `schema.keys` in column order. A field that is a JSON number stays one, digit for digit; every other field
    is a string. JSON is UTF-8, whatever the encoding of the rows.
    """

    __slots__ = ("_delimiter", "_dialect", "_encoding", "_keys", "_quote", "_template", "names")

    def __init__(self, schema: Schema) -> None:
        self._dialect = schema.dialect
        self._delimiter = schema.dialect.delimiter
        self._quote = schema.dialect.quote
        self._encoding = None if schema.dialect.encoding == "utf-8" else schema.dialect.encoding
        self._keys = schema.keys
        # What stands before each value.
        starts = [b"{", *[b","] * (len(self._keys) - 1)]
        self.names = [start + orjson.dumps(key) + b":" for start, key in zip(starts, self._keys, strict=True)]
        self._template = b"%b".join([name.replace(b"%", b"%%") for name in self.names]) + b"%b}"

    def encode_usual(self, rows: list[bytes]) -> list[bytes | None]:
        """Each row as `encode` writes it; None for those that only `encode` can judge. This is the hot path."""
        if self._encoding is not None:
            return [None] * len(rows)
        return json_rows(rows, self.names, self._delimiter, self._quote)

    def encode(self, row: bytes) -> bytes:
        """Write a CSV row as a JSON object. ValueError if it is malformed, no text or of another width."""
        if self._encoding is not None:
            row = _to_utf8(row, self._encoding)
        fields = parse_fields(row, self._dialect)
        if len(fields) != len(self._keys):
            raise RowError(Code.FIELDS, misfit(len(fields), len(self._keys)))
        try:
            values = [field if _is_number(field) else orjson.dumps(field.decode()) for field in fields]
        except UnicodeDecodeError:
            raise RowError(Code.ENCODING, "not UTF-8") from None
        return self._template % tuple(values)

    def decode_all(self, values: list[bytes]) -> list[bytes]:
        """Write each value as `decode` does, ValueError included. This is the hot path."""
        if self._encoding is not None:
            return [self.decode(value) for value in values]
        rows = csv_rows(values, self.names, self._delimiter, self._quote)
        if all(rows):
            return cast("list[bytes]", rows)
        return [self.decode(value) if row is None else row for row, value in zip(rows, values, strict=True)]

    def decode(self, value: bytes) -> bytes:
        """Write a JSON object as the CSV row that was encoded, byte for byte if it quoted only what needs quotes.

        ValueError unless it is an object of exactly the schema's keys, each once and with a text or a number.
        """
        row = join_fields(self.fields(value), self._dialect)
        return row if self._encoding is None else _from_utf8(row, self._encoding)

    def fields(self, value: bytes) -> list[bytes]:
        """Read the fields of a JSON object in column order. ValueError as in `decode`."""
        try:
            row = json.loads(
                value.decode(),
                parse_int=str,
                parse_float=str,
                parse_constant=_refuse_constant,
                object_pairs_hook=_distinct,
            )
        except UnicodeDecodeError:
            raise RowError(Code.ENCODING, "not UTF-8") from None
        except (ValueError, RecursionError) as error:
            raise RowError(Code.JSON, f"not a JSON row: {error}") from None
        if not isinstance(row, dict):
            raise RowError(Code.JSON, "not a JSON object")
        if missing := [key for key in self._keys if key not in row]:
            raise RowError(Code.JSON, f"no key {missing[0]!r}")
        if len(row) != len(self._keys):
            raise RowError(Code.JSON, f"{len(row)} keys, the header has {len(self._keys)}")
        return [_text(key, row[key]) for key in self._keys]


def json_field_reader(schema: Schema, index: int) -> Callable[[bytes], bytes]:
    """Build a function that reads column `index` of a JSON row, as `parse_fields` would read it from the CSV row.

    It avoids looking at other columns, so it does not judge the rest of the row. It raises ValueError if the key is
    absent or holds neither text nor number.
    """
    codec = JsonCodec(schema)
    key = schema.keys[index]

    def from_whole_row(value: bytes) -> bytes:
        return codec.fields(value)[index]

    # A quote inside a JSON string has a backslash before it, so the name's bytes without one are a whole string: a key.
    # Only a name that could follow a closing quote may be found elsewhere too.
    if key.startswith((",", ":", "]", "}", " ")):
        return from_whole_row
    name = re.escape(orjson.dumps(key) + b":")
    # The look-behind follows the name because a pattern that starts with plain bytes is searched faster.
    search = re.compile(
        rb'%b(?<!\\%b)[ \t\r\n]*+(?:"(%b)(?:"|((?>(?:\\.%b)+)"))|(%b)(?=[ \t\r\n]*+[,}]))'
        % (name, name, _TEXT, _TEXT, _NUMBER)
    ).search

    def from_key(value: bytes) -> bytes:
        match = search(value)
        if match is None:
            return from_whole_row(value)
        text, escaped, number = match.groups()
        if escaped is not None:
            decoded: str = orjson.loads(b'"' + text + escaped)
            return decoded.encode()
        return number if text is None else text

    return from_key


def _to_utf8(row: bytes, encoding: str) -> bytes:
    try:
        text = row.decode(encoding)
        # Some encodings have two ways to write a character, and the bytes given back have to be those that came.
        if text.encode(encoding) == row:
            return text.encode()
    except UnicodeError:
        raise RowError(Code.ENCODING, f"not {encoding}") from None
    raise RowError(Code.ENCODING, f"not the way {encoding} is written, so JSON could not give it back")


def _from_utf8(row: bytes, encoding: str) -> bytes:
    try:
        return row.decode().encode(encoding)
    except UnicodeError:
        raise RowError(Code.ENCODING, f"a character that {encoding} does not have") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key occurs twice")
    return members


def _text(key: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise RowError(Code.JSON, f"the value of {key!r} is neither text nor number")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise RowError(Code.JSON, f"the value of {key!r} is no Unicode text") from None
