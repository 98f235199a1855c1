"""What a service does about each error of the broker and its client: whether it waits, and how it ends otherwise. Pure.

Errors are listed by aiokafka's names; `tests/unit/common/broker_errors/test_kinds.py` fails when one is missing.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto


class ErrorKind(Enum):
    """What a service does about an error."""

    # It reports that it is not ready, and begins new sessions for as long as it takes.
    WAITS = auto()
    # It exits with 78.
    REFUSED = auto()
    # It tries again for a while, because the other side may be about to change; then it exits with 78.
    REFUSED_IF_IT_LASTS = auto()
    # It tries again for a while; then it exits with 1: a defect, or something that no setting controls.
    BROKEN_IF_IT_LASTS = auto()


_NAMES: dict[ErrorKind, str] = {
    # The broker, the network, or another member of the group is changing.
    ErrorKind.WAITS: """
        NoBrokersAvailable NodeNotReadyError KafkaProtocolError CorrelationIdError Cancelled TooManyInFlightRequests
        StaleMetadata MetadataEmptyBrokerList KafkaUnavailableError KafkaTimeoutError KafkaConnectionError KafkaError
        CommitFailedError QuotaViolationError ProducerFenced UnknownError UnknownTopicOrPartitionError
        LeaderNotAvailableError NotLeaderForPartitionError RequestTimedOutError BrokerNotAvailableError
        ReplicaNotAvailableError StaleControllerEpochError StaleLeaderEpochCodeError GroupLoadInProgressError
        GroupCoordinatorNotAvailableError NotCoordinatorForGroupError NotEnoughReplicasError
        NotEnoughReplicasAfterAppendError IllegalGenerationError UnknownMemberIdError RebalanceInProgressError
        NotControllerError InvalidProducerEpoch InvalidProducerIdMapping InvalidTxnState ConcurrentTransactions
        TransactionCoordinatorFenced OutOfOrderSequenceNumber DuplicateSequenceNumber UnknownProducerId
        OperationNotAttempted KafkaStorageError ReassignmentInProgress FetchSessionIdNotFound InvalidFetchSessionEpoch
        ListenerNotFound MemberIdRequired TopicAlreadyExistsError NonEmptyGroup GroupIdNotFound NoError
        BrokerResponseError
    """,
    # A setting, of ours or of a topic, or a permission has to change.
    ErrorKind.REFUSED: """
        MessageSizeTooLargeError RecordListTooLargeError RecordTooLargeError OffsetMetadataTooLargeError
        InvalidCommitOffsetSizeError InvalidTopicError InvalidGroupIdError InvalidSessionTimeoutError
        InvalidTransactionTimeout InvalidTimestampError TopicAuthorizationFailedError GroupAuthorizationFailedError
        ClusterAuthorizationFailedError TransactionalIdAuthorizationFailed InvalidPartitionsError
        InvalidReplicationAssignmentError InvalidConfigurationError PolicyViolationError KafkaConfigurationError
        InvalidRequiredAcksError SecurityDisabled
    """,
    # The same, but passwords are rotated, certificates renewed, brokers added and mechanisms enabled meanwhile.
    ErrorKind.REFUSED_IF_IT_LASTS: """
        AuthenticationMethodNotSupported AuthenticationFailedError SaslAuthenticationFailed
        UnsupportedSaslMechanismError IllegalSaslStateError InvalidReplicationFactorError
        InconsistentGroupProtocolError DelegationTokenAuthDisabled
        DelegationTokenNotFound DelegationTokenOwnerMismatch DelegationTokenRequestNotAllowed
        DelegationTokenAuthorizationFailed DelegationTokenExpired InvalidPrincipalType UnsupportedVersionError
        UnrecognizedBrokerVersion IncompatibleBrokerVersion UnsupportedCodecError UnsupportedForMessageFormatError
    """,
    # Neither a setting nor waiting helps: the topic's log is damaged, or a client or a broker has a defect.
    ErrorKind.BROKEN_IF_IT_LASTS: """
        IllegalStateError IllegalArgumentError NoOffsetForPartitionError OffsetOutOfRangeError CorruptRecordException
        InvalidFetchRequestError InvalidRequestError ProducerClosed ConsumerStoppedError IllegalOperation LogDirNotFound
    """,
}

KINDS: dict[str, ErrorKind] = {name: kind for kind, names in _NAMES.items() for name in names.split()}

_NAME = re.compile(r"[A-Z][A-Za-z]+")
# It says nothing by itself; the error that it wraps does.
_WRAPPER = "KafkaError"
_MOST_CAUSES = 20


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, outermost first."""
    cause: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def root_of(error: BaseException) -> BaseException:
    """The error that decides what to do: aiokafka wraps some in a plain KafkaError."""
    for cause in causes_of(error):
        if type(cause).__name__ in KINDS and type(cause).__name__ != _WRAPPER:
            return cause
    return error


def name_of(error: BaseException) -> str:
    """The name of the error that decides; for one that only quotes another, the other's name."""
    root = root_of(error)
    name = type(root).__name__
    return next(names_in(str(root)), name) if name == _WRAPPER else name


def names_in(text: str) -> Iterator[str]:
    """The errors that a text names."""
    return (name for name in _NAME.findall(text) if name in KINDS and name != _WRAPPER)


def kind_of(error: BaseException) -> ErrorKind:
    """What to do about this error. One that is not Kafka's, as of the network or the disk, is waited for."""
    return KINDS.get(name_of(error), ErrorKind.WAITS)
