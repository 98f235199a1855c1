"""Whether the broker and its topics would take what the services send. Nothing is created or written."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from common.client_log import keep_last_warning
from common.clients import open_admin
from common.diagnosis import diagnose
from common.refusals import not_allowed
from common.registry import Registered, Registry
from common.settings import ServiceSettings
from common.topics import Topics, find_limits, limit_misfits, partition_misfits
from common.visible_topics import describe_topics, existing_topics, hidden_topics
from common.waiting import within
from ops.demo_proof import Finding

_ANSWER_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class Broker:
    """What a broker says: how many there are, and of the topics that exist their partition counts.

    `batch_limits` are the bytes that a record batch may have, by topic, as far as the broker tells. `schemas` are those
    of an earlier run. `trouble` says why nothing is known, `hidden` are the topics that this client may not see.
    """

    brokers: int = 0
    partitions: Mapping[str, int] = field(default_factory=dict)
    batch_limits: Mapping[str, int] = field(default_factory=dict)
    schemas: Mapping[str, Registered] = field(default_factory=dict)
    trouble: str = ""
    hidden: tuple[str, ...] = ()


async def ask_broker(settings: ServiceSettings) -> Broker:
    """Ask the broker within a few seconds. Raises ConfigurationError where the settings do not let it be asked."""
    keep_last_warning(quiet=True)
    try:
        async with within(_ANSWER_DEADLINE_S, "no answer"), open_admin(settings, asyncio.Event()) as admin:
            return await _ask(admin, settings)
    except (KafkaError, OSError) as error:
        return Broker(trouble=(await diagnose(error, settings)).reason)


async def _ask(admin: AIOKafkaAdminClient, settings: ServiceSettings) -> Broker:
    brokers = (await admin.describe_cluster())["brokers"]
    topics = Topics.under(settings.topic_prefix)
    described = await describe_topics(admin, topics.names)
    existing = existing_topics(described)
    limits = await find_limits(admin, existing)
    schemas = await Registry(settings, topics).known() if topics.schemas in existing else {}
    return Broker(len(brokers), existing, limits, schemas, hidden=tuple(hidden_topics(described)))


def judge_broker(broker: Broker, settings: ServiceSettings, longest_bytes: int) -> list[Finding]:
    """What of the broker fits the settings and rows of at most `longest_bytes`, and what does not."""
    where = settings.kafka_bootstrap_servers
    if broker.trouble:
        return [Finding(holds=False, text=f"no broker answers at {where}: {broker.trouble}")]
    names = Topics.under(settings.topic_prefix).names
    plural = "" if broker.brokers == 1 else "s"
    findings = [Finding(holds=True, text=f"{where} answers: {broker.brokers} broker{plural}")]
    misfits = partition_misfits(broker.partitions, settings)
    findings += [Finding(holds=False, text=misfit) for misfit in misfits]
    findings += [Finding(holds=False, text=not_allowed("Describe", "Topic", name)) for name in broker.hidden]
    missing = [name for name in names if name not in broker.partitions]
    if not misfits and not broker.hidden:
        findings.append(Finding(holds=True, text=_topics(settings, len(missing), len(names))))
    if missing and settings.replication_factor > broker.brokers:
        text = f"topics with REPLICATION_FACTOR={settings.replication_factor} cannot be created on so few brokers"
        findings.append(Finding(holds=False, text=text))
    return [*findings, *_batches(broker, settings, longest_bytes)]


def _topics(settings: ServiceSettings, missing: int, of: int) -> str:
    topics = f"{settings.topic_prefix}*"
    if missing == 0:
        return f"all {of} topics {topics} exist, with PARTITIONS={settings.partitions}"
    rest = f"the services create {'them' if missing == of else 'the others'} with PARTITIONS={settings.partitions}"
    return f"{'none' if missing == of else of - missing} of {of} topics {topics} exist; {rest}"


def _batches(broker: Broker, settings: ServiceSettings, longest_bytes: int) -> list[Finding]:
    misfits = limit_misfits(broker.batch_limits, settings)
    row = f"the longest row has {longest_bytes:,} bytes of at most {settings.max_row_bytes:,}, and record batches fit"
    return [Finding(holds=False, text=misfit) for misfit in misfits] or [Finding(holds=True, text=row)]
