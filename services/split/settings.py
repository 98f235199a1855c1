"""The settings of split."""

from dataclasses import dataclass
from typing import ClassVar

from common.protocol.tolerance import MAX_REJECTED, Tolerance, parse_tolerance
from common.setting import setting
from common.settings import ServiceSettings
from services.split.categories.splits import parse_split_by


def _checked_splits(text: str) -> str:
    parse_split_by(text)
    return text


@dataclass(frozen=True, kw_only=True)
class SplitSettings(ServiceSettings):
    """split reads rows and writes each to its category, exactly once, for several splits at the same time."""

    examples: ClassVar[tuple[str, ...]] = (
        "--split-by Sex,Rings:int",
        "--split-by 'Sex+Rings,size=Length:float/0.1' --exit-when-done --kafka-bootstrap-servers broker:9092",
    )

    split_by: str = setting(
        description="the splits, separated by commas: Sex,Rings | two columns: Sex+Rings | typed: Rings:int, "
        "Length:float/0.1 | by position: #1 | * for all rows in one file | named: age=Rings:int",
        check=_checked_splits,
    )
    exit_when_done: bool = setting(
        default=False,
        description="true: exit once all that ingest has read, to its end, is split and written",
    )
    max_rejected: str = setting("none", description=MAX_REJECTED, check=lambda text: parse_tolerance(text).text)
    commit_interval_ms: int = setting(
        100, at_least=1, description="milliseconds after which, at the latest, rows that were read are committed"
    )

    @property
    def tolerance(self) -> Tolerance:
        """Whether a split may reject every row."""
        return parse_tolerance(self.max_rejected)
