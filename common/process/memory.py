"""How a process that runs for months, and moves megabytes at a time, manages its memory."""

import asyncio
import ctypes
import gc
import time

# From glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
# Only larger blocks go back to the system at once, and come back page by page: with chunks, batches and fetches that
# cost 1 µs a row.
_LARGE_BYTES = 32 * 2**20
_ARENAS = 2
_COLLECTION_INTERVAL_S = 5.0
# The most that collecting may take of the processor's time: with very many objects, as of ten thousand sources,
# collections come less often.
_COLLECTION_SHARE = 0.002


def keep_large_blocks() -> None:
    """Let blocks of megabytes be used again, and threads share two arenas. Only glibc needs it."""
    # Other C libraries lack this function.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_TRIM_THRESHOLD, _LARGE_BYTES), (_MMAP_THRESHOLD, _LARGE_BYTES), (_ARENA_MAX, _ARENAS)):
            mallopt(option, value)


async def collect_by_the_clock() -> None:
    """Collect cyclic garbage every few seconds, not whenever so many objects were made; never return.

    Each record is two objects that a collection visits, and none of them is in a cycle: visiting them took a fifth of
    the time. What exists at the start, the modules and their parts, is never visited: that saves 50 ms each time.
    """
    gc.disable()
    gc.freeze()
    cost_s = 0.0
    while True:
        await asyncio.sleep(max(_COLLECTION_INTERVAL_S, cost_s / _COLLECTION_SHARE))
        began_s = time.thread_time()
        gc.collect()
        cost_s = time.thread_time() - began_s
