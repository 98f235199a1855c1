"""What ingest is told."""

from typing import Literal

from pydantic import Field

from common.schema import RowFormat
from common.settings import ServiceSettings


class IngestSettings(ServiceSettings):
    """ingest reads CSV files and writes each row as a Kafka record, exactly once."""

    input: str = Field(
        description="a file, a folder (its *.csv files, recursive), a glob, or - for standard input; also positional"
    )
    once: bool = Field(
        default=False,
        description="true: read what is there, finish, exit 0. false: stay, notice new files and appended rows",
    )
    settle_s: float = Field(
        2, ge=0, description="seconds; a file unchanged this long has ended; when it grows later, it goes on"
    )
    header: Literal["first", "none"] = Field(
        "first", description="first: the first record names the columns. none: columns are #1, #2, ..."
    )
    row_format: RowFormat = Field(
        "csv", description="csv: a record's value is the row's exact bytes. json: an object per row"
    )
    order: Literal["source", "none"] = Field(
        "source",
        description="source: a source's rows keep their order. none: they are spread over all partitions",
    )
    commit_interval_ms: int = Field(100, ge=1, description="milliseconds; rows read are committed at the latest")
