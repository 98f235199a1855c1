"""The command line that every peer takes."""

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Arguments:
    """One stage's work: `rows` is how many there are in all, after which it ends."""

    stage: str
    bootstrap: str
    prefix: str
    rows: int
    input: Path
    output: Path
    row_format: str
    compression: str


def parse() -> Arguments:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", choices=["ingest", "split", "sink"])
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--row-format", default="csv", choices=["csv", "json"])
    parser.add_argument("--compression", default="none")
    return Arguments(**vars(parser.parse_args()))
