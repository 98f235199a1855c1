"""What a broker refuses, in one line that names the setting, the resource and the limit, and says what to do. Pure."""

from collections.abc import Mapping

from common.broker_errors.kinds import name_of, root_of
from common.errors import ConfigurationError, RecordTooLargeError
from common.settings import ServiceSettings

# Kafka's kinds of resources, by their names in its tools.
TOPIC, GROUP, TRANSACTIONAL_ID = "Topic", "Group", "TransactionalId"

# The broker's settings whose values explain a refusal, by the name of its error.
BOUNDS: Mapping[str, tuple[str, ...]] = {
    "InvalidTransactionTimeout": ("transaction.max.timeout.ms",),
    "InvalidSessionTimeoutError": ("group.min.session.timeout.ms", "group.max.session.timeout.ms"),
}
# The permission to name for each error. Read and Write include Describe, which may be all that was needed.
_RESOURCES = {
    "TopicAuthorizationFailedError": ("Read", TOPIC),
    "GroupAuthorizationFailedError": ("Read", GROUP),
    "TransactionalIdAuthorizationFailed": ("Write", TRANSACTIONAL_ID),
    "ClusterAuthorizationFailedError": ("Create", "Cluster"),
}


def not_allowed(operation: str, resource: str, *names: str) -> str:
    """Say which permission this user lacks, and what to do."""
    shown = f"{operation} on {resource} {', '.join(names)}".rstrip()
    return f"not allowed: {shown}: grant it (`nacre acls` prints how)"


def refusal_of_records(error: BaseException, topic: str) -> ConfigurationError | None:
    """The refusal of records sent to a topic; None for any other error."""
    match name_of(error):
        case "MessageSizeTooLargeError" | "RecordListTooLargeError":
            return RecordTooLargeError(
                f"topic {topic} refuses a record batch for its size: set its max.message.bytes and segment.bytes "
                "higher, or MAX_ROW_BYTES lower"
            )
        case "InvalidTimestampError":
            return ConfigurationError(
                f"topic {topic} refuses the time of the records, which is this machine's: correct its clock, or set "
                "the topic's message.timestamp.before.max.ms and message.timestamp.after.max.ms higher"
            )
        case "TopicAuthorizationFailedError":
            return ConfigurationError(not_allowed("Write", TOPIC, topic))
    return None


def creation_error(name: str, error: Exception, reason: str | None, settings: ServiceSettings) -> Exception:
    """The error to raise when a topic cannot be created; `reason` is the broker's text, None where it gives none."""
    why = f": {reason.strip().rstrip('.')}" if reason and reason.strip() else ""
    with_settings = f"REPLICATION_FACTOR={settings.replication_factor}, PARTITIONS={settings.partitions}"
    match name_of(error):
        case "TopicAuthorizationFailedError" | "ClusterAuthorizationFailedError":
            lacking = not_allowed("Create", TOPIC, name)
            return ConfigurationError(f"topic {name} does not exist and cannot be created: {lacking}")
        case "InvalidReplicationFactorError":
            # Not a refusal yet: more brokers may be about to join.
            return type(error)(f"topic {name} cannot be created with {with_settings}{why}")
        case "InvalidPartitionsError" | "PolicyViolationError" | "InvalidConfigurationError" | "InvalidTopicError":
            return ConfigurationError(f"topic {name} cannot be created with {with_settings}{why}")
    return error


def refusal(error: BaseException, settings: ServiceSettings, bounds: Mapping[str, str]) -> str:
    """Any other refusal, in one line; `bounds` are the broker's settings, as far as it gives them."""
    name = name_of(error)
    if name in _RESOURCES:
        operation, resource = _RESOURCES[name]
        # The broker does not always say which one.
        return not_allowed(operation, resource, _names_in(root_of(error)) or f"{settings.topic_prefix}*")
    limits = ", ".join(f"{bound}={bounds[bound]}" if bound in bounds else bound for bound in BOUNDS.get(name, ()))
    reason = str(error) or repr(error)
    match name:
        case "InvalidTransactionTimeout":
            reason = (
                f"TRANSACTION_TIMEOUT_S={settings.transaction_timeout_s:g} is more than the broker takes ({limits})"
            )
        case "InvalidSessionTimeoutError":
            reason = f"SESSION_TIMEOUT_S={settings.session_timeout_s:g} is outside the broker's bounds ({limits})"
        case "OffsetMetadataTooLargeError" | "InvalidCommitOffsetSizeError":
            reason = f"the broker's offset.metadata.max.bytes is less than what is committed beside an offset: {reason}"
        case "InconsistentGroupProtocolError":
            reason = f"a group under TOPIC_PREFIX={settings.topic_prefix} has members that are not Nacre's: {reason}"
        case "InvalidReplicationFactorError":
            reason = _names_in(root_of(error))
        case "UnsupportedVersionError" | "IncompatibleBrokerVersion" | "UnrecognizedBrokerVersion":
            reason = f"the broker's version is not supported: {reason}"
    return reason


def _names_in(error: BaseException) -> str:
    """The topics, the group or the id that an aiokafka error holds."""
    named: list[str] = []
    for argument in error.args:
        if isinstance(argument, set | frozenset | list | tuple):
            named += sorted(map(str, argument))
        else:
            named.append(str(argument))
    return ", ".join(named)
