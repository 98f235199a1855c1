"""From a command line to a running service and its exit code."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog

from common.batches import loops as batch_loops
from common.counts import Counts
from common.errors import ConfigurationError
from common.kafka.predecessor import Slot
from common.log.setup import set_up_log
from common.process.lifecycle import linger, run_service
from common.process.memory import keep_large_blocks
from common.rows import loops as row_loops
from common.setting import shown
from common.settings_reader import Settings, read_settings

log = structlog.get_logger()


def run(
    service: str,
    model: type[Settings],
    serve: Callable[[Settings, Slot, Counts, asyncio.Event], Awaitable[None]],
    argv: Sequence[str],
    *,
    program: str,
    positional: str | None = None,
) -> int:
    """Read the settings, set up the log, run the service; return its exit code. `program` is what it was called as."""
    try:
        settings = read_settings(model, argv, program=program, positional=positional)
    except ConfigurationError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return linger(error.exit_code, lambda line: sys.stderr.write(f"{program}: {line}\n"))
    keep_large_blocks()
    slot = Slot(settings, service)
    set_up_log(settings, service, slot.replica)
    # Both kinds if only one of the two modules is compiled.
    loops = "+".join(sorted({batch_loops.KIND, row_loops.KIND}))
    # Secret settings print as asterisks.
    log.info("starting", loops=loops, **shown(settings))
    counts = Counts()
    serving: Callable[[asyncio.Event], Awaitable[None]] = partial(serve, settings, slot, counts)
    if settings.http_port:
        # The import takes 30 ms and 3 MiB, so only a service with HTTP_PORT pays for it.
        from common.health.server import with_health  # noqa: PLC0415

        serving = with_health(serving, settings, service, loops, counts)
    return run_service(serving, drain_deadline_s=settings.drain_deadline_s)
