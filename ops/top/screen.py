"""The terminal view of a running pipeline, from its beginning to its end."""

import asyncio
import signal
from concurrent.futures import CancelledError
from contextlib import suppress

from common.settings import ServiceSettings
from ops.place import place_of
from ops.status.look_options import LookOptions
from ops.top.app import TopApp
from ops.top.feed import watch_in_background
from ops.view.view import Trouble, View


def run_on_terminal(settings: ServiceSettings, options: LookOptions, app: TopApp | None = None) -> int:
    """Show the pipeline until someone ends it: 0, or another number if the view failed and has said why.

    Raises ServiceError for what waiting does not mend, once the terminal is as it was.
    """
    return asyncio.run(_show(settings, options, app or TopApp(place_of(settings), options.interval_s)))


async def _show(settings: ServiceSettings, options: LookOptions, app: TopApp) -> int:
    loop, failed = asyncio.get_running_loop(), list[Exception]()

    def show(found: View | Trouble) -> None:
        # The next look waits until this one is on the screen, so drawing counts as its cost.
        # Once the view has ended, or while it does, nothing is shown.
        with suppress(RuntimeError, CancelledError):
            app.call_from_thread(app.show, found)  # type: ignore[arg-type]  # mypy infers no result of a coroutine

    def give_up(error: Exception) -> None:
        failed.append(error)
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(app.exit)

    # Without these a signal would leave the terminal as the view has set it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A signal that is ignored, as by nohup, stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, app.end_by, number)
    app.when_ready(lambda: watch_in_background(settings, options, show, give_up))
    await app.run_async()
    if failed:
        raise failed[0]
    return app.return_code or 0
