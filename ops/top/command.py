"""`nacre top`: the whole pipeline on a terminal, live; as lines where there is none."""

import argparse
import asyncio
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from contextlib import aclosing

from common.errors import ServiceError
from common.escaping import printable
from common.log.client_warnings import keep_last_warning
from common.settings import ServiceSettings
from common.settings_reader import Parser, read_settings
from ops.command_line import discard_output, keep_clients_quiet
from ops.place import place_of
from ops.status.look_options import LookOptions, add_look_options, look_options
from ops.top.plain import plain_lines
from ops.top.screen import run_on_terminal
from ops.view.view import Trouble
from ops.view.watching import views

_PROGRAM = "nacre top"
_INTERVAL_S = 1.0
_DESCRIPTION = """\
Show the whole pipeline on the terminal, live: the topology with its rates, files, categories, replicas, rejected rows,
the balance and the receipts. / filters, s sorts, 1 to 6 choose a list, up and down scroll, left and right
change lists, q or Ctrl-C ends it.

It asks what `nacre status` asks: it joins no group, writes nothing, creates nothing, and takes at most 5 % of a core.
While no broker answers it says so, and the last figures stay. Where stdout is no terminal, or with --plain, it prints
lines instead.
"""
_EXAMPLES = ("nacre top", "nacre top --output-dir out --interval-s 5", "nacre top --plain > watched.txt")


def main(argv: list[str]) -> int:
    """Show it until it is ended: 0, 78 for a wrong setting or permission, 1 for a malformed record."""
    keep_clients_quiet()
    keep_last_warning(quiet=True)
    try:
        given = _read_options(argv)
        settings = read_settings(ServiceSettings, [], program=_PROGRAM)
        options = look_options(given)
        # textual reads from stdin and draws on stderr.
        if given.plain or not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
            asyncio.run(_print_views(settings, options))
        else:
            return run_on_terminal(settings, options)
    except ServiceError as error:
        sys.stderr.write("".join(f"{_PROGRAM}: {printable(line)}\n" for line in str(error).splitlines()))
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        discard_output()
        return 0
    return 0


def _read_options(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog=_PROGRAM, description=_DESCRIPTION, examples=_EXAMPLES, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--plain", action="store_true", help="print lines for each look, as where stdout is no terminal"
    )
    add_look_options(parser, _INTERVAL_S, ", at least")
    return parser.parse_args(argv)


async def _print_views(settings: ServiceSettings, options: LookOptions) -> None:
    where, last = place_of(settings), ""
    async with aclosing(views(settings, options)) as found:
        async for each in found:
            if not isinstance(each, Trouble):
                last = ""
                _print([*plain_lines(each, where), ""])
            elif each.text != last:
                last = each.text
                _print([printable(f"{where}: {each.text}")])


def _print(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
