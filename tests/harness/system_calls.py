"""What happens in between two system calls."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CALLS = ("unlink", "rename", "fsync", "utime", "open", "stat", "pwrite")


@contextmanager
def at_call(number: int, happens: Callable[[], object], of: Callable[[], bool] = lambda: True) -> Iterator[list[bool]]:
    """Let something happen just before the system call with this number; only calls for which `of` holds count.

    The result says whether it did.
    """
    calls, has_happened = 0, [False]
    turn = threading.Lock()

    def hooked(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            if of():
                with turn:
                    calls += 1
                    is_now = calls == number
                if is_now:
                    has_happened[0] = True
                    happens()
            return real(*arguments, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, hooked(name))
        yield has_happened
