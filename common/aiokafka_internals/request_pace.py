"""A pause before aiokafka repeats a request whose answer was of no use.

The fetcher and the sender of aiokafka 0.14 ask for metadata while a partition has no leader, and ask again as soon as
the answer has come (no upstream issue known). A broker that shuts down cleanly gives up its leaderships first: each
client is then refused thousands of times a second, and burns a core while the broker is away. The fetcher also repeats
at once a fetch that a broker answers with an error (aiokafka issue 1155). Java's client waits `retry.backoff.ms` in
both cases.
"""

import asyncio
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher

log = structlog.get_logger()

# So many in a row do not wait: a start and a change of leaders need some, and must not become slower.
_FREE = 5
_PAUSE_S = 0.1
# A broker's return is noticed after this time at the latest.
_LONGEST_PAUSE_S = 0.25
# A client that has sent no request for so long is not in a loop.
_REST_S = 1.0

_metadata_update = AIOKafkaClient._metadata_update  # noqa: SLF001 - every metadata request passes here
_proc_fetch_request = Fetcher._proc_fetch_request  # noqa: SLF001 - every fetch passes here


class RequestPace:
    """Counts requests in a row, and decides how long to wait before the next."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._failed = 0
        self._ended_at = 0.0

    def pause_s(self, now: float) -> float:
        """How long to wait before the next request; `now` is a time of the loop."""
        if now - self._ended_at > _REST_S:
            self._in_a_row = self._failed = 0
        if self._failed:
            return float(min(_PAUSE_S * 2 ** (self._failed - 1), _LONGEST_PAUSE_S))
        return _PAUSE_S if self._in_a_row >= _FREE else 0.0

    def count(self, now: float, *, failed: bool) -> None:
        """Record that a request has ended now."""
        self._in_a_row += 1
        self._failed = self._failed + 1 if failed else 0
        self._ended_at = now


_metadata_paces: WeakKeyDictionary[Any, RequestPace] = WeakKeyDictionary()
_fetch_paces: WeakKeyDictionary[Any, dict[int, RequestPace]] = WeakKeyDictionary()


def pace_requests() -> None:
    """Make aiokafka wait before it repeats a request."""
    AIOKafkaClient._metadata_update = _update_at_a_pace  # noqa: SLF001 - see above
    Fetcher._proc_fetch_request = _fetch_at_a_pace  # noqa: SLF001 - see above


async def _update_at_a_pace(client: Any, cluster: Any, topics: Any) -> Any:
    clock = asyncio.get_running_loop().time
    pace = _metadata_paces.setdefault(client, RequestPace())
    # Before the request, not after it: the answer has to be new when it arrives.
    await asyncio.sleep(pace.pause_s(clock()))
    updated = False
    try:
        updated = await _metadata_update(client, cluster, topics)
    except Exception as error:  # noqa: BLE001 - it would end the task that asks, and whatever waits for an answer would hang
        log.debug("metadata not updated", error=repr(error))
    pace.count(clock(), failed=not updated)
    return updated


async def _fetch_at_a_pace(fetcher: Any, assignment: Any, node_id: int, request: Any) -> Any:
    clock = asyncio.get_running_loop().time
    pace = _fetch_paces.setdefault(fetcher, {}).setdefault(node_id, RequestPace())
    began = clock()
    has_records = await _proc_fetch_request(fetcher, assignment, node_id, request)
    # A broker that has no records waits as long as the request says; one that answers in half that time has refused.
    if has_records or clock() - began > fetcher._fetch_max_wait_ms / 2000:  # noqa: SLF001 - aiokafka keeps it nowhere else
        _fetch_paces[fetcher][node_id] = RequestPace()
        return has_records
    pace.count(clock(), failed=False)
    # The fetcher cancels this when a partition is revoked, or at its close, and accepts any result.
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(pace.pause_s(clock()))
    return has_records
