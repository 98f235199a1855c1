"""SIGTERM and SIGINT in every phase of a service's life: it exits with 0 within seconds, and the others take over."""

import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, count
from pathlib import Path
from random import Random

import pytest
from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException
from confluent_kafka.admin import ConsumerGroupDescription  # type: ignore[attr-defined]  # it is in their manual

from ops.kafka.local import LocalKafka
from tests.chaos.conftest import MakeFlow
from tests.harness.chaos import extent
from tests.harness.chaos.flow import Flow
from tests.harness.chaos.rows import make_rows
from tests.harness.pipeline import SERVICES, Service

RecordProperty = Callable[[str, object], None]
# Sends one signal to one replica in the midst of a phase; returns the exit code and the seconds until the exit.
Phase = Callable[[Flow, str, signal.Signals, Random], tuple[int, float]]

# A round is one signal to each service: 7 phases x 10 rounds x 3 services, half of it SIGTERM, half SIGINT.
ROUNDS = extent.count(1, 10)
DRAINED, DEADLINE_PASSED = 0, 75
SLOWEST_EXIT_S, MEDIAN_EXIT_S = 10.0, 1.0
# A member that has not left is in its group until its session of 6 s is over.
SLOWEST_TAKEOVER_S = 5.0
REBALANCING = {ConsumerGroupState.PREPARING_REBALANCING, ConsumerGroupState.COMPLETING_REBALANCING}
PARTITIONS = {"ingest": 6, "split": 6, "sink": 7}
SLOW_IMPORTS_S = 1.0
REBALANCE_S = 1.5
LAST_WORK_S = 1.0


# By phase, how many seconds every exit took.
Exits = defaultdict[str, list[float]]


@pytest.fixture(scope="module")
def exits() -> Iterator[Exits]:
    """All exits of this module; they are judged together, at the end."""
    took_s: Exits = defaultdict(list)
    yield took_s
    assert max(chain(*took_s.values()), default=0) < SLOWEST_EXIT_S
    # A selection of tests may have met the slow phases alone.
    if len(took_s) == len(PHASES):
        assert statistics.median(chain(*took_s.values())) < MEDIAN_EXIT_S


def starting(flow: Flow, name: str, number: signal.Signals, random: Random) -> tuple[int, float]:
    """From the first instant on that the service's own code hears signals.

    Before that, Python itself starts, and a signal ends it as it ends any program: with -15, -2 or 1.
    """
    service = flow.start(name)
    wait_until_it_hears(service)
    reach_instant(service, random.uniform(0, SLOW_IMPORTS_S))
    return leave(flow, service, number)


def mid_batch(flow: Flow, name: str, number: signal.Signals, random: Random) -> tuple[int, float]:
    """With rows on their way."""
    flow.pause(random.uniform(0, 1.0))
    flow.wait_for_pending()
    return leave(flow, random.choice(flow.running[name]), number)


def mid_rebalance(flow: Flow, name: str, number: signal.Signals, random: Random) -> tuple[int, float]:
    """While the group makes room for one more, or has just done so; to an old member or to the new one."""
    flow.start(name)
    flow.pipeline.wait_until(lambda: is_rebalancing(flow, name), "a rebalance begins")
    end = time.monotonic() + random.uniform(0, REBALANCE_S)
    flow.pipeline.wait_until(
        lambda: time.monotonic() > end or not is_rebalancing(flow, name), "an instant in the rebalance"
    )
    return leave(flow, random.choice(flow.running[name]), number)


def idle(flow: Flow, name: str, number: signal.Signals, random: Random) -> tuple[int, float]:
    """With nothing to do."""
    flow.pause(random.uniform(0, 0.5))
    return leave(flow, random.choice(flow.running[name]), number)


def finishing(flow: Flow, name: str, number: signal.Signals, random: Random) -> tuple[int, float]:
    """Around its last work, or while it leaves by itself because all is done."""
    for _ in range(20):
        feed_more(flow, f"s{SERVICES.index(name)}")
        service = flow.start(name, ONCE="true", EXIT_WHEN_DONE="true")
        flow.pipeline.wait_for_event(service, "partitions assigned")
        if random.random() < 0.5:
            wait_tightly(partial(service.events, "done"), service)
        else:
            reach_instant(service, random.uniform(0, LAST_WORK_S))
        if service.exit_code is None:
            return leave(flow, service, number)
        # It was through before the signal.
        flow.running[name].remove(service)
        assert service.exit_code == DRAINED
    raise AssertionError(f"{name} was never met while finishing")


def broker_gone(flow: Flow, name: str, number: signal.Signals, random: Random) -> tuple[int, float]:
    """Its broker has left, with rows on their way."""
    flow.pause(random.uniform(0, 3.0))
    [service] = flow.running[name]
    return leave(flow, service, number)


def no_broker_yet(flow: Flow, name: str, number: signal.Signals, random: Random) -> tuple[int, float]:
    """It waits for its broker."""
    service = flow.start(name)
    flow.pipeline.wait_for_event(service, "not ready")
    flow.pause(random.uniform(0, 2.0))
    return leave(flow, service, number)


PHASES = (starting, mid_batch, mid_rebalance, idle, finishing, broker_gone, no_broker_yet)


def leave(flow: Flow, service: Service, number: signal.Signals) -> tuple[int, float]:
    flow.running[service.name].remove(service)
    return service.stop(number)


def wait_until_it_hears(service: Service) -> None:
    # No other way tells: it logs nothing so early.
    status = Path(f"/proc/{service.process_id}/status")

    def hears() -> bool:
        [caught] = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt")]
        return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)

    wait_tightly(hears, service)


def wait_tightly(condition: Callable[[], object], service: Service, deadline_s: float = 30.0) -> None:
    """Wait for the condition, or the service's exit, without losing the instant."""
    end = time.monotonic() + deadline_s
    while not condition() and service.exit_code is None:
        assert time.monotonic() < end, f"{service.name}: not within {deadline_s:g} s"
        time.sleep(0.001)


def reach_instant(service: Service, seconds: float) -> None:
    """Wait so long, unless the service exits before."""
    end = time.monotonic() + seconds
    wait_tightly(lambda: time.monotonic() > end, service)


_numbers = count(10_000_000, 1_000)


def feed_more(flow: Flow, source: str) -> None:
    """Append to a source that is no longer fed."""
    with flow.feeder.inputs[source].open("ab") as file:
        file.write(make_rows(source, next(_numbers), 1_000))


def find_group(flow: Flow, name: str) -> ConsumerGroupDescription | None:
    """What the broker knows of a service's group; None while it knows nothing."""
    group = flow.pipeline.prefix + name
    try:
        found: ConsumerGroupDescription = flow.pipeline.observer.admin.describe_consumer_groups([group])[group].result()
    except KafkaException as failure:
        error = failure.args[0]
        assert error.retriable() or error.code() == KafkaError.GROUP_ID_NOT_FOUND, error
        return None
    return found


def is_rebalancing(flow: Flow, name: str) -> bool:
    found = find_group(flow, name)
    return found is not None and found.state in REBALANCING


def is_settled(flow: Flow, name: str) -> bool:
    """Whether the group is made of the replicas that run, and they have all its partitions."""
    found = find_group(flow, name)
    if found is None or found.state != ConsumerGroupState.STABLE:
        return False
    owned = sum(len(member.assignment.topic_partitions) for member in found.members)
    return len(found.members) == len(flow.running[name]) and owned == PARTITIONS[name]


def wait_until_settled(flow: Flow, name: str) -> float:
    return flow.pipeline.wait_until(partial(is_settled, flow, name), f"{name}: the replicas have every partition")


def on_every_service(act: Callable[[str], object]) -> None:
    """At the same time: each has a group of its own."""
    with ThreadPoolExecutor(len(SERVICES)) as pool:
        list(pool.map(act, SERVICES))


class Scenario:
    """Signals to a flow's services, and what each exit came to."""

    def __init__(self, flow: Flow, exits: Exits, record_property: RecordProperty) -> None:
        self._flow = flow
        self._exits = exits
        self._record = record_property

    def send_in(self, phase: Phase, turn: int, allowed: tuple[int, ...] = (DRAINED,)) -> None:
        """One signal to each service in this phase."""
        on_every_service(partial(self._send, phase, turn, allowed))

    def send_and_take_over(self, phase: Phase, turn: int, replicas: int = 2) -> None:
        """The same, and then the other replicas have all partitions."""

        def disturb(name: str) -> None:
            self._send(phase, turn, (DRAINED,), name)
            took_over_s = wait_until_settled(self._flow, name)
            self._record("seconds from an exit to the others' owning all", took_over_s)
            assert took_over_s < SLOWEST_TAKEOVER_S, f"{name}, {phase.__name__}"
            while len(self._flow.running[name]) < replicas:
                self._flow.start(name)
            wait_until_settled(self._flow, name)

        on_every_service(disturb)

    def _send(self, phase: Phase, turn: int, allowed: tuple[int, ...], name: str) -> None:
        number = (signal.SIGTERM, signal.SIGINT)[(turn + SERVICES.index(name)) % 2]
        what = phase.__name__.replace("_", " ")
        code, exit_s = phase(self._flow, name, number, extent.random_for(f"{phase.__name__} {turn} {name}"))
        assert code in allowed, f"{name}, {what}, {number.name}: exit code {code}"
        self._record(f"seconds from a signal to the exit, {what}", exit_s)
        if code == DEADLINE_PASSED:
            self._record("exits 75 with the broker gone", exit_s)
        self._exits[what].append(exit_s)


@pytest.mark.timeout(180 + 60 * ROUNDS)
def test_one_signal_ends_a_service_in_any_phase_and_the_other_replica_takes_over(
    flow: Flow, exits: Exits, record_property: RecordProperty
) -> None:
    scenario = Scenario(flow, exits, record_property)
    flow.start_all(ingest=2, split=2, sink=2)
    on_every_service(partial(wait_until_settled, flow))
    for turn in range(ROUNDS):
        for phase in (starting, mid_batch, mid_rebalance):
            scenario.send_and_take_over(phase, turn)
    flow.feeder.end()
    flow.pipeline.wait_until(lambda: flow.feeder.pending_bytes <= 0, "nothing is left to do", 60)
    for turn in range(ROUNDS):
        scenario.send_and_take_over(idle, turn)
    for turn in range(ROUNDS):
        scenario.send_and_take_over(finishing, turn)
    flow.finish()


@pytest.mark.timeout(180 + 60 * ROUNDS)
def test_one_signal_ends_a_service_whose_broker_is_gone_or_not_there_yet(
    own_kafka: LocalKafka, make_flow: MakeFlow, exits: Exits, record_property: RecordProperty
) -> None:
    flow = make_flow(own_kafka.bootstrap)
    scenario = Scenario(flow, exits, record_property)
    flow.start_all()
    for turn in range(ROUNDS):
        flow.wait_for_pending()
        own_kafka.stop()
        scenario.send_in(broker_gone, turn, (DRAINED, DEADLINE_PASSED))
        scenario.send_in(no_broker_yet, turn)
        own_kafka.start()
        flow.start_all()
    flow.finish()


@pytest.mark.alone
@pytest.mark.timeout(120 + 20 * ROUNDS)
def test_a_second_signal_ends_a_service_at_once_and_nothing_is_lost(
    flow: Flow, record_property: RecordProperty
) -> None:
    flow.start_all()

    def disturb(name: str) -> None:
        random = extent.random_for(f"second signal {name}")
        met = 0
        while met < ROUNDS:
            flow.pause(random.uniform(0, 0.5))
            [service] = flow.running[name]
            flow.wait_for_pending()
            first, second = random.sample([signal.SIGTERM, signal.SIGINT], 2)
            service.send(first)
            reach_instant(service, random.uniform(0, 0.2))
            code, exit_s = leave(flow, service, second)
            if code != DRAINED:
                # Two that come at one time may be heard in either order.
                assert code in {128 + first, 128 + second}
                assert exit_s < 1
                record_property("seconds from a second signal to the exit, under load", exit_s)
                met += 1
            # New rows may be ones that the others still held, so they do not show that this one is at work.
            flow.pipeline.wait_for_event(flow.start(name), "ready")

    on_every_service(disturb)
    flow.finish()
