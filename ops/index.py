"""`nacre index [OUTPUT_DIR]`: which file holds which category, as sink's ledgers know it, one JSON object a line.

File names cut long categories off, so paths cannot be read back: this command maps them back. It may run at any time,
even while sinks run; rows and bytes are as of each file's last checkpoint.
"""

import os
import sqlite3
import sys
from pathlib import Path

import orjson

from common.protocol.output_folder import LEDGERS
from common.settings_reader import ParserWithExamples
from ops.command_line import discard_output
from services.sink.ledger.inventory import index_of


def main(argv: list[str]) -> int:
    """Print a line for every file."""
    parser = ParserWithExamples(
        prog="nacre index",
        description="Print, for every file that sink has made, a JSON object: path (below OUTPUT_DIR), split, category "
        "(null for an empty field), schema, rows, bytes (as of the last checkpoint; for a finished file, before "
        "compression), finished.",
        examples=("nacre index out",),
    )
    parser.add_argument("output_dir", nargs="?", type=Path, default=Path(os.environ.get("OUTPUT_DIR") or "out"))
    output_dir: Path = parser.parse_args(argv).output_dir
    ledgers = sorted(output_dir.glob(LEDGERS))
    if not ledgers:
        sys.stderr.write(f"nacre index: {output_dir} has no ledgers: is it the OUTPUT_DIR of a sink?\n")
        return 1
    try:
        for path in ledgers:
            for line in index_of(path):
                sys.stdout.buffer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.flush()
    except sqlite3.Error as error:
        sys.stderr.write(f"nacre index: cannot read ledger {path}: {error}\n")
        return 1
    except BrokenPipeError:
        discard_output()
    return 0
