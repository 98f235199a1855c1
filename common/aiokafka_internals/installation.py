"""One call that puts in place everything that Nacre replaces in aiokafka."""

from functools import cache

from common.aiokafka_internals.broken_connections import take_refused_writes_for_broken_connections
from common.aiokafka_internals.connection_failures import keep_connection_failures
from common.aiokafka_internals.contract import check_aiokafka_version
from common.aiokafka_internals.fetched_batches import hand_out_batches
from common.aiokafka_internals.lost_brokers import take_lost_brokers_for_kafka_errors
from common.aiokafka_internals.offset_requests import ask_for_offsets_beside_fetches
from common.aiokafka_internals.open_connections import keep_open_connections
from common.aiokafka_internals.produce_requests import write_produce_requests_at_once
from common.aiokafka_internals.reauthentication import reauthenticate_open_connections
from common.aiokafka_internals.request_pace import pace_requests
from common.aiokafka_internals.topic_creation import create_no_topic_by_asking
from common.aiokafka_internals.whole_answers import read_whole_answers


@cache
def install() -> None:
    """Replace what Nacre replaces in aiokafka, before any client exists; later calls do nothing.

    Raises ConfigurationError for another version of aiokafka.
    """
    check_aiokafka_version()
    take_refused_writes_for_broken_connections()
    # After the line above: a handshake that is due has to come before any other replacement of how a connection sends.
    reauthenticate_open_connections()
    keep_connection_failures()
    keep_open_connections()
    take_lost_brokers_for_kafka_errors()
    # After the line above, whose replacement it calls: a lost connection has to be known by the group that it is of.
    ask_for_offsets_beside_fetches()
    hand_out_batches()
    write_produce_requests_at_once()
    read_whole_answers()
    create_no_topic_by_asking()
    pace_requests()
