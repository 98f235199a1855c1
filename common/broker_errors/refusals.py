"""What a broker refuses, in a line that names the setting, the resource and the limit, and says what to do."""

from collections.abc import Mapping

from common.broker_errors.kinds import name_of, root_of
from common.errors import ConfigurationError, RecordTooLargeError
from common.settings import ServiceSettings

# Kafka's kinds of resources, by their names in its tools.
TOPIC, GROUP, TRANSACTIONAL_ID = "Topic", "Group", "TransactionalId"

# The broker's settings whose values explain a refusal, where it tells them.
BOUNDS: Mapping[str, tuple[str, ...]] = {
    "InvalidTransactionTimeout": ("transaction.max.timeout.ms",),
    "InvalidSessionTimeoutError": ("group.min.session.timeout.ms", "group.max.session.timeout.ms"),
}
# Read and Write include Describe, which may be all that was asked for.
_RESOURCES = {
    "TopicAuthorizationFailedError": ("Read", TOPIC),
    "GroupAuthorizationFailedError": ("Read", GROUP),
    "TransactionalIdAuthorizationFailed": ("Write", TRANSACTIONAL_ID),
    "ClusterAuthorizationFailedError": ("Create", "Cluster"),
}


def not_allowed(operation: str, resource: str, *names: str) -> str:
    """That this user may not do this, and what to do."""
    shown = f"{operation} on {resource} {', '.join(names)}".rstrip()
    return f"not allowed: {shown}: grant it (`nacre acls` prints how)"


def refusal_of_records(error: BaseException, topic: str) -> ConfigurationError | None:
    """The refusal of records on their way into a topic; None for an error that is none."""
    match name_of(error):
        case "MessageSizeTooLargeError" | "RecordListTooLargeError":
            return RecordTooLargeError(
                f"topic {topic} refuses a record batch for its size: set its max.message.bytes and segment.bytes "
                "higher, or MAX_ROW_BYTES lower"
            )
        case "InvalidTimestampError":
            return ConfigurationError(
                f"topic {topic} refuses the time of the records, which is this machine's: mend its clock, or set the "
                "topic's message.timestamp.before.max.ms and message.timestamp.after.max.ms higher"
            )
        case "TopicAuthorizationFailedError":
            return ConfigurationError(not_allowed("Write", TOPIC, topic))
    return None


def creation_error(name: str, error: Exception, told: str | None, settings: ServiceSettings) -> Exception:
    """What to raise where a topic cannot be created; `told` is what the broker says about it."""
    told = f": {told.strip().rstrip('.')}" if told and told.strip() else ""
    with_settings = f"REPLICATION_FACTOR={settings.replication_factor}, PARTITIONS={settings.partitions}"
    match name_of(error):
        case "TopicAuthorizationFailedError" | "ClusterAuthorizationFailedError":
            return ConfigurationError(f"topic {name} does not exist and cannot be created: " + _create_on(name))
        case "InvalidReplicationFactorError":
            # Not at once a refusal: more brokers may be about to come.
            return type(error)(f"topic {name} cannot be created with {with_settings}{told}")
        case "InvalidPartitionsError" | "PolicyViolationError" | "InvalidConfigurationError" | "InvalidTopicError":
            return ConfigurationError(f"topic {name} cannot be created with {with_settings}{told}")
    return error


def _create_on(name: str) -> str:
    return not_allowed("Create", "Topic", name)


def refusal(error: BaseException, settings: ServiceSettings, bounds: Mapping[str, str]) -> str:
    """Any other refusal, in one line; `bounds` are the broker's settings as far as it tells them."""
    name = name_of(error)
    if name in _RESOURCES:
        operation, resource = _RESOURCES[name]
        return not_allowed(operation, resource, _names_in(root_of(error)))
    limits = ", ".join(f"{bound}={bounds[bound]}" if bound in bounds else bound for bound in BOUNDS.get(name, ()))
    told = str(error) or repr(error)
    match name:
        case "InvalidTransactionTimeout":
            told = f"TRANSACTION_TIMEOUT_S={settings.transaction_timeout_s:g} is more than the broker takes ({limits})"
        case "InvalidSessionTimeoutError":
            told = f"SESSION_TIMEOUT_S={settings.session_timeout_s:g} is out of the broker's bounds ({limits})"
        case "OffsetMetadataTooLargeError" | "InvalidCommitOffsetSizeError":
            told = f"offset.metadata.max.bytes of the broker is less than what is committed beside an offset: {told}"
        case "InconsistentGroupProtocolError":
            told = f"a group under TOPIC_PREFIX={settings.topic_prefix} has members that are not Nacre's: {told}"
        case "InvalidReplicationFactorError":
            told = _names_in(root_of(error))
        case "UnsupportedVersionError" | "IncompatibleBrokerVersion" | "UnrecognizedBrokerVersion":
            told = f"the broker's version does not fit: {told}"
    return told


def _names_in(error: BaseException) -> str:
    """The topics, the group or the id that an error of aiokafka holds."""
    named: list[str] = []
    for argument in error.args:
        if isinstance(argument, set | frozenset | list | tuple):
            named += sorted(map(str, argument))
        else:
            named.append(str(argument))
    return ", ".join(named)
