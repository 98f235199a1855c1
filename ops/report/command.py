"""`nacre report OUT`: one HTML file that says what a run has delivered, to mail or archive."""

import os
import sqlite3
import sys
import time
import uuid
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from common.errors import ConfigurationError, ServiceError
from common.escaping import printable
from common.settings_reader import Parser
from ops.command_line import discard_output, write_out
from ops.report.gathering import MOST_LISTED, gather
from ops.report.page import render_page
from ops.report.verdict import Verdict
from services.sink.disk.errors import DiskError

_PROGRAM = "nacre report"
_INTERRUPTED = 130
_STANDARD_OUTPUT = "-"
_DESCRIPTION = f"""\
Write one HTML file that says what a run has delivered: whether it is complete, the balance of each split, receipts,
categories, rejected rows, latencies. It needs neither Kafka nor a network, nor does a browser that shows it.

It reads the output folder alone and changes nothing in it, also while sinks are at work: then the report is of that
moment, and says that the run is not finished. It does not check what
category files hold: `nacre verify` does that.

The report shows paths of sources and files, names of categories, and the first rejected rows: check who will receive
it. --without-rows leaves out the rows. It lists {MOST_LISTED} sources, undelivered ones first, and the {MOST_LISTED}
largest categories; --all lists everything.

Exit code 0: the report is written, whatever it says. 1: a file or a ledger cannot be read or written. 78: a path is
wrong.
"""
_EXAMPLES = ("nacre report out", "nacre report out --all -o 2026-11-29.html", "nacre report out -o - --without-rows")


class Options(Struct, frozen=True):
    """What is asked for; `target` is None for standard output."""

    root: Path
    target: Path | None
    lists_all: bool
    shows_rows: bool


def main(argv: Sequence[str]) -> int:
    """Write the report; return 0 if it is written, 78 for a wrong path, else 1."""
    try:
        options = _read_arguments(argv)
        contents = gather(options.root, lists_all=options.lists_all)
        page = render_page(
            contents, round(time.time() * 1000), lists_all=options.lists_all, shows_rows=options.shows_rows
        ).encode()
        if options.target is None:
            _print(page)
        else:
            write_page(options.target, page)
        _say(options.target, contents.verdict)
    except ServiceError as error:
        sys.stderr.write(f"{_PROGRAM}: {error}\n")
        return error.exit_code
    except (DiskError, OSError, sqlite3.Error) as error:
        sys.stderr.write(f"{_PROGRAM}: {printable(str(error))}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{_PROGRAM}: interrupted\n")
        return _INTERRUPTED
    return 0


def write_page(target: Path, page: bytes) -> None:
    """Write the file in one step: it is as it was, or all of it is there. Raises OSError."""
    if target.exists() and not target.is_file():
        # A device or a pipe is written to, not replaced.
        target.write_bytes(page)
        return
    # A link stays, and what it leads to is replaced.
    target = target.resolve()
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with partial.open("xb") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def _read_arguments(argv: Sequence[str]) -> Options:
    parser = Parser(
        prog=_PROGRAM, description=_DESCRIPTION, formatter_class=RawDescriptionHelpFormatter, examples=_EXAMPLES
    )
    add = parser.add_argument
    add("output_dir", nargs="?", type=Path, default=Path(os.environ.get("OUTPUT_DIR") or "out"))
    add("-o", "--output", metavar="FILE", help="the report's file, - for standard output (default: OUT-report.html)")
    add("--all", action="store_true", help="list all sources, categories and files")
    add("--without-rows", action="store_true", help="leave out what is in rejected rows")
    given = parser.parse_args(argv)
    root: Path = given.output_dir
    output = given.output or f"{root.resolve().name}-report.html"
    target = None if output == _STANDARD_OUTPUT else Path(output)
    if target is not None and target.resolve().is_relative_to(root.resolve()):
        raise ConfigurationError(f"{target} is inside {root}, which holds sink's files alone: name another with -o")
    return Options(root, target, given.all, not given.without_rows)


def _print(page: bytes) -> None:
    try:
        sys.stdout.buffer.write(page)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()


def _say(target: Path | None, verdict: Verdict) -> None:
    """Print the verdict, beside the page if that is on standard output."""
    where = "" if target is None else f"{target}: "
    line = f"{printable(where)}{verdict.standing}: {printable(verdict.text)}\n"
    if target is None:
        sys.stderr.write(line)
    else:
        write_out(line)
