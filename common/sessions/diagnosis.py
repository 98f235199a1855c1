"""Why a session with the broker has ended, in one line, and whether waiting mends that."""

from collections import defaultdict
from collections.abc import Mapping

from msgspec import Struct

from common.aiokafka_internals.connection_failures import connection_failures
from common.broker_errors.connection_causes import Access, Cause, ProbeResult, cause_of, needs_a_look
from common.broker_errors.kinds import KINDS, ErrorKind, kind_of, name_of, names_in, root_of
from common.broker_errors.refusals import BOUNDS, refusal
from common.connection.arguments import connection
from common.log.client_warnings import last_warning
from common.sessions.broker_limits import ask_broker_for
from common.sessions.listener_probe import Listener, probe_listener
from common.settings import ServiceSettings

_Address = tuple[str, int]

# Errors whose cause may be a failed connection.
_UNREACHABLE = frozenset(
    {
        *("KafkaError", "KafkaConnectionError", "NodeNotReadyError", "StaleMetadata", "NoBrokersAvailable"),
        *("MetadataEmptyBrokerList", "KafkaUnavailableError", "KafkaTimeoutError", "RequestTimedOutError"),
        *("TimeoutError", "CorrelationIdError", "KafkaProtocolError"),
    }
)
# What an error's own text does not say.
_HINTS = {
    "GroupCoordinatorNotAvailableError": "the broker has no coordinator now: it is starting, or its topics "
    "__consumer_offsets and __transaction_state lack replicas (offsets.topic.replication.factor, "
    "transaction.state.log.replication.factor, transaction.state.log.min.isr)",
    "InvalidProducerIdMapping": "a broker forgets a producer after transactional.id.expiration.ms, a week by default, "
    "without a row: another takes its place",
}
_SECRET = "***"  # noqa: S105 - in place of one


class Diagnosis(Struct, frozen=True):
    """What to do about an error, and its reason."""

    kind: ErrorKind
    reason: str
    # The same for all reasons of one cause, such as the many paths on one full disk; "" if the reason identifies it.
    cause: str = ""


async def diagnose(error: BaseException, settings: ServiceSettings) -> Diagnosis:
    """Find the cause, asking the network and the broker where the error alone does not show it."""
    name = name_of(error)
    if name in _UNREACHABLE or isinstance(error, ConnectionError):
        diagnosis = await _of_connections(error, settings)
    elif name in KINDS and kind_of(error) is not ErrorKind.WAITS:
        bounds = await ask_broker_for(BOUNDS.get(name, ()), settings)
        diagnosis = Diagnosis(kind_of(error), refusal(error, settings, bounds))
    else:
        diagnosis = Diagnosis(ErrorKind.WAITS, _with_hint(_text(root_of(error))))
    reason = _without_secrets(" ".join(diagnosis.reason.split()), settings)
    return Diagnosis(diagnosis.kind, reason, _cause_on_disk(error))


def _cause_on_disk(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError | TimeoutError):
        return f"{type(error).__name__} {error.errno}"
    return ""


async def _of_connections(error: BaseException, settings: ServiceSettings) -> Diagnosis:
    failures = connection_failures()
    # If none has failed, brokers accept connections and close them, or have gone this moment.
    looked_at = failures or dict.fromkeys(settings.servers)
    found = [(address, await _cause(address, failure, settings)) for address, failure in looked_at.items()]
    causes = {address: cause for address, cause in found if cause is not None}
    if not causes:
        warning = last_warning()
        text = f"{_text(error)}; the client's last warning: {warning}" if warning else _text(error)
        return Diagnosis(ErrorKind.WAITS, _with_hint(text))
    # What had not come in time, where that is known.
    waited = f"{error}; " if isinstance(error, TimeoutError) and str(error) else ""
    is_refused = any(not cause.may_pass for cause in causes.values())
    return Diagnosis(
        ErrorKind.REFUSED_IF_IT_LASTS if is_refused else ErrorKind.WAITS, waited + _one_line(causes, settings)
    )


async def _cause(address: _Address, failure: BaseException | None, settings: ServiceSettings) -> Cause | None:
    """Why this address cannot be used; None if it can be. `failure` is None if no connection to it has failed."""
    access = _access_of(settings)
    if not needs_a_look(failure):
        return cause_of(failure, access, ProbeResult())
    listener = await probe_listener(*address, connection(settings).get("ssl_context"))
    is_used_right = listener.is_kafka and bool(listener.mechanisms) == access.has_sasl
    if failure is None and is_used_right:
        return None
    otherwise = await probe_listener(*address, None) if access.has_tls and not listener.is_kafka else Listener()
    if failure is None or isinstance(failure, TimeoutError):
        # Something other than Kafka may send what aiokafka takes for the beginning of a long answer.
        failure = listener.failure or failure
    return cause_of(failure, access, ProbeResult(listener.is_kafka, listener.mechanisms, otherwise.is_kafka))


def _access_of(settings: ServiceSettings) -> Access:
    """How the settings say to connect to brokers."""
    return Access(
        settings.kafka_security_protocol,
        settings.kafka_sasl_mechanism,
        settings.kafka_sasl_username or "",
        settings.kafka_ssl_ca_location is not None,
    )


def _one_line(causes: Mapping[_Address, Cause], settings: ServiceSettings) -> str:
    """One line for all addresses, each cause once."""
    servers = settings.servers
    by_text: defaultdict[str, list[str]] = defaultdict(list)
    for (host, port), cause in sorted(causes.items()):
        advertised = "" if (host, port) in servers else ", which a broker advertises (advertised.listeners)"
        by_text[cause.text].append(f"{host}:{port}{advertised}")
    return "; ".join(f"cannot connect to {' and '.join(places)}: {text}" for text, places in by_text.items())


def _with_hint(text: str) -> str:
    return ": ".join([text, *(_HINTS[name] for name in dict.fromkeys(names_in(text)) if name in _HINTS)])


def _text(error: BaseException) -> str:
    """As Python shows it, without the name twice."""
    name, text = type(error).__name__, str(error)
    return text if name in text else f"{name}: {text}".strip(": ")


def _without_secrets(text: str, settings: ServiceSettings) -> str:
    """The text without the password, which a library or a broker may quote."""
    secret = connection(settings).get("sasl_plain_password")
    return text.replace(secret, _SECRET) if secret else text
