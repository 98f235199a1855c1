"""`nacre verify OUT`: whether the files of an output folder are what they have to be."""

import sqlite3
import sys
from collections.abc import Iterable

import orjson

from common.errors import ServiceError
from ops.command_line import discard_output
from ops.verify.checks import PathChecker, check_rows, check_sources
from ops.verify.files import check_length, opened, read_checked, report_foreign_files
from ops.verify.given import compare_sources, find_given
from ops.verify.ledgers import Ledgers
from ops.verify.receipts import check_receipts
from ops.verify.report import Report, ReportedFinding
from ops.verify.settings import PROGRAM, Arguments, read_arguments
from ops.verify.spool import Spool
from ops.verify.watch import watch

_INTERRUPTED = 130
_BY_LENGTH = "what the files hold: only their lengths were compared, and of packed files only that they are there"
_BY_CHECKSUM = "whether each row is in the right file, as its source has it: only checksums were compared (--source)"


def main(argv: list[str]) -> int:
    """Verify and print; return 0 if all is well, 1 if not, 75 if it is not all there yet, 78 for a wrong setting."""
    try:
        arguments = read_arguments(argv)
        if arguments.watches:
            files = find_given(arguments.sources) if arguments.sources else {}
            return watch(arguments.output_dir, files, arguments.stuck_s, as_json=arguments.as_json)
        report = verify(arguments)
        _print([orjson.dumps(report.fields).decode()] if arguments.as_json else report.lines())
    except ServiceError as error:
        sys.stderr.write("".join(f"{PROGRAM}: {line}\n" for line in str(error).splitlines()))
        return error.exit_code
    except sqlite3.Error as error:
        sys.stderr.write(f"{PROGRAM}: a temporary file cannot be used ({error}): is there room in TMPDIR?\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{PROGRAM}: interrupted\n")
        return _INTERRUPTED
    return report.exit_code


def verify(arguments: Arguments) -> Report:
    """Compare what is asked. Raises ServiceError."""
    report = Report()
    files = find_given(arguments.sources) if arguments.settings is not None else {}
    ledgers = Ledgers(arguments.output_dir)
    spool = Spool()
    try:
        if arguments.settings is not None:
            compare_sources(ledgers, spool, files, arguments.settings, report)
        else:
            _check_files(ledgers, report, is_quick=arguments.is_quick)
        report_foreign_files(ledgers, report)
        if not arguments.is_quick:
            check_rows(ledgers, report)
            check_receipts(ledgers, report)
    finally:
        spool.close()
        ledgers.close()
    if unsafe := report.counts.get("bytes_not_safe_yet"):
        report.not_yet.add(ReportedFinding("bytes", f"{unsafe:,} bytes in files are not safe yet"))
    return report


def _check_files(ledgers: Ledgers, report: Report, *, is_quick: bool) -> None:
    """Compare the files with their ledgers alone."""
    paths = PathChecker(ledgers, report)
    for file in ledgers.files():
        paths.check(file)
        if is_quick:
            check_length(ledgers, file, report)
            continue
        with opened(ledgers, file, report) as found:
            for _ in () if found is None else read_checked(ledgers, file, *found, report):
                pass
    report.unseen.add(ReportedFinding("content", _BY_LENGTH if is_quick else _BY_CHECKSUM))
    if not is_quick:
        for _ in check_sources(ledgers, report):
            pass


def _print(lines: Iterable[str]) -> None:
    try:
        for line in lines:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
