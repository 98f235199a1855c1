"""How sources are to be read."""

from dataclasses import dataclass
from typing import Literal

from common.rows.schema import RowFormat


@dataclass(frozen=True, slots=True)
class ReadOptions:
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
