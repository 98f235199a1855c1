"""The settings of split."""

from pydantic import Field, field_validator

from common.protocol.tolerance import MAX_REJECTED, Tolerance, parse_tolerance
from common.settings import ServiceSettings
from services.split.categories.splits import parse_split_by


class SplitSettings(ServiceSettings):
    """split reads rows and writes each to its category, exactly once, for several splits at the same time."""

    split_by: str = Field(
        description="the splits, separated by commas: Sex,Rings | two columns: Sex+Rings | typed: Rings:int, "
        "Length:float/0.1 | by position: #1 | * for all rows in one file | named: age=Rings:int"
    )
    exit_when_done: bool = Field(
        default=False,
        description="true: exit once all that ingest has read, to its end, is split and written",
    )
    max_rejected: str = Field("none", description=MAX_REJECTED)
    commit_interval_ms: int = Field(
        100, ge=1, description="milliseconds after which, at the latest, rows that were read are committed"
    )

    @field_validator("max_rejected")
    @classmethod
    def _check_max_rejected(cls, text: str) -> str:
        return parse_tolerance(text).text

    @field_validator("split_by")
    @classmethod
    def _check_split_by(cls, text: str) -> str:
        parse_split_by(text)
        return text

    @property
    def tolerance(self) -> Tolerance:
        """Whether a split may reject every row."""
        return parse_tolerance(self.max_rejected)
