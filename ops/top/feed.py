"""Looking from a thread of its own: a broker that hangs holds up neither the keys nor the end."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import aclosing

from common.settings import ServiceSettings
from ops.status.look_options import LookOptions
from ops.view.view import Trouble, View
from ops.view.watching import views


def watch_in_background(
    settings: ServiceSettings,
    options: LookOptions,
    show: Callable[[View | Trouble], object],
    give_up: Callable[[Exception], object],
) -> None:
    """Call `show` with each view, or `give_up` once with the ServiceError, or the defect, that ends the looking.

    Both are called from the other thread, which ends with the process.
    """

    async def watch() -> None:
        try:
            async with aclosing(views(settings, options)) as found:
                async for each in found:
                    show(each)
        except Exception as error:  # noqa: BLE001 - it is raised again where someone sees it
            give_up(error)

    threading.Thread(target=lambda: asyncio.run(watch()), name="looking", daemon=True).start()
