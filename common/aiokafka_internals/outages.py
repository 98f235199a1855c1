"""Errors other than KafkaError that aiokafka 0.14 raises while no broker answers, treated as the outage that they are.

A broker that hangs, or has just come back and knows of no broker yet, makes aiokafka fail in its own assertions (`Did
we not perform bootstrap?`), in looking up a connection that is closed meanwhile, or by cancelling one of its own tasks.
Each of these would end the service. No upstream issue known.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb

import aiokafka
from aiokafka.errors import KafkaError

# Not TypeError and ValueError: aiokafka raises these where it is called wrongly, which is a defect of ours.
_OWN_FAILURES = (AssertionError, AttributeError, LookupError, RuntimeError, asyncio.InvalidStateError)
_AIOKAFKA = f"{Path(aiokafka.__file__).parent}/"
_OURS = tuple(f"{Path(__file__).parents[2] / folder}/" for folder in ("common", "ops", "services"))


class ClientFailedError(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka failed in its own code, as it does when it loses its broker."""


@contextmanager
def client_failures_as_outages() -> Iterator[None]:
    """Turn a failure of aiokafka's own code into ClientFailedError, a KafkaError; other errors pass unchanged."""
    try:
        yield
    except asyncio.CancelledError as error:
        if _is_being_cancelled():
            raise
        # aiokafka has cancelled one of its own tasks, which this one awaited.
        raise ClientFailedError("aiokafka gave up a task of its own") from error
    except Exception as error:
        if is_client_failure(error):
            raise ClientFailedError(f"{type(error).__name__} in aiokafka: {error}".rstrip(": ")) from error
        raise


def _is_being_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        # The loop itself has ended.
        return True
    return task is None or task.cancelling() > 0


def is_client_failure(error: BaseException) -> bool:
    """Whether aiokafka itself raised this, and neither code of ours nor code that ours called."""
    # A KafkaError is a RuntimeError too; it says itself what it is.
    if isinstance(error, KafkaError) or not isinstance(error, _OWN_FAILURES):
        return False
    files = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    for file in reversed(files):
        if file.startswith(_AIOKAFKA):
            return True
        if file.startswith(_OURS):
            return False
    return False
