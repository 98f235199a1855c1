"""One pipeline fills one folder: a sink that has another one gives up."""

import asyncio
from typing import NoReturn

from common.errors import ConfigurationError
from common.kafka.assignors import KindAssignor
from services.sink.settings import SinkSettings

_LOOK_INTERVAL_S = 0.2
_PATIENCE_S = 2.0


async def refuse_another_folder(settings: SinkSettings, assignor: KindAssignor) -> NoReturn:
    """Raise ConfigurationError if other sinks of this pipeline keep filling another folder.

    They get as long as the group may take a dead sink for alive, and a little more.
    """
    clock = asyncio.get_running_loop().time
    since = clock()
    while True:
        await asyncio.sleep(_LOOK_INTERVAL_S)
        if (reason := assignor.standing_by) is None:
            since = clock()
        elif clock() - since > settings.session_timeout_s + _PATIENCE_S:
            raise ConfigurationError(reason.replace("it waits until they are gone", "one pipeline fills one folder"))
