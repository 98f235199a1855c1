"""A source's header and dialect, with which its rows must be read."""

from hashlib import blake2b
from typing import Literal

from msgspec import Struct

RowFormat = Literal["csv", "json"]

BOM = b"\xef\xbb\xbf"


class Dialect(Struct, frozen=True):
    """How records and fields are separated. `delimiter` and `quote` are one byte each; an empty quote quotes nothing.

    `eol` is the usual line ending. `encoding` is Python's name for the encoding of fields: in it the delimiter, the
    quote and line endings have their ASCII bytes, and no other character contains one of these bytes.
    """

    delimiter: bytes = b","
    quote: bytes = b'"'
    eol: bytes = b"\n"
    encoding: str = "utf-8"


class Schema(Struct, frozen=True):
    """What rows of a source have in common.

    `header` is the header record's exact bytes without its line ending, None where a source has none.
    `columns` are the names as text, `#1`, `#2`, … where there is no header.
    """

    header: bytes | None
    columns: tuple[str, ...]
    dialect: Dialect = Dialect()
    row_format: RowFormat = "csv"

    @property
    def id(self) -> str:
        """Twelve hex digits of a digest over all of this, different for different schemas."""
        dialect = self.dialect
        parts = (
            b"-" if self.header is None else b"+" + self.header,
            str(len(self.columns)).encode(),
            dialect.delimiter,
            dialect.quote,
            dialect.eol,
            dialect.encoding.encode(),
            self.row_format.encode(),
        )
        digest = blake2b(digest_size=6)
        for part in parts:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.hexdigest()

    @property
    def keys(self) -> tuple[str, ...]:
        """The column names made unique, as `ROW_FORMAT=json` names its fields: a repeated name gets its position."""
        seen: set[str] = set()
        keys = []
        for position, column in enumerate(self.columns, start=1):
            key = column if column not in seen else f"{column}#{position}"
            while key in seen:
                key += "#"
            seen.add(key)
            keys.append(key)
        return tuple(keys)
