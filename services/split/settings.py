"""What split is told."""

from pydantic import Field, field_validator

from common.settings import ServiceSettings
from services.split.splits import parse_split_by


class SplitSettings(ServiceSettings):
    """split reads rows and writes each to its category, exactly once, for several splits at the same time."""

    split_by: str = Field(
        description="the splits, by commas: Sex,Rings | two columns: Sex+Rings | typed: Rings:int, Length:float/0.1 | "
        "by position: #1 | * for all rows in one file | named: age=Rings:int"
    )
    exit_when_done: bool = Field(
        default=False,
        description="true: exit 0 once every source known to be started has ended and is written out",
    )
    commit_interval_ms: int = Field(100, ge=1, description="milliseconds; rows read are committed at the latest")

    @field_validator("split_by")
    @classmethod
    def _check_split_by(cls, text: str) -> str:
        parse_split_by(text)
        return text
