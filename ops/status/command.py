"""`nacre status`: how far each source and stage has come, and whether it is still moving, once or again and again."""

import asyncio
import sys
import time
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from contextlib import aclosing

import orjson
from aiokafka.errors import KafkaError
from msgspec import Struct

from common.aiokafka_internals.outages import client_failures_as_outages
from common.errors import ServiceError
from common.escaping import printable
from common.log.client_warnings import keep_last_warning
from common.sessions.diagnosis import diagnose
from common.settings import ServiceSettings
from common.settings_reader import Parser, read_settings
from common.waiting import within
from ops.command_line import discard_output, keep_clients_quiet, refusal_of
from ops.place import place_of
from ops.status.figures import Figures, figures
from ops.status.look_options import LookOptions, add_look_options, look_options
from ops.status.observing import Observer
from ops.status.report import fields_of, lines_of, trouble_fields
from ops.status.watching import FIRST_DEADLINE_S, Trouble, looks

_PROGRAM = "nacre status"
_INTERVAL_S = 2.0
_BETWEEN_TWO_LOOKS_S = 1.0
_HOME_AND_CLEAR = "\x1b[H\x1b[J"
_GOES_ON, _STANDS_STILL, _INTERRUPTED = 0, 75, 130
_DESCRIPTION = """\
Show how far each source and stage has come, how fast, and whether it is still moving: ok, behind, stalled or stopped.

It looks twice, a second apart, or for 5 s where something seems to stand still. It asks Kafka for the topics and groups
of TOPIC_PREFIX and joins no group, writes nothing and creates nothing. It takes the broker and the topics from the
services' environment variables, KAFKA_* and TOPIC_PREFIX. Files of the input are looked at where they are on this
machine.

Exit code 0: all is moving, or is done (ok, behind). 75: a stage is stalled or stopped. 78: a setting or a permission is
wrong, or nothing is begun yet. 1: no broker answers, or a record is malformed. 130: Ctrl-C. With --watch it waits for a
broker and for a beginning, and Ctrl-C is 0.
"""
_EXAMPLES = ("nacre status --watch", "nacre status --json --output-dir out")


class Options(Struct, frozen=True):
    """What is asked for."""

    watches: bool
    as_json: bool
    shows_all: bool
    looks: LookOptions


class _Screen:
    """Where figures are printed."""

    def __init__(self, options: Options, settings: ServiceSettings) -> None:
        self._options = options
        self._prefix = settings.topic_prefix
        self._where = place_of(settings)
        self._clears = options.watches and not options.as_json and sys.stdout.isatty()
        self._trouble = ""

    def show(self, found: Figures) -> None:
        """Print the figures."""
        self._trouble = ""
        if self._options.as_json:
            self._print([orjson.dumps(fields_of(found, self._prefix, shows_all=self._options.shows_all)).decode()])
            return
        lines = [*lines_of(found, self._where, shows_all=self._options.shows_all)]
        if self._clears:
            lines[0] = _HOME_AND_CLEAR + lines[0]
        elif self._options.watches:
            lines.append("")
        self._print(lines)

    def show_trouble(self, trouble: str) -> None:
        """Print why there are no figures, once for each reason."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if self._options.as_json:
            fields = trouble_fields(trouble, self._prefix, round(time.time() * 1000))
            self._print([orjson.dumps(fields).decode()])
        else:
            self._print([printable(f"{self._where}: {trouble}")])

    def _print(self, lines: Iterable[str]) -> None:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()


def main(argv: list[str]) -> int:
    """Print the status; return 0, 75 if a stage is stalled or stopped, 78 for a wrong setting, 1 without a broker."""
    keep_clients_quiet()
    keep_last_warning(quiet=True)
    watches = False
    try:
        options = _read_options(argv)
        watches = options.watches
        settings = read_settings(ServiceSettings, [], program=_PROGRAM)
        screen, observer = (
            _Screen(options, settings),
            Observer(settings, options.looks.output_dir, options.looks.settle_s),
        )
        if watches:
            asyncio.run(_watch(settings, observer, screen, options.looks.interval_s))
        found = asyncio.run(_look_once(settings, observer))
        screen.show(found)
    except ServiceError as error:
        sys.stderr.write("".join(f"{_PROGRAM}: {printable(line)}\n" for line in str(error).splitlines()))
        return error.exit_code
    except KeyboardInterrupt:
        return _GOES_ON if watches else _INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return _GOES_ON
    return _GOES_ON if found.verdict.goes_on else _STANDS_STILL


def _read_options(argv: Sequence[str]) -> Options:
    parser = Parser(
        prog=_PROGRAM, description=_DESCRIPTION, examples=_EXAMPLES, formatter_class=RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--watch", action="store_true", help="look again and again, also while no broker answers, until Ctrl-C")
    add("--json", action="store_true", help="print a JSON object for each look, for programs")
    add("--all", action="store_true", help="list all sources, not only the first that are under way")
    add_look_options(parser, _INTERVAL_S, ", with --watch")
    given = parser.parse_args(argv)
    return Options(given.watch, given.json, given.all, look_options(given))


async def _look_once(settings: ServiceSettings, observer: Observer) -> Figures:
    """Figures from two looks, or from more where it takes longer to tell whether something goes on."""
    try:
        with client_failures_as_outages():
            async with within(FIRST_DEADLINE_S, "no answer"), observer.connected():
                # It reads what is there, and takes longer than those that are compared.
                await observer.look()
                first = await observer.look()
                while True:
                    await asyncio.sleep(_BETWEEN_TWO_LOOKS_S)
                    found = figures(await observer.look(), first)
                    if not found.is_early:
                        return found
    except (KafkaError, OSError) as error:
        diagnosis = await diagnose(error, settings)
    raise refusal_of(diagnosis)


async def _watch(settings: ServiceSettings, observer: Observer, screen: _Screen, interval_s: float) -> None:
    """Show figures again and again, whatever becomes of the broker. Raises ServiceError for what waiting won't mend."""
    async with aclosing(looks(settings, observer, interval_s)) as found:
        async for each in found:
            if isinstance(each, Trouble):
                screen.show_trouble(each.text)
            else:
                screen.show(each.figures)
