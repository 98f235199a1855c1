"""What sink is told."""

from pathlib import Path

from pydantic import Field

from common.settings import ServiceSettings


class SinkSettings(ServiceSettings):
    """sink reads categorized rows and appends each to its category's file, exactly once."""

    output_dir: Path = Field(
        default=Path("out"), description="the folder of the files; the ledgers live in a hidden folder inside"
    )
    exit_when_done: bool = Field(
        default=False,
        description="true: exit 0 once every source known to be started has ended and is written out",
    )
    checkpoint_interval_ms: int = Field(
        1000, ge=1, description="milliseconds; what is written is fsynced and entered in the ledger at the latest"
    )
