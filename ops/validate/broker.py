"""Whether the broker and its topics would accept what the services send. Nothing is created or written."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from msgspec import Struct, field

from common.aiokafka_internals.outages import client_failures_as_outages
from common.batches.record_runs import key_of
from common.errors import ConfigurationError
from common.kafka.clients import open_admin, open_reader
from common.kafka.reading import read_to_end
from common.log.client_warnings import keep_last_warning
from common.pipeline.partitions import partitions_of
from common.pipeline.registry import Registry
from common.pipeline.schema_numbers import Registered
from common.pipeline.start import look_at_pipeline
from common.pipeline.topics import FOR_EVER_MS, RETENTION, FoundTopics, Topics, find_losses, find_misfits, wanted_topics
from common.protocol.identity import NEWEST
from common.protocol.progress import Progress, decode_progress
from common.sessions.diagnosis import diagnose
from common.settings import ServiceSettings
from common.waiting import within
from ops.findings import Finding
from services.ingest.naming.locations import SourceLocation, decode_location

_ANSWER_DEADLINE_S = 5.0
_MS_PER_HOUR = 3_600_000

T = TypeVar("T")


_NOTHING = FoundTopics("", {})


class Broker(Struct, frozen=True):
    """What the broker says: how many brokers there are, and what exists of the pipeline.

    `schemas` are those of earlier runs; by source, `progress` says how far it was read and `locations` which file it
    is. `trouble` says why nothing is known, `denied` what this client may not do.
    """

    brokers: int = 0
    found: FoundTopics = _NOTHING
    schemas: Mapping[str, Registered] = field(default_factory=dict)
    progress: Mapping[str, Progress] = field(default_factory=dict)
    locations: Mapping[str, SourceLocation] = field(default_factory=dict)
    trouble: str = ""
    denied: tuple[str, ...] = ()


async def ask_broker(settings: ServiceSettings) -> Broker:
    """Ask the broker, within seconds. Raises ConfigurationError if the settings are wrong or a record is malformed."""
    keep_last_warning(quiet=True)
    try:
        async with within(_ANSWER_DEADLINE_S, "no answer"), open_admin(settings) as admin:
            with client_failures_as_outages():
                return await _ask(admin, settings)
    except (KafkaError, OSError) as error:
        return Broker(trouble=(await diagnose(error, settings)).reason)


async def _ask(admin: AIOKafkaAdminClient, settings: ServiceSettings) -> Broker:
    brokers = (await admin.describe_cluster())["brokers"]
    topics = Topics.under(settings.topic_prefix)
    registry = Registry(settings, topics)
    try:
        found = await look_at_pipeline(admin, settings, registry, settled_s=0)
    except ConfigurationError as error:
        return Broker(len(brokers), denied=tuple(str(error).splitlines()))
    schemas = await registry.known() if topics.schemas in found.topics else {}
    progress = await _read_progress(settings, topics.progress, found) if topics.progress in found.topics else {}
    locations = await _read_locations(settings, topics.sources, found) if topics.sources in found.topics else {}
    return Broker(len(brokers), found, schemas, progress, locations)


async def _read_progress(settings: ServiceSettings, topic: str, found: FoundTopics) -> dict[str, Progress]:
    known = await _read_latest(settings, topic, found, decode_progress)
    return {each.source: each for each in known.values() if isinstance(each, Progress)}


async def _read_locations(settings: ServiceSettings, topic: str, found: FoundTopics) -> dict[str, SourceLocation]:
    known = await _read_latest(settings, topic, found, decode_location)
    return {source.decode(): location for source, location in known.items()}


async def _read_latest(
    settings: ServiceSettings, topic: str, found: FoundTopics, decode: Callable[[bytes], T]
) -> dict[bytes, T]:
    """The latest value of each key of a compacted topic. Raises ConfigurationError if one is malformed."""
    partitions = partitions_of(topic, found.topics[topic].partitions)
    async with open_reader(settings, "nacre-validate") as reader:
        reader.assign(partitions)
        await reader.seek_to_beginning(*partitions)
        latest = {key_of(record): record.value async for record in read_to_end(reader, *partitions)}
    try:
        return {key: decode(value) for key, value in latest.items()}
    except ValueError as error:
        raise ConfigurationError(f"topic {topic}: a record is {error}") from None


def judge_broker(broker: Broker, settings: ServiceSettings, longest_bytes: int) -> list[Finding]:
    """What on the broker fits the settings and rows of up to `longest_bytes`, and what does not."""
    where = settings.kafka_bootstrap_servers
    if broker.trouble:
        return [Finding(holds=False, text=f"no broker answers at {where}: {broker.trouble}")]
    begun = broker.found.begun
    names = Topics.under(settings.topic_prefix).of_format(NEWEST if begun is None else begun.format)
    plural = "" if broker.brokers == 1 else "s"
    findings = [Finding(holds=True, text=f"{where} answers: {broker.brokers} broker{plural}")]
    misfits = find_losses(broker.found, settings) or find_misfits(broker.found, settings)
    findings += [Finding(holds=False, text=misfit) for misfit in misfits]
    findings += [Finding(holds=False, text=text) for text in broker.denied]
    missing = [name for name in names if name not in broker.found.topics]
    if not misfits and not broker.denied:
        findings.append(Finding(holds=True, text=_topics(settings, len(missing), len(names))))
        findings.append(Finding(holds=True, text=_retention(settings, broker.found)))
    if missing and settings.replication_factor > broker.brokers:
        text = f"topics with REPLICATION_FACTOR={settings.replication_factor} cannot be created on so few brokers"
        findings.append(Finding(holds=False, text=text))
    if not misfits and not broker.denied:
        row = (
            f"the longest row has {longest_bytes:,} bytes of at most {settings.max_row_bytes:,}, and record batches fit"
        )
        findings.append(Finding(holds=True, text=row))
    return findings


def _topics(settings: ServiceSettings, missing: int, of: int) -> str:
    topics = f"{settings.topic_prefix}*"
    if missing == 0:
        return f"all {of} topics {topics} exist, with PARTITIONS={settings.partitions}"
    rest = f"the services create {'them' if missing == of else 'the others'} with PARTITIONS={settings.partitions}"
    return f"{'none' if missing == of else of - missing} of {of} topics {topics} exist; {rest}"


def _retention(settings: ServiceSettings, found: FoundTopics) -> str:
    """How far back a new split or a new OUTPUT_DIR gets rows."""
    rows = Topics.under(settings.topic_prefix).rows
    configs = found.configs.get(rows, wanted_topics(settings)[rows].configs)
    keeps_ms = int(configs.get(RETENTION, str(FOR_EVER_MS)))
    if keeps_ms < 0:
        return f"topic {rows} keeps rows for ever"
    return f"topic {rows} keeps rows for {keeps_ms / _MS_PER_HOUR:g} hours: a new split gets those that are no older"
