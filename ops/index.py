"""`nacre index [OUTPUT_DIR]`: which file holds which category, as sink's ledgers know it, one JSON object a line.

Names of long categories are cut and cannot be read back from their paths: this maps them back. It may be asked at any
time, also while sinks run; rows and bytes are those of each file's last checkpoint.
"""

import argparse
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from common.protocol.messages import parse_category_key
from services.sink.rendering import REJECTED_KEY

# So few at once, because a ledger that is being read keeps what sink writes to it meanwhile in a second file.
_PAGE_ROWS = 1_000
# Files that are open, with or without an end to come, and files that are finished, once they have their last names.
_PAGE = """
SELECT key, part, path, rows, length, 0 AS in_place FROM files WHERE (key, part) > (:key, :part)
UNION ALL
SELECT key, part, iif(in_place = 1, final, path), rows, length, in_place = 1 FROM finished
WHERE (key, part) > (:key, :part)
ORDER BY 1, 2 LIMIT :count
"""

_Row = tuple[bytes, int, str, int, int, int]


def main(argv: list[str]) -> int:
    """Print a line for every file."""
    parser = argparse.ArgumentParser(
        prog="nacre index",
        description="Print, for every file that sink has made, a JSON object: path (below OUTPUT_DIR), split, category "
        "(null for an empty field), schema, rows, bytes (as of the last checkpoint; of a finished file before it is "
        "packed), finished.",
    )
    parser.add_argument("output_dir", nargs="?", type=Path, default=Path(os.environ.get("OUTPUT_DIR") or "out"))
    output_dir: Path = parser.parse_args(argv).output_dir
    ledgers = sorted(output_dir.glob(".nacre/*.ledger"))
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
        # The reader closed the pipe. What Python still holds for it at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def index_of(ledger: Path) -> Iterator[dict[str, Any]]:
    """What a ledger knows of its files, one after the other."""
    page = _read_page(ledger, (b"", -1))
    while page:
        for key, _, path, rows, length, in_place in page:
            schema, split, category = (None, None, None) if key == REJECTED_KEY else parse_category_key(key)
            yield {
                "path": path,
                "split": split,
                "category": category,
                "schema": schema,
                "rows": rows,
                "bytes": length,
                "finished": bool(in_place),
            }
        page = _read_page(ledger, page[-1][:2])


def _read_page(ledger: Path, after: tuple[bytes, int]) -> list[_Row]:
    """The next files by key."""
    while True:
        # A ledger that no sink has open is one file, and stays so: SQLite is told that nobody changes it, and makes no
        # others. Whether somebody did after all is seen afterwards. Where sink closes it meanwhile, the last to close
        # it takes SQLite's other files away, but not if it may only read. (Where it cannot write, SQLite reads all the
        # same.)
        before = is_quiet, _ = _state(ledger)
        try:
            page = _query(ledger, "mode=ro&immutable=1" if is_quiet else "mode=rw", after)
        except sqlite3.Error:
            if _state(ledger) == before:
                raise
        else:
            if not is_quiet or _state(ledger) == before:
                return page


def _state(ledger: Path) -> tuple[bool, int]:
    """Whether no sink has the ledger open, and when the file was changed."""
    return not Path(f"{ledger}-wal").exists(), ledger.stat().st_mtime_ns


def _query(ledger: Path, how: str, after: tuple[bytes, int]) -> list[_Row]:
    with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?{how}", uri=True)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'files'").fetchone():
            # It is just being made.
            return []
        key, part = after
        return database.execute(_PAGE, {"key": key, "part": part, "count": _PAGE_ROWS}).fetchall()
