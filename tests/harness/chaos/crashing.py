"""`python -m tests.harness.chaos.crashing services.NAME ...`: the service, with one function that kills it.

CRASH_AT names the place as `point:moment:occurrence`, for example `commit:after:3`; CRASH_LOG is a file that gets that
name as a line just before the process kills itself with SIGKILL.
"""

import asyncio
import importlib
import inspect
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from tests.harness.chaos.crash_points import Crash, parse_crash

# Keep the original: dying must not go through the functions that are wrapped below.
_open = os.open

Function = Callable[..., Any]


class Reaper:
    """Counts how often the crash's moment has come, and ends the process at the given occurrence."""

    def __init__(self, crash: Crash, log_path: str) -> None:
        self._crash = crash
        self._log_path = log_path
        self._lock = threading.Lock()
        self._count = 0

    def is_time(self, moment: str) -> bool:
        """Count this moment; return whether it is the one to die at."""
        if moment != self._crash.moment:
            return False
        with self._lock:
            self._count += 1
            return self._count == self._crash.occurrence

    def reach(self, moment: str) -> None:
        """Die if this is the moment."""
        if self.is_time(moment):
            self.die()

    def die(self) -> None:
        """Kill -9: nothing is flushed, closed or logged."""
        descriptor = _open(self._log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(descriptor, f"{self._crash}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
        while True:
            signal.pause()


def wrap_call(original: Function, when: Function, reaper: Reaper) -> Function:
    """The function, with a chance to die before and after each call that counts."""
    if inspect.iscoroutinefunction(original):

        @wraps(original)
        async def awaited(*arguments: Any, **named: Any) -> Any:
            if not when(*arguments, **named):
                return await original(*arguments, **named)
            reaper.reach("before")
            result = await original(*arguments, **named)
            reaper.reach("after")
            return result

        return awaited

    @wraps(original)
    def called(*arguments: Any, **named: Any) -> Any:
        if not when(*arguments, **named):
            return original(*arguments, **named)
        reaper.reach("before")
        result = original(*arguments, **named)
        reaper.reach("after")
        return result

    return called


def wrap_future(original: Function, when: Function, reaper: Reaper) -> Function:
    """The coroutine function, with a chance to die when the future that it returns has its result."""

    @wraps(original)
    async def awaited(*arguments: Any, **named: Any) -> Any:
        future = await original(*arguments, **named)
        if when(*arguments, **named):
            future.add_done_callback(lambda _: reaper.reach("after"))
        return future

    return awaited


def wrap_request(original: Function, when: Function, reaper: Reaper) -> Function:
    """A connection's send, with a chance to die when the request has left the process."""

    def die_when_sent(connection: Any) -> None:
        if connection._writer.transport.get_write_buffer_size():  # noqa: SLF001 - nothing else tells
            asyncio.get_running_loop().call_soon(die_when_sent, connection)
        else:
            reaper.die()

    @wraps(original)
    def send(connection: Any, request: Any, *arguments: Any, **named: Any) -> Any:
        answer = original(connection, request, *arguments, **named)
        if when(connection, request) and reaper.is_time("unanswered"):
            die_when_sent(connection)
        return answer

    return send


def wrap_write(original: Function, when: Function, reaper: Reaper) -> Function:
    """A write, with a chance to die before it, after it, and once half of the bytes are written."""
    whole = wrap_call(original, when, reaper)

    @wraps(original)
    def write(descriptor: int, data: memoryview, offset: int) -> Any:
        if reaper.is_time("torn"):
            # Cut within a row: at a row's end nothing would be torn.
            original(descriptor, bytes(data[: len(data) // 2]).rstrip(b"\r\n"), offset)
            reaper.die()
        return whole(descriptor, data, offset)

    return write


def wrap_statement(original: Function, _when: Function, reaper: Reaper, *, statement: str) -> Function:
    """A database's connect, with a chance for its connections to die before and after a statement."""

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql != statement:
                return super().execute(sql, *parameters)
            reaper.reach("before")
            result = super().execute(sql, *parameters)
            reaper.reach("after")
            return result

    return partial(original, factory=Connection)


WRAPPERS: dict[str, Function] = {
    "call": wrap_call,
    "future": wrap_future,
    "request": wrap_request,
    "write": wrap_write,
    "COMMIT": partial(wrap_statement, statement="COMMIT"),
}


def install(crash: Crash, service: str, reaper: Reaper) -> None:
    """Wrap the one function that the crash is at."""
    module, _, path = crash.point.target.format(service=service).partition(":")
    *parents, name = path.split(".")
    owner = importlib.import_module(module)
    for parent in parents:
        owner = getattr(owner, parent)
    wrap = WRAPPERS[crash.point.kind]
    setattr(owner, name, wrap(getattr(owner, name), crash.point.when, reaper))


def main() -> int:
    """Run the service that the first argument names; return its exit code if it survives."""
    module = sys.argv.pop(1)
    # Import everything first: a module that is imported while a function is wrapped would keep the wrapper.
    importlib.import_module(f"{module}.service")
    crash = parse_crash(os.environ["CRASH_AT"])
    install(crash, module.rpartition(".")[2], Reaper(crash, os.environ["CRASH_LOG"]))
    code: int = importlib.import_module(f"{module}.__main__").main()
    return code


if __name__ == "__main__":
    sys.exit(main())
