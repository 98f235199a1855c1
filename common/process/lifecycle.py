"""How every service lives: run until the first signal, drain within a deadline, leave with an exit code.

Exit codes: 0 drained or done · 65 done, and every row of a source or of a split was rejected · 75 the deadline passed,
nothing lost: the rest is replayed · 78 bad configuration · 1 crash, or what only a person can mend · 128 + signal
number: a second signal ended the process at once, which is safe as well.
"""

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from types import FrameType

from common.process.repeated_refusals import pause_before_exit_s
from common.process.standard_streams import keep_standard_streams

DRAINED = 0
CRASHED = 1
DEADLINE_PASSED = 75
_MISCONFIGURED = 78
_ALL_REJECTED = 65
_REFUSED = (CRASHED, _MISCONFIGURED, _ALL_REJECTED)
_BEGAN_S = time.monotonic()
_SIGNALS = [signal.SIGTERM, signal.SIGINT]
# Sent when the terminal closes. A process started by nohup goes on.
if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
    _SIGNALS.append(signal.SIGHUP)


def begin() -> None:
    """Prepare the process before the slow imports, which make a hundred thousand objects and no garbage."""
    keep_standard_streams()
    leave_on_signal()
    # Where rich is installed, structlog imports it to draw tracebacks: that takes a sixth of the imports' time, and the
    # log would differ from the containers'.
    sys.modules["rich"] = None  # type: ignore[assignment]  # an import of it fails
    # Collecting took a fifth of the imports' time. Once the service runs, `collect_by_the_clock` does it.
    gc.disable()


def leave_on_signal(code: int = DRAINED) -> None:
    """Let a signal end the process at once with this exit code, because nothing has begun yet.

    Otherwise process 1 of a container would ignore SIGTERM until its loop runs, and others would exit non-zero.
    """

    def leave(_number: int, _frame: FrameType | None) -> None:
        os._exit(code)

    _handle_signals(leave)


def run_service(serve: Callable[[asyncio.Event], Awaitable[None]], *, drain_deadline_s: float) -> int:
    """Run `serve(stop)` to its end and return the exit code; the first signal sets `stop`.

    `serve` returns when it is done or drained. Signals are handled here and nowhere else.
    """
    # Imported here because they are slow and `begin` must run first.
    import structlog  # noqa: PLC0415
    import uvloop  # noqa: PLC0415

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code, was_stopped = runner.run(_live(serve, drain_deadline_s))
    linger(code, structlog.get_logger().warning, was_stopped=was_stopped)
    # When Python ends it removes its handlers, and still runs for a while; an ignored signal stays ignored.
    _handle_signals(signal.SIG_IGN)
    return code


async def _live(serve: Callable[[asyncio.Event], Awaitable[None]], drain_deadline_s: float) -> tuple[int, bool]:
    """Serve to the end; return the exit code, and whether a signal asked for it."""
    # Imported here for the same reason.
    from common.process.memory import collect_by_the_clock  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear(number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(_on_signal, number, stop, drain_deadline_s)

    # Not the loop's own handlers: removing those would restore the default actions for a moment.
    _handle_signals(hear)
    collecting = asyncio.create_task(collect_by_the_clock())
    code = await _attempt(serve, stop)
    was_stopped = stop.is_set()
    collecting.cancel()
    # A signal from here on must not turn a clean end into a failure.
    leave_on_signal(code)
    return code, was_stopped


def _on_signal(number: int, stop: asyncio.Event, drain_deadline_s: float) -> None:
    """Begin to drain at the first signal; leave at the second, or at the deadline."""
    # Imported here for the same reason.
    import structlog  # noqa: PLC0415

    log = structlog.get_logger()
    name = signal.Signals(number).name
    if stop.is_set():
        if number == signal.SIGHUP:
            # A terminal that closes sends it, and then its shell sends it again.
            return
        log.warning("second signal, leaving at once", signal=name)
        _exit_now(128 + number)

    def overdue() -> None:
        log.error("drain deadline passed", drain_deadline_s=drain_deadline_s)
        _exit_now(DEADLINE_PASSED)

    log.info("draining", signal=name, drain_deadline_s=drain_deadline_s)
    stop.set()
    # A thread, because the loop itself may hang.
    deadline = threading.Timer(drain_deadline_s, overdue)
    deadline.daemon = True
    deadline.start()


async def _attempt(serve: Callable[[asyncio.Event], Awaitable[None]], stop: asyncio.Event) -> int:
    """Run `serve(stop)`, log how it ended, and return the exit code."""
    # Imported here for the same reason.
    import structlog  # noqa: PLC0415

    from common.errors import ServiceError  # noqa: PLC0415

    log = structlog.get_logger()
    try:
        await serve(stop)
    except ServiceError as error:
        for line in str(error).splitlines() or [type(error).__name__]:
            log.error("cannot go on", reason=line)  # noqa: TRY400 - the line is the message
        return error.exit_code
    except Exception:
        log.exception("crashed")
        return CRASHED
    log.info("drained" if stop.is_set() else "done")
    return DRAINED


def linger(code: int, report: Callable[[str], object], *, was_stopped: bool = False) -> int:
    """Wait before the process exits with this code, if it is refused again and again; return the code.

    A signal ends the wait, and the process with it.
    """
    is_refused = code in _REFUSED and not was_stopped
    pause_s = pause_before_exit_s(time.monotonic() - _BEGAN_S) if is_refused else 0.0
    if pause_s:
        report(f"exits in {pause_s:.0f} s, because it is started again and again; a signal ends it at once")
        leave_on_signal(code)
        time.sleep(pause_s)
    return code


def _handle_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Replace each handler in one step, so that a signal always meets one of ours."""
    for number in _SIGNALS:
        signal.signal(number, handler)


def _exit_now(code: int) -> None:
    sys.stderr.flush()
    os._exit(code)
