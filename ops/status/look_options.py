"""The options of the commands that look at a pipeline again and again."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from msgspec import Struct

from common.errors import ConfigurationError

_LONGEST_INTERVAL_S = 3600.0


class LookOptions(Struct, frozen=True):
    """Sink's folder, the seconds between two looks, and ingest's SETTLE_S."""

    output_dir: Path
    interval_s: float = 2.0
    settle_s: float = 2.0


def add_look_options(parser: ArgumentParser, interval_s: float, when: str = "") -> None:
    """Add them; `when` says when there is more than one look."""
    add = parser.add_argument
    add("--interval-s", type=float, default=interval_s, help=f"seconds between two looks{when} ({interval_s:g})")
    folder = Path(os.environ.get("OUTPUT_DIR") or "out")
    add("--output-dir", type=Path, default=folder, help="sink's folder, if it is at hand (OUTPUT_DIR, or out)")
    # As a text, so that it is checked like one that is given.
    settle_s = os.environ.get("SETTLE_S") or "2"
    add(
        "--settle-s",
        type=float,
        default=settle_s,
        help="ingest's SETTLE_S: a compressed file waits so long (SETTLE_S, or 2)",
    )


def look_options(given: Namespace) -> LookOptions:
    """What is asked for. Raises ConfigurationError."""
    if not 0 < given.interval_s <= _LONGEST_INTERVAL_S:
        raise ConfigurationError(f"--interval-s {given.interval_s:g}: more than 0, at most an hour")
    return LookOptions(given.output_dir, given.interval_s, given.settle_s)
