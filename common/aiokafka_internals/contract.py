"""The version of aiokafka that this project is made for, and every private name of it that Nacre uses or replaces.

Private is whatever its documentation does not promise: names with an underscore, and modules that it does not describe.
`tests/unit/common/aiokafka_internals/test_contract.py` compares the list with the aiokafka that is installed, and with
the source.
"""

import aiokafka
from msgspec import Struct

from common.errors import ConfigurationError

MADE_FOR = "0.14"


def check_aiokafka_version() -> None:
    """Raise ConfigurationError for another version of aiokafka: names that are replaced in it may be gone."""
    if aiokafka.__version__.split(".")[:2] != MADE_FOR.split("."):
        raise ConfigurationError(
            f"aiokafka {aiokafka.__version__} is installed, and this version of Nacre is made for {MADE_FOR}: "
            f"pip install 'aiokafka=={MADE_FOR}.*'"
        )


class Name(Struct, frozen=True):
    """A private name: its path, as `module`, `module:class` or `module:class.attribute`, and what it is used for.

    `signature` has the parameters of a function that is called or replaced: `=` marks a default, and more may follow
    `…`. None where it is enough that the name exists.
    """

    path: str
    purpose: str
    signature: str | None = None


_CLIENT = "aiokafka.client:AIOKafkaClient"
_CONNECTION = "aiokafka.conn:AIOKafkaConnection"
_FETCHER = "aiokafka.consumer.fetcher"
_BATCH = "aiokafka.producer.message_accumulator:BatchBuilder"
_TRANSACTION = "aiokafka.producer.transaction_manager:TransactionManager"
_TYPES = "aiokafka.protocol.types"

# Classes and module attributes that are replaced.
REPLACED = (
    Name("aiokafka.client:create_conn", "keeps why a connection failed, and those that are open", "host, port, …"),
    Name(f"{_CLIENT}.send", "lost connections; offsets beside fetches", "self, node_id, request, *, group="),
    Name(f"{_CLIENT}.coordinator_lookup", "fails without brokers", "self, coordinator_type, coordinator_key"),
    Name(f"{_CLIENT}._metadata_update", "does not repeat itself without a pause", "self, cluster_metadata, topics"),
    Name(f"{_CONNECTION}.send", "refused writes, sessions that end", "self, request, expect_response="),
    Name("aiokafka.conn:AIOKafkaProtocol", "keeps an answer's pieces as they come"),
    Name(f"{_CONNECTION}._do_sasl_handshake", "keeps how long a session lasts", "self"),
    Name(f"{_CONNECTION}._read", "joins an answer's pieces once", "self_ref"),
    Name(f"{_CONNECTION}.authenticator_oauth", "sees that a token is refused", "self"),
    Name(f"{_FETCHER}:MemoryRecords", "keeps its bytes"),
    Name(
        f"{_FETCHER}:PartitionRecords",
        "hands out whole batches",
        "tp, records, aborted_transactions, fetch_offset, key_deserializer, value_deserializer, check_crcs, "
        "isolation_level",
    ),
    Name(
        f"{_FETCHER}:Fetcher._proc_fetch_request",
        "does not repeat itself without a pause",
        "self, assignment, node_id, request",
    ),
    Name("aiokafka.producer.sender:Sender.start", "a question before it settles a predecessor", "self"),
    Name("aiokafka.protocol.admin:SaslAuthenticateRequest._CLASSES", "their texts show no password"),
    Name("aiokafka.protocol.metadata:MetadataRequest.build", "creates no topic", "self, request_struct_class"),
    Name("aiokafka.protocol.produce:ProduceRequest._CLASSES", "their bytes are joined in one step"),
)

# Base classes of ours, with the names that aiokafka calls or ours rely on.
SUBCLASSED = (
    Name("aiokafka.conn:AIOKafkaProtocol.connection_lost", "nothing more comes", "self, exc"),
    Name("aiokafka.conn:OAuthAuthenticator", "sees that a token is refused", "*, sasl_oauth_token_provider"),
    Name("aiokafka.conn:OAuthAuthenticator._sasl_oauth_token_provider", "learns that its token is refused"),
    Name("aiokafka.conn:OAuthAuthenticator.step", "the token, then the refusal", "self, payload"),
    Name(f"{_FETCHER}:MemoryRecords.has_next", "asked by PartitionRecords"),
    Name(f"{_FETCHER}:MemoryRecords.next_batch", "asked by PartitionRecords"),
    Name(f"{_FETCHER}:PartitionRecords._consumer_record", "turns a batch into what is handed out", "self, tp, record"),
    Name(f"{_FETCHER}:PartitionRecords.next_fetch_offset", "where a batch is read from"),
    Name(_BATCH, "what the producer sends", "batch_size, compression_type, *, …"),
    Name(f"{_BATCH}._build", "the batch's bytes", "self"),
    Name(f"{_BATCH}._closed", "whether more records are taken"),
    Name(f"{_BATCH}._set_producer_state", "id, epoch and sequence", "self, producer_id, producer_epoch, base_sequence"),
    Name(f"{_BATCH}.append", "one record", "self, *, timestamp, key, value, headers="),
    Name(f"{_BATCH}.close", "no more records", "self"),
    Name(f"{_BATCH}.closed", "whether more records are taken", "self"),
    Name(f"{_BATCH}.record_count", "by which the sequence goes on", "self"),
    Name(f"{_BATCH}.size", "bytes so far", "self"),
    Name("aiokafka.protocol.abstract:AbstractType", "a type that the protocol module lacks"),
    Name("aiokafka.protocol.api:Request.build", "requests that aiokafka lacks", "self, request_struct_class"),
    Name("aiokafka.protocol.api:Request", "requests that aiokafka lacks"),
    Name("aiokafka.protocol.api:RequestStruct", "requests that aiokafka lacks"),
    Name("aiokafka.protocol.api:Response", "answers that aiokafka lacks"),
)

# Attributes that are read, and functions that are called.
USED = (
    Name("aiokafka:AIOKafkaConsumer._client", "metadata, topics, its close"),
    Name("aiokafka:AIOKafkaConsumer._coordinator", "whether its task goes on"),
    Name("aiokafka:AIOKafkaConsumer._fetcher", "whether its task goes on"),
    Name(f"{_FETCHER}:Fetcher._isolation_level", "asks to where a partition is written"),
    Name("aiokafka:AIOKafkaProducer._sender", "its second step, and offsets without a record"),
    Name("aiokafka:AIOKafkaProducer._txn_manager", "the producer's id, and partitions without a record"),
    Name("aiokafka:AIOKafkaProducer.client", "requests that the producer lacks"),
    Name("aiokafka.admin:AIOKafkaAdminClient._client", "requests that the admin client lacks"),
    Name(_CLIENT, "requests of our own"),
    Name(f"{_CLIENT}._conns", "whether a connection is gone"),
    Name(f"{_CLIENT}._sync_task", "whether it is connected, and goes on"),
    Name(f"{_CLIENT}.close", "closes what stop() left open", "self"),
    Name(f"{_CLIENT}.cluster", "which broker leads a partition"),
    Name(f"{_CLIENT}.force_metadata_update", "the least that can be asked for", "self"),
    Name(f"{_CLIENT}.get_random_node", "any broker", "self"),
    Name(f"{_CLIENT}.add_topic", "topics that a consumer does not subscribe to", "self, topic"),
    Name("aiokafka.client:ConnectionGroup.COORDINATION", "the connection to a coordinator"),
    Name("aiokafka.client:ConnectionGroup.DEFAULT", "any other connection"),
    Name("aiokafka.client:CoordinationType.GROUP", "a group's coordinator"),
    Name("aiokafka.client:CoordinationType.TRANSACTION", "a transactional id's coordinator"),
    Name("aiokafka.conn:CloseReason.AUTH_FAILURE", "a handshake that failed"),
    Name("aiokafka.conn:CloseReason.CONNECTION_BROKEN", "a write that was refused"),
    Name(f"{_CONNECTION}._last_action", "when a broker last answered"),
    Name(f"{_CONNECTION}._requests", "whether a question would wait behind a fetch, or a broker owes an answer"),
    Name(f"{_CONNECTION}._sasl_oauth_token_provider", "the credentials that the settings name"),
    Name(f"{_CONNECTION}._sasl_plain_password", "a password that has changed"),
    Name(f"{_CONNECTION}._handle_frame", "an answer that is whole", "self, resp"),
    Name(f"{_CONNECTION}._protocol", "what keeps an answer's pieces"),
    Name(f"{_CONNECTION}.close", "closes what is broken", "self, reason=, exc="),
    Name(f"{_CONNECTION}.connected", "whether a handshake makes sense, or an answer may come", "self"),
    Name(f"{_CONNECTION}.host", "the broker, for the message"),
    Name(f"{_CONNECTION}.port", "the broker, for the message"),
    Name(f"{_FETCHER}:Fetcher._fetch_max_wait_ms", "whether an answer came too soon"),
    Name(f"{_FETCHER}:Fetcher.error_future", "whether its task goes on"),
    Name("aiokafka.consumer.group_coordinator:GroupCoordinator._coordination_task", "whether it goes on"),
    Name("aiokafka.consumer.group_coordinator:GroupCoordinator.check_errors", "what it has ended with", "self"),
    Name("aiokafka.producer.sender:Sender._do_add_offsets_to_txn", "offsets without a record", "self, group_id"),
    Name(f"{_TRANSACTION}.is_in_transaction", "whether it was fenced meanwhile", "self"),
    Name(f"{_TRANSACTION}.maybe_add_partition_to_txn", "a partition without a record", "self, tp"),
    Name(f"{_TRANSACTION}.partitions_to_add", "whether the partitions are added", "self"),
    Name(f"{_TRANSACTION}.producer_id", "whose transactions are open"),
    Name(f"{_TRANSACTION}.wait_for_transaction_end", "what has fenced it", "self"),
    Name(
        "aiokafka.protocol.admin:CreateAclsRequest",
        "nacre acls --apply",
        "resource_type, resource_name, resource_pattern_type_filter, principal, host, operation, permission_type",
    ),
    Name("aiokafka.protocol.admin:DescribeGroupsRequest_v3.SCHEMA", "what this user may do with a group"),
    Name("aiokafka.protocol.admin:DescribeGroupsResponse_v3", "what this user may do with a group"),
    Name("aiokafka.protocol.admin:SaslAuthenticateRequest", "recognized among other requests"),
    Name("aiokafka.protocol.group:LeaveGroupRequest", "removes a dead member", "group, member_id"),
    Name("aiokafka.protocol.metadata:MetadataRequest", "brokers from before topic ids", "topics=, …"),
    Name("aiokafka.protocol.metadata:MetadataRequest._topics", "which topics it asks about"),
    Name("aiokafka.protocol.offset:OffsetRequest", "recognized among other requests"),
    Name("aiokafka.protocol.produce:ProduceRequest", "written in one step"),
    *(
        Name(f"{_TYPES}:{kind}", "the layout of requests of our own")
        for kind in (
            "Array",
            "Boolean",
            "Bytes",
            "CompactArray",
            "CompactString",
            "Int16",
            "Int32",
            "Int64",
            "Schema",
            "TaggedFields",
        )
    ),
    Name(f"{_TYPES}:Array.array_of", "the layout of a produce request"),
    Name(f"{_TYPES}:Schema.fields", "the layout of a produce request"),
    Name(f"{_TYPES}:Schema.names", "the layout of a produce request"),
)

# Functions of bytes, and what an assignor is made of: used outside this package as well.
ELSEWHERE = (
    *(Name(f"aiokafka.codec:{codec}_{way}", "compressed record batches")
      for codec in ("gzip", "lz4", "zstd") for way in ("decode", "encode")),
    Name("aiokafka.codec:snappy_decode", "compressed record batches"),
    Name("aiokafka.cluster:ClusterMetadata", "an assignor's argument"),
    Name("aiokafka.coordinator.assignors.abstract:AbstractPartitionAssignor", "assignors of our own"),
    Name("aiokafka.coordinator.assignors.roundrobin:RoundRobinPartitionAssignor", "assignors of our own"),
    Name("aiokafka.coordinator.protocol:ConsumerProtocolMemberAssignment", "what an assignor gives"),
    Name("aiokafka.coordinator.protocol:ConsumerProtocolMemberMetadata", "what an assignor is given"),
    Name("aiokafka.partitioner:murmur2", "Kafka's default partitioner", "data"),
    Name("aiokafka.record.default_records:DefaultRecordBatch", "record batches, without compiled code"),
    Name("aiokafka.record.util:calc_crc32c", "checksums, without compiled code"),
    Name("aiokafka.record.util:encode_varint", "the numbers in a record"),
    Name("aiokafka.record.util:size_of_varint", "the numbers in a record"),
)  # fmt: skip

CONTRACT = (*REPLACED, *SUBCLASSED, *USED, *ELSEWHERE)
