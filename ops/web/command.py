"""`nacre web`: serve the page, until a signal ends it."""

import asyncio
import os
import secrets
import signal
import socket
import sys
import threading
import time
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from contextlib import aclosing, suppress

from msgspec import Struct

from common.errors import ConfigurationError, ServiceError
from common.escaping import printable
from common.log.client_warnings import keep_last_warning
from common.settings import ServiceSettings
from common.settings_reader import Parser, read_settings
from ops.command_line import keep_clients_quiet, write_out
from ops.place import place_of
from ops.status.look_options import LookOptions, add_look_options, look_options
from ops.view.view import View
from ops.view.watching import views
from ops.web.access import LOCALHOST, Access, check_token, is_local, link_to, names_of
from ops.web.board import Board
from ops.web.fields import fields_of, point_of, rejected_fields
from ops.web.latest_rejected import LatestRejected
from ops.web.server import WebServer, open_server

_PROGRAM = "nacre web"
_TOKEN = "NACRE_WEB_TOKEN"  # noqa: S105 - the name of a variable
_PORT = 8090
_MOST_PORT = 65_535
_INTERVAL_S = 2.0
_TOKEN_BYTES = 24
# How often the server checks whether to end.
_POLL_S = 0.2
# How long the end waits for the streams to learn of it.
_FAREWELL_S = 1.0
_DESCRIPTION = """\
Serve one page that shows the pipeline as it runs: the topology, rates, lag and verdict, files, categories, replicas,
rejected rows, receipts and the balance. It changes nothing, joins no group, and takes the broker and the topics from
the services' environment variables, KAFKA_* and TOPIC_PREFIX.

The page shows rows and names of files. Only this machine reaches it, unless --host says otherwise; then readers
need a token: NACRE_WEB_TOKEN, or one that is generated and printed as a link. It speaks HTTP: put a proxy with TLS
before it where the network is not yours.

SIGINT or SIGTERM end it with 0. 78: a setting or a permission is wrong, or the port is taken. 1: a record is malformed.
"""
_EXAMPLES = (
    "nacre web",
    "nacre web --port 8091 --output-dir out",
    "nacre web --host 0.0.0.0 --allow-host pipelines.example",
)


class Options(Struct, frozen=True):
    """What is asked for."""

    host: str
    port: int
    names: tuple[str, ...]
    token: str
    looks: LookOptions


def main(argv: list[str]) -> int:
    """Serve; return 0 after a signal, 78 for a wrong setting or a taken port, 1 for what waiting cannot mend."""
    keep_clients_quiet()
    keep_last_warning(quiet=True)
    try:
        options = _read_options(argv)
        settings = read_settings(ServiceSettings, [], program=_PROGRAM)
        board = Board(options.looks.interval_s)
        server = open_server(options.host, options.port, board, _access(options))
        threading.Thread(target=server.serve_forever, args=[_POLL_S], name="web", daemon=True).start()
        try:
            asyncio.run(_serve(settings, options, server, board))
        finally:
            _end(server, board)
    except ServiceError as error:
        sys.stderr.write("".join(f"{_PROGRAM}: {printable(line)}\n" for line in str(error).splitlines()))
        return error.exit_code
    except KeyboardInterrupt:
        # It came before anything was served.
        return 0
    return 0


def _read_options(argv: Sequence[str]) -> Options:
    parser = Parser(
        prog=_PROGRAM, description=_DESCRIPTION, examples=_EXAMPLES, formatter_class=RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--port", type=int, default=_PORT, help=f"where it listens ({_PORT}); 0: a free one")
    add("--host", default=LOCALHOST, help="the address that it listens on (localhost: this machine alone)")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name under which browsers reach it, such as a proxy's; may be repeated",
    )
    add_look_options(parser, _INTERVAL_S)
    given = parser.parse_args(argv)
    looks = look_options(given)
    if not 0 <= given.port <= _MOST_PORT:
        raise ConfigurationError(f"--port {given.port}: from 0 to {_MOST_PORT}")
    return Options(given.host, given.port, tuple(given.allow_host), _token(given.host), looks)


def _token(host: str) -> str:
    """The token that readers need; "" where none is asked for."""
    if given := os.environ.get(_TOKEN):
        try:
            check_token(given)
        except ValueError as error:
            raise ConfigurationError(f"{_TOKEN}: {error}") from None
        return given
    return "" if is_local(host) else secrets.token_urlsafe(_TOKEN_BYTES)


def _access(options: Options) -> Access:
    return Access(names_of(options.host, socket.gethostname(), options.names), options.token)


async def _serve(settings: ServiceSettings, options: Options, server: WebServer, board: Board) -> None:
    """Look until a signal comes."""
    watching = asyncio.ensure_future(_watch(settings, options, board))
    loop = asyncio.get_running_loop()

    def end() -> None:
        # A second signal ends the process at once.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        watching.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    # For people and for programs: the one line that says where the page is.
    write_out(f"{_PROGRAM}: {link_to(options.host, server.server_address[1], options.token)}\n")
    with suppress(asyncio.CancelledError):
        await watching


async def _watch(settings: ServiceSettings, options: Options, board: Board) -> None:
    """Write each view on the board. Raises ServiceError for what waiting does not mend."""
    where = place_of(settings)
    latest = LatestRejected(settings)
    async with aclosing(views(settings, options.looks)) as found:
        async for each in found:
            if not isinstance(each, View):
                board.show_trouble(printable(each.text), each.at_ms)
                # The topics may be others by the next view.
                latest.forget()
                continue
            board.show_view(fields_of(each, where), point_of(each), each.figures.sources)
            if (rows := await latest.read(each)) is not None:
                board.show_rejected([rejected_fields(row) for row in rows])


def _end(server: WebServer, board: Board) -> None:
    """Close the port, and the streams: what they were sent arrives whole."""
    board.close()
    server.shutdown()
    server.server_close()
    latest = time.monotonic() + _FAREWELL_S
    while server.connections and time.monotonic() < latest:
        time.sleep(0.01)
