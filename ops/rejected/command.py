"""`nacre rejected list | show | replay`: look at rejected rows, mend them, and send them again exactly once."""

import argparse
import asyncio
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import structlog
from aiokafka.errors import KafkaError, ProducerFenced

from common.aiokafka_internals.outages import client_failures_as_outages
from common.errors import ConfigurationError, ServiceError
from common.log.client_warnings import keep_last_warning
from common.protocol.rejections import Rejection
from common.rows.reasons import Code
from common.sessions.diagnosis import diagnose
from common.settings import ServiceSettings
from common.settings_reader import Parser, read_settings
from ops.command_line import discard_output, refusal_of, write_out
from ops.rejected.rejections import (
    COLUMNS,
    Mended,
    RejectionGroups,
    Selection,
    csv_line_of,
    read_mended,
    split_shown,
)
from ops.rejected.replay import ReplayOutcome, find_partitions, open_rejected, replay
from ops.text_table import text_table

_PROGRAM = "nacre rejected"
_INTERRUPTED = 130
_MAX_REPORTED = 100
_FENCED = (
    "another replay has begun, and goes on with the rest, or this one was held up for longer than "
    "TRANSACTION_TIMEOUT_S: once no other runs, run it again to go on with it"
)
_HEADER = ",".join(COLUMNS).encode() + b"\n"


def main(argv: list[str]) -> int:
    """Run the command; return 0 if all is done, 1 if some rows could not be replayed, 78 for a wrong setting."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    keep_last_warning(quiet=True)
    try:
        options = _parser().parse_args(argv)
        settings = read_settings(ServiceSettings, [], program=_PROGRAM)
        with client_failures_as_outages():
            return asyncio.run(_run_or_explain(settings, options))
    except ServiceError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"{_PROGRAM}: {line}\n")
        return error.exit_code
    except BrokenPipeError:
        discard_output()
        return 0
    except KeyboardInterrupt:
        sys.stderr.write(f"{_PROGRAM}: interrupted; run a replay again to go on with it\n")
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    filters = Parser(add_help=False)
    filters.add_argument("--reason", default="", metavar="TEXT", help="only rows whose reason contains this text")
    filters.add_argument("--code", choices=list(Code), help="only rows that were rejected with this code")
    filters.add_argument("--source", help="only rows of this source")
    filters.add_argument("--split", help="only rows that this split rejected; '' for those that ingest rejected")
    filters.add_argument(
        "--id", type=int, action="append", default=[], help="only the row with this id; may be repeated"
    )
    parser = Parser(
        prog=_PROGRAM,
        description="Look at rejected rows and send them again. The broker and the topics are those of the settings "
        "KAFKA_* and TOPIC_PREFIX in the environment.",
        examples=(
            "nacre rejected list --by code",
            "nacre rejected show --split Rings > mend.csv",
            "nacre rejected replay --from mend.csv --yes",
        ),
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", parents=[filters], help="count rejected rows by reason, split and source")
    listing.add_argument(
        "--by", choices=("reason", "code"), default="reason", help="count by reason (the default) or by code"
    )
    listing.add_argument("--json", action="store_true", help="print JSON lines")
    showing = commands.add_parser(
        "show", parents=[filters], help="print rejected rows as CSV, to be mended and replayed"
    )
    showing.add_argument("--limit", type=int, help="print at most this many rows")
    showing.add_argument("--all", action="store_true", help="also rows that were already replayed")
    replaying = commands.add_parser(
        "replay", parents=[filters], help="send rows again; without --yes, only report what would be sent"
    )
    replaying.add_argument(
        "--from", dest="file", help="a file that `show` printed, with its rows mended; - for standard input"
    )
    replaying.add_argument("--yes", action="store_true", help="send them")
    return parser


async def _run_or_explain(settings: ServiceSettings, options: argparse.Namespace) -> int:
    """Run the command; raise an error of the broker or the network as a ServiceError of one line."""
    try:
        return await _run(settings, options)
    except ProducerFenced:
        # Kafka says the same of one that another has taken over from, and of one whose transaction it has given up.
        raise ServiceError(_FENCED) from None
    except BrokenPipeError:
        raise
    except (KafkaError, OSError) as error:
        diagnosis = await diagnose(error, settings)
    raise refusal_of(diagnosis, "; run a replay again to go on with it")


async def _run(settings: ServiceSettings, options: argparse.Namespace) -> int:
    # The actual number, not the one in PARTITIONS: a row must go to its source's partition.
    settings = replace(settings, partitions=await find_partitions(settings))
    selection = Selection(options.reason, options.code, options.source, options.split, frozenset(options.id))
    if options.command == "list":
        return await _list(settings, selection, by=options.by, as_json=options.json)
    if options.command == "show":
        return await _show(settings, selection, options.limit, replayed_too=options.all)
    mended = None if options.file is None else _read_file(options.file)
    split_by = os.environ.get("SPLIT_BY", "")
    outcome = await replay(settings, selection, mended, send=options.yes, split_by=split_by, refuse=_RefusalPrinter())
    return _report(outcome, sent=options.yes)


async def _list(settings: ServiceSettings, selection: Selection, *, by: str, as_json: bool) -> int:
    groups = RejectionGroups()
    async with open_rejected(settings) as rejected:
        async for number, rejection in rejected.rejections(selection):
            why = rejection.code if by == "code" else rejection.reason
            groups.add(why, rejection, replayed=rejected.is_done(number, rejection))
    rows = [
        (why, split, source, group.rows, group.replayed, group.first_line, group.last_line)
        for (why, split, source), group in groups.groups.items()
    ]
    headings = (by, "split", "source", "rows", "replayed", "first line", "last line")
    if as_json:
        names = [heading.replace(" ", "_") for heading in headings]
        for row in rows:
            sys.stdout.buffer.write(orjson.dumps(dict(zip(names, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE))
    elif rows:
        sys.stdout.write(text_table(headings, [(row[0], split_shown(row[1]), *map(str, row[2:])) for row in rows]))
    else:
        sys.stdout.write("no rejected rows\n")
    sys.stdout.flush()
    return 0


async def _show(settings: ServiceSettings, selection: Selection, limit: int | None, *, replayed_too: bool) -> int:
    sys.stdout.buffer.write(_HEADER)
    count = 0
    async with open_rejected(settings) as rejected:
        async for number, rejection in rejected.rejections(selection):
            if limit is not None and count >= limit:
                break
            if replayed_too or not rejected.is_done(number, rejection):
                sys.stdout.buffer.write(csv_line_of(number, rejection))
                count += 1
    sys.stdout.flush()
    return 0


def _read_file(name: str) -> dict[int, Mended]:
    """Read the mended rows by id. The file is read as latin-1, which keeps every byte."""
    try:
        if name == "-":
            sys.stdin.reconfigure(encoding="latin-1", newline="")  # type: ignore[union-attr]  # it is a text file here
            return read_mended(sys.stdin)
        with Path(name).open(encoding="latin-1", newline="") as file:
            return read_mended(file)
    except OSError as error:
        raise ConfigurationError(f"--from {name}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"--from {name}: {error}") from None


class _RefusalPrinter:
    """Prints rows that cannot be sent, up to a limit: the table counts them all."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, number: int, rejection: Rejection, why: str) -> None:
        """Print one, unless the limit is reached."""
        self._count += 1
        if self._count <= _MAX_REPORTED:
            sys.stderr.write(f"{_PROGRAM}: id {number} ({rejection.source}:{rejection.line}): {why}\n")


def _report(outcome: ReplayOutcome, *, sent: bool) -> int:
    """Print what was done or would be done; return the exit code."""
    rows = [
        ("sent" if sent else "would be sent", split_shown(split), source, str(group.rows))
        for (_, split, source), group in outcome.sent.groups.items()
    ]
    rows += [
        (f"cannot be sent: {why}", split_shown(split), source, str(group.rows))
        for (why, split, source), group in outcome.refused.groups.items()
    ]
    if rows:
        write_out(text_table(("what", "split", "source", "rows"), rows))
    if outcome.done_before:
        write_out(f"{outcome.done_before} rows were replayed before\n")
    if not rows and not outcome.done_before:
        write_out("nothing to replay\n")
    if outcome.sent.groups and not sent:
        write_out("nothing was sent: run it with --yes to send\n")
    if outcome.unknown:
        sys.stderr.write(
            f"{_PROGRAM}: no rejected row has the id {', '.join(map(str, outcome.unknown[:_MAX_REPORTED]))}\n"
        )
    return 1 if outcome.refusals or outcome.unknown else 0
