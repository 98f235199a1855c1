"""The brokers that tests have started, so that a failed test can show their logs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from ops.kafka.local import LocalKafka
from ops.kafka.warm_start import warm_up

KAFKAS_OWN_DEFAULTS: Mapping[str, str] = MappingProxyType({})

running: list[LocalKafka] = []


@contextmanager
def running_kafka(preferences: Mapping[str, str]) -> Iterator[LocalKafka]:
    """A broker whose log a failed test shows."""
    warm_up()
    with LocalKafka(preferences=preferences) as kafka:
        running.append(kafka)
        yield kafka
        running.remove(kafka)


def sessions_of(group: str) -> int:
    """How often a member joined the group while it was empty: a lone service logs failing sessions only once."""
    joined = f"joins group {group} in Empty state"
    logs = (kafka.data_dir / "broker.log" for kafka in running)
    return sum(log.read_text(errors="replace").count(joined) for log in logs)
