"""Replicas that come, go and are killed under load, also more than there are partitions, and how long rows pause."""

import math
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.chaos.conftest import MakeFlow
from tests.harness.chaos import extent
from tests.harness.chaos.flow import Flow
from tests.harness.pipeline import Service

_SCALED = ("split", "sink")
_TOPICS = {"split": ("rows",), "sink": ("categorized", "rejected")}
_SOURCES = 6
# So few that the feeder never waits: at its limit the pipeline holds more than 15 s of rows.
_ROWS_PER_S = 2_400
_LOOK_INTERVAL_S = 0.02
_SETTLE_DEADLINE_S = 30.0
_KILL_PAUSE_S = 15.0
_STOP_PAUSE_S = 3.0

RecordProperty = Callable[[str, object], None]


class Growth:
    """When each source's rows moved on: the instants at which its file was longer than at the look before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[str, int] = {}
        self._instants: defaultdict[str, list[float]] = defaultdict(list)

    def look(self) -> None:
        """See how long the files are now."""
        now = time.monotonic()
        for path in self._folder.glob("*.csv"):
            if (size := path.stat().st_size) != self._sizes.get(path.name):
                self._sizes[path.name] = size
                self._instants[path.name].append(now)

    def all_since(self, begin: float) -> bool:
        """Whether the rows of every source have moved on since then."""
        return len(self._sizes) == _SOURCES and all(instants[-1] > begin for instants in self._instants.values())

    def longest_pause_s(self, begin: float) -> float:
        """The longest time, not over before then, in which rows of some source did not move."""
        return max(
            later - earlier
            for instants in self._instants.values()
            for earlier, later in pairwise(list(instants))
            if later > begin
        )


@pytest.mark.alone
@pytest.mark.parametrize(
    ("partitions", "replicas", "rounds", "first"),
    [(6, 3, extent.count(1, 20), "kill"), (2, 4, extent.count(1, 4), "stop")],
    ids=["fewer replicas than partitions", "more replicas than partitions"],
)
@pytest.mark.timeout(180 + 60 * extent.count(1, 20))
def test_rows_pause_only_briefly_while_replicas_come_and_go(
    make_flow: MakeFlow, record_property: RecordProperty, partitions: int, replicas: int, rounds: int, first: str
) -> None:
    """1→n→n-1→n replicas of split and of sink at the same time, n-1 by a kill and by a clean stop in turn.

    A killed replica is not started again before the others have taken over, after its session's timeout.
    """
    random = extent.random_for(f"scaling {replicas}")
    flow = make_flow(sources=_SOURCES, rows_per_s=_ROWS_PER_S, PARTITIONS=str(partitions))
    flow.start_all()
    leave: dict[str, Callable[[Service], object]] = {"kill": flow.kill, "stop": flow.stop}
    pauses: dict[str, list[float]] = {"start": [], "kill": [], "stop": []}
    with _observed(flow.pipeline.output / "Source") as growth:

        def change(how: str, count: int = 1) -> None:
            began = time.monotonic()
            for name in _SCALED:
                for _ in range(count):
                    if how == "start":
                        flow.start(name)
                    else:
                        leave[how](random.choice(flow.running[name]))
            _wait_until_settled(flow, growth)
            pauses[how].append(growth.longest_pause_s(began))

        _wait_until_settled(flow, growth)
        for number in range(rounds):
            while len(flow.running["split"]) > 1:
                change("stop")
            change("start", replicas - 1)
            change(first if number % 2 == 0 else "stop" if first == "kill" else "kill")
            change("start")
        account = flow.finish()
    for how, lasted_s in pauses.items():
        if lasted_s:
            record_property(f"pause of rows after a {how}, p99, s", _p99(lasted_s))
            record_property(f"pause of rows after a {how}, median, s", statistics.median(lasted_s))
    record_property("rounds of scaling", rounds)
    record_property("rows, scaled", account.rows)
    for how, limit_s in (("kill", _KILL_PAUSE_S), ("stop", _STOP_PAUSE_S)):
        assert not pauses[how] or _p99(pauses[how]) < limit_s, f"after a {how}: {pauses[how]}"


def _wait_until_settled(flow: Flow, growth: Growth) -> None:
    """Wait until every partition has one owner, and then rows of every source have moved on."""
    flow.pipeline.wait_until(
        lambda: all(_has_owners(flow, name) for name in _SCALED), "every partition has an owner", _SETTLE_DEADLINE_S
    )
    begin = time.monotonic()
    flow.pipeline.wait_until(lambda: growth.all_since(begin), "rows of every source move on", _SETTLE_DEADLINE_S)


def _has_owners(flow: Flow, name: str) -> bool:
    """Whether all replicas have joined, and have all partitions between them, each one of them once."""
    owned = [_owned(service) for service in flow.running[name]]
    observer = flow.pipeline.observer
    wanted = [f"{each.topic}-{each.partition}" for topic in _TOPICS[name] for each in observer.partitions(topic)]
    return None not in owned and sorted(partition for each in owned for partition in each or ()) == sorted(wanted)


def _owned(service: Service) -> list[str] | None:
    """The partitions that it was assigned last; None when they are revoked, or it has not joined yet."""
    lines = [line for line in service.log().splitlines() if '"partitions ' in line]
    if not lines or "partitions assigned" not in lines[-1]:
        return None
    partitions: list[str] = service.events("partitions assigned")[-1]["partitions"]
    return partitions


@contextmanager
def _observed(folder: Path) -> Iterator[Growth]:
    """Look at the sources' files all the while, in a thread."""
    growth = Growth(folder)
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_INTERVAL_S):
            growth.look()

    thread = threading.Thread(target=look, name="looking at sources")
    thread.start()
    try:
        yield growth
    finally:
        ended.set()
        thread.join()


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]
