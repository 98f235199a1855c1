"""Commits whose markers the broker has forgotten to write: a defect of Apache Kafka 4.3, mended here.

A broker that is killed between the answer to a commit and its markers, and started again, resumes that commit before
its own return is known to itself. With no other replica it takes the partitions for deleted ("Couldn't find leader
endpoint ... hence can be skipped" in its log), writes no markers and calls the commit complete. So may a broker that is
shutting down, for some of the partitions. The rows stay hidden and the offsets unknown until the same producer's next
transaction ends: its markers end both. If that one is a commit of more rows, a service that has read its committed
offset meanwhile has carried rows twice; if it is aborted, rows are lost.

So a producer asks for the markers of its commit before it begins the next transaction, and for those of its
predecessor's before anything committed is read; where one is missing, it ends a transaction that holds nothing there,
in the way the predecessor's was ended. An abort may be forgotten as well, also the one that a start brings about. So
before a producer starts it asks how its predecessor's transaction stands: what is open or aborted then may not be
committed any more, and everything else was committed.
"""

import asyncio

from aiokafka import AIOKafkaProducer

from common.aiokafka_internals.transaction_markers import Unmarked

_LOOK_INTERVAL_S = 0.005


async def complete_forgotten_end(
    producer: AIOKafkaProducer, unmarked: Unmarked, group: str | None, *, is_abort: bool
) -> None:
    """Commit or abort a transaction that holds nothing, where markers are missing.

    No record is written for it. aiokafka adds a partition to a transaction only with a first record, so this calls what
    aiokafka itself would call then; no upstream issue known.
    """
    manager, sender = producer._txn_manager, producer._sender  # noqa: SLF001 - see above
    await producer.begin_transaction()
    for partition in unmarked.partitions:
        manager.maybe_add_partition_to_txn(partition)
    while manager.partitions_to_add():  # noqa: ASYNC110 - it offers no event
        await asyncio.sleep(_LOOK_INTERVAL_S)
    if unmarked.offset and manager.is_in_transaction():
        while not await sender._do_add_offsets_to_txn(group):  # noqa: SLF001 - same
            pass
    if not manager.is_in_transaction():
        # Fenced meanwhile, by another producer with this id: that is raised, where a commit would only assert.
        await manager.wait_for_transaction_end()
    await (producer.abort_transaction() if is_abort else producer.commit_transaction())
