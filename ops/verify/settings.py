"""The arguments of `nacre verify`, and the settings with which sources are read, as ingest and split have them."""

import os
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from common.errors import ConfigurationError
from common.setting import setting, settings_of
from common.settings_reader import Parser, read_settings
from services.ingest.settings import IngestSettings
from services.split.categories.splits import Split, parse_split_by
from services.split.settings import SplitSettings

PROGRAM = "nacre verify"
_STUCK_S = 60.0
# The settings that decide what the rows of a source are, and where they go.
_SETTINGS = (
    "split_by",
    "header",
    "skip_lines",
    "delimiter",
    "quote",
    "encoding",
    "row_format",
    "order",
    "max_row_bytes",
)
_DESCRIPTION = """\
Say whether the files in OUTPUT_DIR are what they have to be, without Kafka, also while sinks are at work.

Without an option it reads all files: their checksums, and whether for each split files + rejected are what was
read. Exit code 0: all is well. 1: something differs. 75: not all is delivered yet. 78: a setting or a path is wrong.
"""
_EXAMPLES = (
    "nacre verify out --quick",
    "nacre verify out --source data/ --split-by Sex,Rings:int",
    "nacre verify out --watch",
)


@dataclass(frozen=True, kw_only=True)
class SourceSettings(IngestSettings, SplitSettings):
    """How sources are read and split: settings as for ingest and split."""

    input: str = setting("", description="not used")

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits."""
        return parse_split_by(self.split_by)


class Arguments(Struct, frozen=True):
    """What is asked: `settings` are there if sources are given."""

    output_dir: Path
    sources: Sequence[str]
    settings: SourceSettings | None
    is_quick: bool
    watches: bool
    stuck_s: float
    as_json: bool


def read_arguments(argv: Sequence[str]) -> Arguments:
    """Read them, and settings that are not among them from the environment. Raises ConfigurationError."""
    parser = Parser(
        prog=PROGRAM, description=_DESCRIPTION, formatter_class=RawDescriptionHelpFormatter, examples=_EXAMPLES
    )
    parser.add_argument("output_dir", nargs="?", type=Path, default=Path(os.environ.get("OUTPUT_DIR") or "out"))
    add = parser.add_argument
    add("--quick", action="store_true", help="read no file: compare lengths, and look for files that are not sink's")
    add(
        "--source",
        action="append",
        default=[],
        metavar="PATH",
        help="also compare every row with its source: a file, a folder (as for ingest) or a glob; repeatable",
    )
    add("--watch", action="store_true", help="read ledgers alone, say what is under way, end once all is delivered")
    add("--stuck-s", type=float, default=_STUCK_S, help="seconds without a safe row after which a source is stuck (60)")
    add("--json", action="store_true", help="print JSON, for programs")
    settings = parser.add_argument_group("with --source, as the services have them, else from the environment")
    described = {each.name: each.rule.description for each in settings_of(SourceSettings)}
    for name in _SETTINGS:
        settings.add_argument(_flag(name), metavar="VALUE", help=described[name].replace("%", "%%"))
    given = parser.parse_args(argv)
    if given.quick and (given.source or given.watch):
        raise ConfigurationError("--quick reads no file and goes with neither --source nor --watch")
    found = {name: getattr(given, name) for name in _SETTINGS}
    flags = [f"{_flag(name)}={value}" for name, value in found.items() if value is not None]
    # With --watch a source is only a name and a size.
    needs_settings = given.source and not given.watch
    read = read_settings(SourceSettings, flags, program=PROGRAM) if needs_settings else None
    return Arguments(given.output_dir, given.source, read, given.quick, given.watch, given.stuck_s, given.json)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
