"""Holding signals back for a moment, around what they must not interrupt."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Defer signals that Python handles to the end of this block, in the main thread; the list holds those that came.

    Around the start of a process, because a signal between the fork and our knowing the child would leave a child that
    no one waits for. Around a loop, because a signal would interrupt any task that runs. Handlers are replaced rather
    than signals masked, because a child would inherit the mask.
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
