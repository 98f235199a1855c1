"""A defect of Apache Kafka 4.3, mended in one place: a commit that a restarted broker has forgotten to carry out.

A broker that is killed between the answer to a commit and its markers, and started again, resumes that commit before
its own return is known to itself. With no other replica it takes the partitions for deleted ("Couldn't find leader
endpoint ... hence can be skipped" in its log), writes no markers and calls the commit complete. The rows stay hidden
and the offsets unknown, until the next commit of the same producer id writes markers there: too late for a service
that has read its committed offset meanwhile, it carries those rows again.

So a commit that touches all partitions a producer may have touched, and its group, is made before anything committed
is read. Where nothing was forgotten it is empty. It can only complete a commit, never an abort: a transaction that
nobody has committed is aborted when the producer starts, and a producer starts only with a broker that is back.
"""

import asyncio
from collections.abc import Collection

from aiokafka import AIOKafkaProducer, TopicPartition

_LOOK_INTERVAL_S = 0.005


async def complete_forgotten_commit(
    producer: AIOKafkaProducer, partitions: Collection[TopicPartition], group: str | None = None
) -> None:
    """Commit a transaction that holds nothing, on these partitions and the group's offsets; return behind its markers.

    No record is written for it: aiokafka adds a partition to a transaction with its first record only, so its own
    means are used here.
    """
    await _commit_nothing(producer, partitions, group)
    # A commit is answered before its markers are written. The next one is let in only behind them: without it, a reader
    # that comes at once would not see what the first has completed.
    await _commit_nothing(producer, list(partitions)[:1], None)


async def _commit_nothing(
    producer: AIOKafkaProducer, partitions: Collection[TopicPartition], group: str | None
) -> None:
    manager, sender = producer._txn_manager, producer._sender  # noqa: SLF001 - see above
    await producer.begin_transaction()
    for partition in partitions:
        manager.maybe_add_partition_to_txn(partition)
    while manager.partitions_to_add():  # noqa: ASYNC110 - it offers no event
        await asyncio.sleep(_LOOK_INTERVAL_S)
    if group is not None and manager.is_in_transaction():
        while not await sender._do_add_offsets_to_txn(group):  # noqa: SLF001 - same
            pass
    if not manager.is_in_transaction():
        # Fenced meanwhile, by another producer with this id: that is raised, where a commit would only assert.
        await manager.wait_for_transaction_end()
    await producer.commit_transaction()
