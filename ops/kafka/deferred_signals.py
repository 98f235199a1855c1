"""Holding signals back around work that they must not interrupt."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Defer the signals that Python handles to the end of this block, in the main thread; yield those that came.

    A process is started in such a block, because a signal between the fork and the parent's note of the child would
    leave a child that nobody waits for. An event loop runs in one, because a signal would interrupt any task.
    Handlers are replaced rather than signals masked, because a child would inherit the mask.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def remember(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}
    for number in before:
        signal.signal(number, remember)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)
