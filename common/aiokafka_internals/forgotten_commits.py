"""Completing commits whose markers the broker has forgotten to write, a defect of Apache Kafka 4.3.

A broker that is killed between its answer to a commit and the markers, and started again, resumes that commit before it
knows that it is back itself. Where there is no other replica, it takes the partitions for deleted ("Couldn't find
leader endpoint ... hence can be skipped" in its log), writes no markers and calls the commit complete. A broker that is
shutting down may do the same for some of the partitions. The rows stay hidden and the offsets unknown until the same
producer's next transaction ends: its markers end both. If that is a commit of more rows, a service that has read its
committed offset meanwhile has sent rows twice; if it is an abort, rows are lost.

So a producer asks for the markers of its commit before it begins the next transaction, and for those of its
predecessor's commit before it reads anything committed. Where one is missing, it ends an empty transaction there, in
the way in which the predecessor's ended. A broker may forget an abort as well, also the one that a producer's start
causes. So before its start a producer asks how its predecessor's transaction stands: if it is open or aborted, it may
not be committed any more; otherwise it was committed.
"""

import asyncio

from aiokafka import AIOKafkaProducer

from common.aiokafka_internals.transaction_markers import Unmarked

_LOOK_INTERVAL_S = 0.005


async def complete_forgotten_end(
    producer: AIOKafkaProducer, unmarked: Unmarked, group: str | None, *, is_abort: bool
) -> None:
    """Commit or abort an empty transaction where markers are missing.

    It writes no record. aiokafka adds a partition to a transaction only with a first record, so this calls what
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
        # Another producer with this id has fenced it meanwhile: this raises that error, a commit would only assert.
        await manager.wait_for_transaction_end()
    await (producer.abort_transaction() if is_abort else producer.commit_transaction())
