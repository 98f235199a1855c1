"""What the demo is asked to do: its command line, parsed and checked."""

import argparse
import os
from pathlib import Path

from msgspec import Struct

from common.settings_reader import ParserWithExamples
from ops.demo.files import DemoError, count_input, repeat_rows
from ops.findings import shown_path
from services.split.categories.splits import parse_split_by

_INPUT = Path(__file__).parents[2] / "data" / "abalone_full.csv"
_OUTPUT_DIR = Path("out", "demo")
_SPLIT_BY = "*,Sex,Rings:int,Sex+Rings,Length:float/0.1"
# So many take long enough to be killed in.
_ROWS_TO_KILL = 1_000_000
BOOTSTRAP = "KAFKA_BOOTSTRAP_SERVERS"


class Order(Struct, frozen=True):
    """What the demo sends, how it is split, and where it goes."""

    input: Path
    name: str
    rows: int
    split_by: str
    output_dir: Path


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse the command line; exit with 2 if it is wrong."""
    parser = ParserWithExamples(
        prog="nacre demo",
        description="Send a CSV file through a real Kafka into one CSV file per category, and prove that nothing was "
        f"lost or doubled. It starts its own Kafka, unless {BOOTSTRAP} names one.",
        examples=("nacre demo", "nacre demo --kill", "nacre demo --rows 1000000 --split-by Sex,Rings:int"),
    )
    parser.add_argument("--input", type=Path, default=_INPUT, metavar="FILE", help="default: 4,177 abalone rows")
    parser.add_argument(
        "--split-by",
        type=_split_by,
        default=os.environ.get("SPLIT_BY") or _SPLIT_BY,
        metavar="SPLITS",
        help=f"as SPLIT_BY, which is used when it is set; default: {_SPLIT_BY}",
    )
    parser.add_argument(
        "--kill",
        action="store_true",
        help="kill the services with -9 and restart them, again and again (1,000,000 rows unless --rows says otherwise)"
        "; on a terminal, k kills the next one at once",
    )
    parser.add_argument("--rows", type=_positive, metavar="N", help="repeat the input's rows until there are N")
    parser.add_argument(
        "--output-dir", type=Path, default=_OUTPUT_DIR, metavar="FOLDER", help=f"emptied first; default: {_OUTPUT_DIR}"
    )
    return parser.parse_args(argv)


def _split_by(text: str) -> str:
    try:
        parse_split_by(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def take_order(arguments: argparse.Namespace, folder: Path) -> Order:
    """The order that the arguments give; repeated rows go into `folder`. Raises DemoError."""
    given: Path = arguments.input.absolute()
    output_dir: Path = arguments.output_dir.resolve()
    if not given.is_file():
        raise DemoError(f"--input {given}: no such file")
    if given.resolve().is_relative_to(output_dir):
        raise DemoError(f"{given} is in the output folder, which is emptied first: name another with --output-dir")
    name = shown_path(given)
    wanted: int | None = arguments.rows or (_ROWS_TO_KILL if arguments.kill else None)
    if wanted is not None:
        repeated = folder / given.name
        with repeated.open("wb") as file:
            file.writelines(repeat_rows(given.read_bytes(), wanted))
        given, name = repeated, f"{name} repeated"
    rows = count_input(given)
    if not rows:
        raise DemoError(f"--input {given}: the file has no rows")
    return Order(given, name, rows, arguments.split_by, output_dir)
