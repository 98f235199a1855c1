"""`python -m tests.harness.chaos.hanging services.NAME ...`: the service, which halts its broker.

At each of its phases the service stops the broker, process HANG_PID, with SIGSTOP, and adds the phase as a line to
HANG_LOG, so that the broker hangs at that very step. The test resumes it. Requests time out sooner than usual, so that
a hang of some seconds is a long one.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable

from common.connection import arguments as connection
from tests.harness.chaos.crash_points import Crash, Point
from tests.harness.chaos.crashing import Reaper, install

_REQUEST_TIMEOUT_MS = 1_500
_PRODUCERS = ("ingest", "split")
_ALL = (*_PRODUCERS, "sink")
_FINITE = ("split", "sink")


def _sends(*kinds: str) -> Callable[..., bool]:
    def is_it(_connection: object, request: object, *_: object, **__: object) -> bool:
        return type(request).__name__ in [f"{kind}Request" for kind in kinds]

    return is_it


def _request(name: str, *kinds: str) -> Point:
    target = "aiokafka.conn:AIOKafkaConnection.send"
    return Point(name, _ALL, target, kind="request", moments=("unanswered",), when=_sends(*kinds))


_CLIENT = "aiokafka.client:AIOKafkaClient"
_CONSUMER = "aiokafka:AIOKafkaConsumer"
_PRODUCER = "aiokafka:AIOKafkaProducer"
# In the order in which a service reaches them, each with its occurrence.
_PHASES = (
    ("connecting", Point("before it connects", _ALL, f"{_CLIENT}.bootstrap"), "before", 1),
    ("bootstrapped", Point("behind its bootstrap", _ALL, f"{_CLIENT}.bootstrap"), "after", 1),
    ("topics", Point("topics", _ALL, "services.{service}.service:open_allowed_pipeline"), "before", 1),
    ("topics asked", Point("topics", _ALL, "services.{service}.service:open_allowed_pipeline"), "after", 1),
    ("predecessor", Point("predecessor", _ALL, "services.{service}.service:remove_predecessor"), "before", 1),
    ("coordinator", _request("coordinator", "FindCoordinator"), "unanswered", 2),
    ("joining", _request("join", "JoinGroup"), "unanswered", 1),
    ("joined", _request("sync", "SyncGroup"), "unanswered", 1),
    ("taking up", Point("producer", _PRODUCERS, f"{_PRODUCER}.start"), "before", 2),
    ("taking up", Point("position", ("sink",), f"{_CONSUMER}.beginning_offsets"), "before", 2),
    ("taken up", _request("ends", "Offset"), "unanswered", 2),
    ("fetching", _request("fetch", "Fetch"), "unanswered", 5),
    ("committing", Point("commit", _PRODUCERS, f"{_PRODUCER}.commit_transaction"), "before", 1),
    ("committed", _request("commit", "EndTxn", "OffsetCommit"), "unanswered", 1),
    ("finishing", Point("finish", _FINITE, "services.{service}.service:wait_until_done"), "before", 1),
    ("finishing", Point("finish", ("ingest",), "common.sessions.partition_tasks:PartitionTasks.finish"), "before", 1),
    ("leaving", Point("leave", _ALL, "common.sessions.partition_tasks:stop_consumer"), "before", 1),
    ("left", _request("leave", "LeaveGroup"), "unanswered", 1),
)


class Halter(Reaper):
    """Stops the broker where a reaper would end the process."""

    def __init__(self, phase: str, crash: Crash, log_path: str, broker: int) -> None:
        super().__init__(crash, log_path)
        self._note = phase, log_path
        self._broker = broker

    def die(self) -> None:
        """Stop the broker."""
        phase, log_path = self._note
        os.kill(self._broker, signal.SIGSTOP)
        with open(log_path, "a", encoding="utf-8") as log:  # noqa: PTH123 - the shortest way
            log.write(f"{phase}\n")


def phases_of(service: str) -> list[str]:
    """The phases of this service's life, in order."""
    return [phase for phase, point, _, _ in _PHASES if service in point.services]


def main() -> int:
    """Run the service that the first argument names; return its exit code."""
    module = sys.argv.pop(1)
    service = module.rpartition(".")[2]
    # Import everything first: a module that is imported while a function is wrapped would keep the wrapper.
    importlib.import_module(f"{module}.service")
    connection._REQUEST_TIMEOUT_MS = _REQUEST_TIMEOUT_MS  # noqa: SLF001 - it is no setting
    wanted = os.environ["HANG_AT"].split(",")
    for phase, point, moment, occurrence in _PHASES:
        if service in point.services and phase in wanted:
            crash = Crash(point, moment, occurrence)
            install(crash, service, Halter(phase, crash, os.environ["HANG_LOG"], int(os.environ["HANG_PID"])))
    code: int = importlib.import_module(f"{module}.__main__").main()
    return code


if __name__ == "__main__":
    sys.exit(main())
