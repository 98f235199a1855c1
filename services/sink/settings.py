"""The settings of sink."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from common.protocol.output_folder import PROOFS
from common.setting import Secret, setting
from common.settings import ServiceSettings, is_endpoint
from services.sink.paths.template import DEFAULT_TEMPLATE, path_rule
from services.sink.rolling.finished_files import SUFFIXES, Packing
from services.sink.rolling.limits import Limits, Rolling


@dataclass(frozen=True, kw_only=True)
class SinkSettings(ServiceSettings):
    """sink reads categorized rows and appends each to its category's file, exactly once."""

    examples: ClassVar[tuple[str, ...]] = (
        "--output-dir out",
        "--output-dir out --roll-at-end --compress zstd --kafka-bootstrap-servers broker:9092",
    )

    output_dir: Path = setting(
        Path("out"), description="the folder of the files; the ledgers live in a hidden folder inside"
    )
    exit_when_done: bool = setting(
        default=False,
        description="true: exit once all that ingest has read, to its end, is split and written",
    )
    checkpoint_interval_ms: int = setting(
        1000,
        at_least=1,
        description="milliseconds after which, at the latest, written rows are fsynced and in the ledger",
    )
    path_template: str = setting(
        DEFAULT_TEMPLATE,
        description="where a category's file is, below OUTPUT_DIR: {split}, {category}, and with ROLL_* {part} (the "
        "file's number) and {date} (UTC, when it was begun)",
    )
    roll_bytes: int = setting(
        0, at_least=0, description="bytes; a file that has so many is finished, and the next one is begun. 0: never"
    )
    roll_rows: int = setting(0, at_least=0, description="rows; a file that has so many is finished. 0: never")
    roll_age_s: float = setting(
        0, at_least=0, description="seconds after its first row at which a file is finished. 0: never"
    )
    roll_idle_s: float = setting(
        0, at_least=0, description="seconds without a new row after which a file is finished. 0: never"
    )
    roll_at_end: bool = setting(
        default=False, description="true: when a source ends, every file that has rows by then is finished"
    )
    compress: Packing = setting("none", description="how finished files are compressed: none, gzip or zstd")

    proofs: str = setting(
        ",".join(PROOFS),
        description="what is written of the output, separated by commas: receipts (a file for each delivered source), "
        "manifest (manifest-sha256.txt), datapackage (datapackage.json), success (_SUCCESS, once a finite run has "
        "delivered all); or none",
    )

    on_delivery: Secret | None = setting(
        None,
        pattern="[!-~]+",
        description="http or https URL to which each receipt is posted as JSON, at least once; never logged",
    )

    @cached_property
    def proof_files(self) -> frozenset[str]:
        """What PROOFS names, by the names that it has in OUTPUT_DIR."""
        names = [name.strip() for name in self.proofs.split(",")]
        if names == ["none"]:
            return frozenset()
        for name in names:
            if name not in PROOFS:
                raise ValueError(f"PROOFS {self.proofs!r}: there are {', '.join(PROOFS)}, separated by commas, or none")
        return frozenset(PROOFS[name] for name in names)

    @cached_property
    def rolling(self) -> Rolling:
        """How files are named, and when they are finished."""
        limits = Limits(self.roll_bytes, self.roll_rows, self.roll_age_s, self.roll_idle_s)
        rolls = limits != Limits() or self.roll_at_end
        try:
            rule = path_rule(self.path_template, rolls=rolls, packed_suffix=SUFFIXES[self.compress])
        except ValueError as error:
            raise ValueError(f"PATH_TEMPLATE {self.path_template!r}: {error}") from None
        if self.compress != "none" and not rolls:
            raise ValueError(f"COMPRESS={self.compress} is for files that are finished: set one of ROLL_* as well")
        return Rolling(rule, limits, self.roll_at_end)

    def __post_init__(self) -> None:
        """Check what goes together. ValueError says what does not."""
        super().__post_init__()
        _ = self.rolling, self.proof_files
        if self.on_delivery is not None and not is_endpoint(self.on_delivery.reveal()):
            raise ValueError("ON_DELIVERY is not https://host/path, without a user name or a fragment")
