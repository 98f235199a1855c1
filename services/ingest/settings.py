"""The settings of ingest."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from common.protocol.tolerance import MAX_REJECTED, Tolerance, parse_tolerance
from common.rows.schema import RowFormat
from common.setting import setting
from common.settings import ServiceSettings
from services.ingest.delivered.action import Action, parse_action
from services.ingest.parsing.encodings import check_mark, find_encoding
from services.ingest.parsing.options import ReadOptions

_AUTO, _NONE, _TAB = "auto", "none", "tab"


def _checked_delimiter(text: str) -> str:
    if text not in {_AUTO, _TAB}:
        check_mark(text, "tab or auto")
    return text


def _checked_quote(text: str) -> str:
    if text not in {_AUTO, _NONE}:
        check_mark(text, "none or auto")
    return text


@dataclass(frozen=True, kw_only=True)
class IngestSettings(ServiceSettings):
    """ingest reads CSV files and writes each row as a Kafka record, exactly once."""

    examples: ClassVar[tuple[str, ...]] = (
        "data/",
        "'data/*.csv' --once --delimiter auto --kafka-bootstrap-servers broker:9092",
    )

    input: str = setting(
        description="a file, a folder (its *.csv, *.csv.gz and *.csv.zst files, recursive), a glob, or - for standard "
        "input; also positional"
    )
    once: bool = setting(
        default=False,
        description="true: read what is there, finish, exit 0. false: stay, and pick up new files and appended rows",
    )
    settle_s: float = setting(
        2,
        at_least=0,
        description="seconds; a file that has not changed for so long has ended; if it grows later, reading goes on",
    )
    unterminated_s: float = setting(
        60,
        at_least=0,
        description="seconds that half a row, without a line ending, waits for its rest while the file does not grow; "
        "then it is taken as it is. Compressed files, ONCE and standard input do not wait",
    )
    header: Literal["first", "none"] = setting(
        "first", description="first: the first record names the columns. none: columns are #1, #2, ..."
    )
    skip_lines: int = setting(0, at_least=0, description="lines to skip before the header or the first row")
    delimiter: str = setting(
        ",",
        description="between fields: one character, tab, or auto to detect it in each file: comma, ;, tab or |",
        check=_checked_delimiter,
    )
    quote: str = setting(
        '"',
        description="around fields: one character, none, or auto to detect it in each file: double, single or none",
        check=_checked_quote,
    )
    encoding: str = setting(
        "utf-8",
        description="the encoding of column names and categories (latin-1, cp1252, ...); bytes pass unchanged",
        check=lambda text: find_encoding(text).name,
    )
    row_format: RowFormat = setting(
        "csv", description="csv: a record's value is the row's exact bytes. json: an object per row"
    )
    order: Literal["source", "none"] = setting(
        "source",
        description="source: the rows of a source keep their order. none: they are spread over all partitions",
    )
    after_delivery: str = setting(
        "keep",
        description="what becomes of a file once its receipt is there: keep, delete or move:DIR, a folder below or "
        "beside INPUT. Otherwise than with keep, ONCE ends when its files are delivered",
        check=lambda text: parse_action(text).text,
    )
    max_rejected: str = setting("none", description=MAX_REJECTED, check=lambda text: parse_tolerance(text).text)
    commit_interval_ms: int = setting(
        100, at_least=1, description="milliseconds after which, at the latest, rows that were read are committed"
    )

    def __post_init__(self) -> None:
        """Check what goes together. ValueError says what does not."""
        super().__post_init__()
        if self.delimiter == self.quote != _AUTO:
            raise ValueError(f"DELIMITER and QUOTE are both {self.quote!r}: they have to differ")
        encoding = find_encoding(self.encoding)
        for name, mark in (("DELIMITER", self.read_options.delimiter), ("QUOTE", self.read_options.quote)):
            if mark and encoding.holds(mark):
                raise ValueError(f"{name} {mark.decode()!r} may be part of a character in ENCODING={self.encoding}")

    @cached_property
    def read_options(self) -> ReadOptions:
        """How to read sources."""
        delimiter = {_AUTO: None, _TAB: b"\t"}.get(self.delimiter, self.delimiter.encode())
        quote = {_AUTO: None, _NONE: b""}.get(self.quote, self.quote.encode())
        return ReadOptions(self.header, delimiter, quote, self.encoding, self.skip_lines, self.row_format)

    @cached_property
    def action(self) -> Action:
        """What becomes of a file once it is delivered."""
        return parse_action(self.after_delivery)

    @property
    def delivered_folder(self) -> Path | None:
        """Where delivered files are moved to."""
        return Path(self.action.folder).absolute() if self.action.kind == "move" else None

    @cached_property
    def tolerance(self) -> Tolerance:
        """How many records may be rejected."""
        return parse_tolerance(self.max_rejected)
