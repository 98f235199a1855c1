"""Where a service can be made to die: just before and just after each step that the outside can see."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from common.protocol.output_folder import PACKAGE

BEFORE_AND_AFTER = ("before", "after")
_INGEST, _SPLIT, _SINK = ("ingest",), ("split",), ("sink",)
_PRODUCERS = ("ingest", "split")
_ALL = ("ingest", "split", "sink")
# The topics that all replicas write to, each in turn.
_AGREED = ("schemas", "sources")


@dataclass(frozen=True, slots=True)
class Point:
    """A step of these services. `target` is the function that is wrapped, `module:name`; {service} is filled in.

    `kind` says how it is wrapped, `when` which of its calls count, `repeats` whether a process reaches it more than
    once, and `needs` what it takes for a process to reach it at all. An unreached point guards a step that nothing
    takes today.
    """

    name: str
    services: Sequence[str]
    target: str
    kind: str = "call"
    moments: Sequence[str] = BEFORE_AND_AFTER
    when: Callable[..., bool] = lambda *_, **__: True
    repeats: bool = True
    needs: str = ""
    reached: bool = True


@dataclass(frozen=True, slots=True)
class Crash:
    """A place to die: a point, just before or after it, at its n-th time in the process."""

    point: Point
    moment: str
    occurrence: int

    def __str__(self) -> str:
        """The form that CRASH_AT has."""
        return f"{self.point.name}:{self.moment}:{self.occurrence}"


def _transactional_id(producer: Any) -> str:
    return str(producer._txn_manager.transactional_id)  # noqa: SLF001 - aiokafka keeps it nowhere else


def _of_a_partition(producer: Any, *_: object, **__: object) -> bool:
    return not _transactional_id(producer).endswith(_AGREED)


def _of_writer_to(topic: str) -> Callable[..., bool]:
    def is_it(producer: Any, *_: object, **__: object) -> bool:
        return _transactional_id(producer).endswith(topic)

    return is_it


def _of_a_member(consumer: Any, *_: object, **__: object) -> bool:
    return consumer._group_id is not None  # noqa: SLF001 - aiokafka keeps it nowhere else


def _creates_rows(name: object, flags: int, *_: object, **__: object) -> bool:
    return bool(flags & os.O_CREAT) and str(name).endswith(".csv")


def _renames_receipt(_name: object, to: object, *_: object, **__: object) -> bool:
    return str(to).endswith(".json") and str(to) != PACKAGE


def _renames_rows(name: object, to: object, *_: object, **__: object) -> bool:
    return not _renames_receipt(name, to)


def _to(topic: str) -> Callable[..., bool]:
    def is_it(_sender: object, name: str, *_: object, **__: object) -> bool:
        return name.endswith(topic)

    return is_it


def _below_output(_name: object, *_: object, dir_fd: int | None = None) -> bool:
    return dir_fd is not None


def _request(kind: str) -> Callable[..., bool]:
    def is_it(_connection: object, request: object, *_: object, **__: object) -> bool:
        return type(request).__name__ == f"{kind}Request"

    return is_it


def _ends_a_transaction_of_rows(_connection: object, request: Any, *_: object, **__: object) -> bool:
    if type(request).__name__ != "EndTxnRequest":
        return False
    return not request._transactional_id.endswith(_AGREED)  # noqa: SLF001 - aiokafka keeps it nowhere else


def _producer_point(name: str, method: str, services: Sequence[str] = _PRODUCERS, **how: Any) -> Point:
    return Point(name, services, f"aiokafka:AIOKafkaProducer.{method}", **{"when": _of_a_partition, **how})


def _agreement_points(topic: str) -> Iterator[Point]:
    """The steps of a write to this topic: a new file's schema, or its location."""
    producer = "aiokafka:AIOKafkaProducer."
    for method in ("start", "begin_transaction", "send_batch", "commit_transaction"):
        name = f"{topic}_{method}"
        yield Point(name, _INGEST, producer + method, when=_of_writer_to(topic), repeats=False, needs="schema")
    yield Point(
        f"{topic}_delivery",
        _INGEST,
        f"{producer}send_batch",
        kind="future",
        moments=("after",),
        when=_of_writer_to(topic),
        repeats=False,
        needs="schema",
    )


def _request_point(
    name: str, is_it: Callable[..., bool], services: Sequence[str] = _PRODUCERS, *, repeats: bool = True
) -> Point:
    """A request that is sent and not answered: the dead process never learns what the broker did with it."""
    target = "aiokafka.conn:AIOKafkaConnection.send"
    return Point(name, services, target, kind="request", moments=("unanswered",), when=is_it, repeats=repeats)


POINTS = (
    # How every service begins.
    Point("topics", _ALL, "services.{service}.service:open_allowed_pipeline", repeats=False),
    Point("predecessor", _ALL, "services.{service}.service:remove_predecessor", repeats=False),
    Point("assigned", _ALL, "common.sessions.partition_tasks:PartitionTasks.on_partitions_assigned", repeats=False),
    # Transactions.
    _producer_point("start", "start"),
    Point("markers", _PRODUCERS, "common.aiokafka_internals.transaction_markers:TransactionMarkers.find_missing"),
    _producer_point("begin", "begin_transaction"),
    _producer_point("send", "send_batch"),
    _producer_point("delivery", "send_batch", kind="future", moments=("after",)),
    _producer_point("offsets", "send_offsets_to_transaction", _SPLIT),
    _producer_point("commit", "commit_transaction"),
    _request_point("start_request", _request("InitProducerId")),
    _request_point("predecessor_s_end_request", _request("_DescribeTransactions")),
    _request_point("markers_request", _request("_DescribeProducers")),
    _request_point("stable_offset_request", _request("_StableOffsetFetch"), _SPLIT),
    _request_point("enlist_request", _request("AddPartitionsToTxn")),
    _request_point("produce_request", _request("Produce")),
    _request_point("enlist_offsets_request", _request("AddOffsetsToTxn"), _SPLIT),
    _request_point("offsets_request", _request("TxnOffsetCommit"), _SPLIT),
    _request_point("commit_request", _ends_a_transaction_of_rows),
    # ingest: sources, and what replicas agree on: which file is which source, and the numbers of schemas.
    Point("progress_read", _INGEST, "services.ingest.service:Ingest._read_progress"),
    Point("fingerprint_read", _INGEST, "services.ingest.files.content:read_fingerprint"),
    Point("source_read", _INGEST, "services.ingest.files.content:read_plain_chunk"),
    Point("agree", _INGEST, "common.kafka.fenced_topic:FencedTopic._append", needs="schema"),
    *_agreement_points("sources"),
    *_agreement_points("schemas"),
    Point("agreed_read", _ALL, "common.kafka.fenced_topic:FencedTopic.read", repeats=False),
    # Only with AFTER_DELIVERY: tests/integration/test_after_delivery.py reaches these.
    Point("aside", _INGEST, "services.ingest.passage:set_aside", reached=False),
    Point("aside_rename", _INGEST, "services.ingest.files.leaving:rename_aside", reached=False),
    Point("sight", _INGEST, "services.ingest.passage:sight", reached=False),
    Point("targets", _INGEST, "services.ingest.passage:find_targets", reached=False),
    Point("depart", _INGEST, "services.ingest.passage:leave", reached=False),
    Point("depart_rename", _INGEST, "services.ingest.files.leaving:rename_to_free", reached=False),
    Point("names_durable", _INGEST, "services.ingest.passage:make_names_durable", reached=False),
    Point("departed", _INGEST, "services.ingest.scan:Scan.agree", reached=False),
    # split: where it continues.
    Point("committed_read", _SPLIT, "services.split.service:committed_offsets", repeats=False),
    Point("fetch_rows", _SPLIT, "services.split.partition:fetch"),
    # sink: files and ledgers.
    Point("fetch_categorized", _SINK, "services.sink.service:fetch"),
    Point("lock", _SINK, "fcntl:flock"),
    Point("ledger_open", _SINK, "services.sink.ledger.database:Ledger.__init__"),
    Point("ledger_read", _SINK, "services.sink.ledger.database:Ledger.facts"),
    Point("find", _SINK, "services.sink.ledger.database:Ledger.find"),
    Point("ledger", _SINK, "services.sink.ledger.database:Ledger.commit"),
    Point("ledger_commit", _SINK, "sqlite3:connect", kind="COMMIT"),
    Point("claim", _SINK, "services.sink.categories:Categories._enter", repeats=False, needs="category"),
    Point("mkdir", _SINK, "os:mkdir", when=_below_output, repeats=False, needs="category"),
    Point("open", _SINK, "os:open", when=_creates_rows),
    Point("write", _SINK, "os:pwrite", kind="write", moments=(*BEFORE_AND_AFTER, "torn")),
    # After a torn write, because that leaves something to cut off.
    Point("ftruncate", _SINK, "os:ftruncate", repeats=False),
    # Not before there are files.
    Point("cut_back", _SINK, "services.sink.recovery:cut_back"),
    Point("fsync", _SINK, "os:fsync"),
    Point("durable_at_start", _SINK, "services.sink.recovery:make_durable"),
    Point("durable", _SINK, "services.sink.checkpoint:make_durable"),
    Point("tell", _SINK, "aiokafka:AIOKafkaConsumer.commit"),
    _request_point("tell_request", _request("OffsetCommit"), _SINK),
    # sink: shares, and receipts, each in a file before it is sent.
    Point("ledger_unshared", _SINK, "services.sink.ledger.database:Ledger.unshared"),
    Point("send_shares", _SINK, "services.sink.receipts.sharing:Sender.send", when=_to("shares"), needs="end"),
    Point("receipts", _SINK, "services.sink.receipts.issuing:write_whole", needs="end"),
    Point("receipt_rename", _SINK, "os:rename", when=_renames_receipt, repeats=False, needs="end"),
    Point(
        "send_receipts",
        _SINK,
        "services.sink.receipts.sharing:Sender.send",
        when=_to("receipts"),
        repeats=False,
        needs="end",
    ),
    # Only if files are finished: tests/integration/test_rolling.py reaches this.
    Point("rename", _SINK, "os:rename", when=_renames_rows, reached=False),
    Point("ready", _SINK, "services.sink.ledger.database:Ledger.set_ready", reached=False),
    Point("in_place", _SINK, "services.sink.ledger.database:Ledger.set_in_place", reached=False),
    # Only at the end of a finite run, and where the next one begins: tests/integration/test_proofs.py reaches these.
    Point("sealed", _SINK, "services.sink.folder_proofs.seal:Seal.seal", reached=False),
    Point("taken_back", _SINK, "services.sink.folder_proofs.seal:take_back", reached=False),
    Point("proofs_begun", _SINK, "services.sink.folder_proofs.writing:create", reached=False),
    Point("proofs_written", _SINK, "services.sink.folder_proofs.writing:write", reached=False),
    Point("proofs_in_place", _SINK, "services.sink.folder_proofs.writing:publish", reached=False),
    Point("marked", _SINK, "services.sink.folder_proofs.keeping:write_in_place", reached=False),
    Point("replace", _ALL, "os:replace", reached=False),
    # How every service ends, after a signal.
    Point(
        "partition_tasks_close",
        _ALL,
        "common.sessions.partition_tasks:PartitionTasks.close",
        repeats=False,
        needs="signal",
    ),
    _producer_point("producer_stop", "stop", repeats=False, needs="signal"),
    Point("files_close", _SINK, "services.sink.partition_files:PartitionFiles.close", repeats=False, needs="signal"),
    Point("leave", _ALL, "aiokafka:AIOKafkaConsumer.stop", when=_of_a_member, repeats=False, needs="signal"),
)


def crashes_of(service: str, occurrences: Sequence[int], *, thorough: bool) -> Iterator[Crash]:
    """The places where this service can be made to die, in the table's order.

    Thorough: every moment at each of these occurrences; otherwise the moments of a point take them in turn.
    """
    for point in POINTS:
        if service in point.services and point.reached:
            for number, moment in enumerate(point.moments):
                chosen = occurrences if thorough else [occurrences[number % len(occurrences)]]
                for occurrence in chosen if point.repeats else (1,):
                    yield Crash(point, moment, occurrence)


def parse_crash(text: str) -> Crash:
    """Read CRASH_AT: point, moment and occurrence."""
    name, moment, occurrence = text.split(":")
    [point] = [point for point in POINTS if point.name == name]
    if moment not in point.moments:
        raise ValueError(f"{text}: the moments of {name} are {', '.join(point.moments)}")
    return Crash(point, moment, int(occurrence))
