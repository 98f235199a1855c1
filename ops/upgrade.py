"""`nacre upgrade`: let a pipeline that an older version began go on in the newest format, in place.

Services keep the format that a pipeline was begun in, so that older replicas may work beside newer ones. Once all are
new, this command says so, in one record: a kill leaves the pipeline in one format or in the other.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from aiokafka.errors import KafkaError

from common.errors import ConfigurationError, ServiceError
from common.kafka.clients import open_admin
from common.pipeline.registry import Registry
from common.pipeline.start import create_topics, look_at_pipeline
from common.pipeline.topics import FoundTopics, Groups, Topics, find_losses, find_misfits
from common.protocol.identity import NEWEST, Identity
from common.sessions.diagnosis import diagnose
from common.settings import ServiceSettings
from common.settings_reader import Parser, read_settings
from ops.command_line import keep_clients_quiet, write_out
from ops.groups import check_at_rest

_PROGRAM = "nacre upgrade"
_ANSWER_DEADLINE_S = 60.0


def main(argv: list[str]) -> int:
    """Run the command; return 0 if the pipeline is in the newest format now, 78 for a wrong setting, else 1."""
    keep_clients_quiet()
    try:
        _parser().parse_args(argv)
        settings = read_settings(ServiceSettings, [], program=_PROGRAM)
        before = asyncio.run(_run(settings))
    except ServiceError as error:
        sys.stderr.write("".join(f"{_PROGRAM}: {line}\n" for line in str(error).splitlines()))
        return error.exit_code
    pipeline = f"{settings.topic_prefix}*"
    if before == NEWEST:
        write_out(f"{pipeline} is in format {NEWEST} already\n")
    else:
        write_out(f"{pipeline} is in format {NEWEST} from now on: start the services, all of this version\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    return Parser(
        prog=_PROGRAM,
        description="Let the pipeline of TOPIC_PREFIX go on in the newest format. Stop all services first, and start "
        "none of an older version after that: it refuses. Sources that are new have receipts from then on.",
        examples=("nacre upgrade",),
    )


async def _run(settings: ServiceSettings) -> int:
    """Upgrade; return the format that the pipeline had."""
    try:
        async with asyncio.timeout(_ANSWER_DEADLINE_S):
            return await _upgrade(settings)
    except (KafkaError, OSError) as error:
        raise ServiceError((await diagnose(error, settings)).reason) from error


async def _upgrade(settings: ServiceSettings) -> int:
    registry = Registry(settings, Topics.under(settings.topic_prefix))
    async with open_admin(settings) as admin:
        begun = _check(await look_at_pipeline(admin, settings, registry, settled_s=0), settings)
        if begun.format == NEWEST:
            return NEWEST
        groups = Groups.under(settings.topic_prefix)
        for service, group in (("ingest", groups.ingest), ("split", groups.split), ("sink", groups.sink)):
            await check_at_rest(admin, service, group)
        now = await create_topics(admin, settings, registry, _missing(registry.topics, begun))
        await registry.upgrade(now.identity(begun.partitions))
    return begun.format


def _check(found: FoundTopics, settings: ServiceSettings) -> Identity:
    """What the pipeline was begun with. ServiceError, ConfigurationError if it cannot go on as it is."""
    if losses := find_losses(found, settings):
        raise ServiceError("\n".join(losses))
    if misfits := find_misfits(found, settings):
        raise ConfigurationError("\n".join(misfits))
    if found.begun is None:
        raise ConfigurationError(f"nothing is begun under TOPIC_PREFIX={settings.topic_prefix}: is it right?")
    return found.begun


def _missing(topics: Topics, begun: Identity) -> Sequence[str]:
    return [name for name in topics.of_format(NEWEST) if name not in begun.topics]
