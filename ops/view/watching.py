"""Looking at a pipeline again and again, for those that show it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec.structs import replace

from common.settings import ServiceSettings
from ops.status.look_options import LookOptions
from ops.status.observing import Observer
from ops.status.watching import Trouble, looks
from ops.view.gathering import view_of
from ops.view.ledgers import LedgerReader
from ops.view.view import View


async def views(settings: ServiceSettings, options: LookOptions) -> AsyncGenerator[View | Trouble, None]:
    """Yield views, or why there are none, whatever becomes of the broker; use it with `aclosing`.

    Raises ServiceError for what waiting does not mend, and never ends otherwise. Each view is shown before the next
    look, and both together take at most 5 % of a core.
    """
    reader = LedgerReader()
    observer = Observer(settings, options.output_dir, options.settle_s, reader)
    async with aclosing(looks(settings, observer, options.interval_s)) as seen:
        async for each in seen:
            if isinstance(each, Trouble):
                yield each
            else:
                at_hand = each.observation.rows_in_files is not None
                found = view_of(each.figures, each.observation, reader.latest if at_hand else None)
                yield replace(found, ledgers_trouble=each.observation.ledgers_trouble or reader.trouble)
