"""How sources are to be read."""

from typing import Literal

from msgspec import Struct

from common.rows.schema import RowFormat


class ReadOptions(Struct, frozen=True):
    """The settings that decide what a source's rows are; `delimiter` and `quote` are None for `auto`."""

    header: Literal["first", "none"] = "first"
    delimiter: bytes | None = b","
    quote: bytes | None = b'"'
    encoding: str = "utf-8"
    skip_lines: int = 0
    row_format: RowFormat = "csv"

    @property
    def is_auto(self) -> bool:
        """Whether anything is to be detected."""
        return self.delimiter is None or self.quote is None
