"""`nacre tap`: print rows as they stand in the topics now, or follow them as they come."""

import argparse
import asyncio

from aiokafka.errors import KafkaError

from common.aiokafka_internals.outages import client_failures_as_outages
from common.errors import ConfigurationError, ServiceError
from common.log.client_warnings import keep_last_warning
from common.rows.reasons import Code
from common.sessions.diagnosis import diagnose
from common.settings import ServiceSettings
from common.settings_reader import Parser, read_settings
from ops.command_line import refusal_of
from ops.tap.follow import Following, report_outages
from ops.tap.origins import Stage
from ops.tap.output import PROGRAM, Output, note
from ops.tap.reader import Reader, TapRequest
from ops.tap.rows import MOST_BYTES
from ops.tap.search import find_newest
from ops.tap.selection import Selection

_INTERRUPTED = 130
_ROWS = 10
# Without -f they are all in memory, each at most MOST_BYTES long unless it is printed as JSON.
_MOST_ROWS = 100_000
_RATE = 50
_DESCRIPTION = """\
Print the newest rows that are committed, or follow those that come. It joins no
group, creates and commits nothing. The broker and the topics are those of the
settings KAFKA_* and TOPIC_PREFIX in the environment."""
_EXAMPLES = (
    "nacre tap",
    "nacre tap categorized --split Sex --category M -n 3",
    "nacre tap rejected -f",
    "nacre tap -f --source orders.csv --json | jq .row",
)


def main(argv: list[str]) -> int:
    """Run the command; return 0 if rows could be looked for, 78 for a wrong setting, else 1."""
    report_outages()
    keep_last_warning(quiet=True)
    try:
        options = _parser().parse_args(argv)
        settings = read_settings(ServiceSettings, [], program=PROGRAM)
        reader, output = Reader(settings, _request(options)), Output(as_json_lines=options.json)
        with client_failures_as_outages():
            if options.follow:
                asyncio.run(Following(settings, reader, output, options.rate or _RATE, options.rows).run())
            else:
                asyncio.run(_print_newest(settings, reader, output, options.rows or _ROWS))
    except ServiceError as error:
        for line in str(error).splitlines():
            note(line)
        return error.exit_code
    except KeyboardInterrupt:
        note("interrupted")
        return _INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=PROGRAM,
        description=_DESCRIPTION,
        examples=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "stages",
        nargs="*",
        type=_stage,
        metavar="STAGE",
        help="rows (what ingest wrote), categorized (what split wrote) or rejected; default: the first of these that "
        "has what is asked for",
    )
    parser.add_argument(
        "-n",
        type=_count,
        dest="rows",
        metavar="ROWS",
        help=f"print so many rows, at most {_MOST_ROWS:,} (default: {_ROWS}; with -f, no end)",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="print rows as they come, from now on")
    parser.add_argument("--source", help="only rows of this source: its path, or the end of it, as orders.csv")
    parser.add_argument("--split", help="only rows of this split")
    parser.add_argument("--category", help="only rows of this category, as M, M+15 or Sex=M")
    parser.add_argument("--code", choices=list(Code), help="only rows that were rejected with this code")
    parser.add_argument(
        "--rate",
        type=_count,
        metavar="ROWS",
        help=f"with -f, print at most so many rows a second, and count the others (default: {_RATE})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    return parser


def _stage(text: str) -> Stage:
    if text not in list(Stage):
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(Stage)}")
    return Stage(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _request(options: argparse.Namespace) -> TapRequest:
    if options.rate and not options.follow:
        raise ConfigurationError("--rate is for -f: without it, -n says how many rows come")
    if options.rows and options.rows > _MOST_ROWS and not options.follow:
        raise ConfigurationError(f"-n: at most {_MOST_ROWS:,} rows, unless -f follows them")
    selection = Selection(options.source, options.split, options.category, options.code)
    try:
        stages = selection.stages(options.stages)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    return TapRequest(stages, selection, None if options.json else MOST_BYTES)


async def _print_newest(settings: ServiceSettings, reader: Reader, output: Output, count: int) -> None:
    """Print the newest rows. Raises an error of the broker or the network as a ServiceError of one line."""
    try:
        tapped = await reader.begin()
        found = await find_newest(settings, reader, tapped, count)
    except (KafkaError, OSError) as error:
        raise refusal_of(await diagnose(error, settings)) from error
    output.write(found)
    if not found:
        note(f"no such row in {' and '.join(tapped.stages)}")
