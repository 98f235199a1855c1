"""How a process that runs for months, and moves megabytes at a time, keeps its memory."""

import asyncio
import ctypes
import gc
import time

# Of glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
# What is larger goes back to the system at once, and comes back from it page by page: 1 µs a row where that are chunks,
# batches and fetches.
_LARGE_BYTES = 32 * 2**20
_ARENAS = 2
_COLLECTION_INTERVAL_S = 5.0
# Of the processor's time: where there is very much to look at, as with ten thousand sources, it comes less often.
_COLLECTION_SHARE = 0.002


def keep_large_blocks() -> None:
    """Let blocks of megabytes be used again, and threads share two arenas. Only glibc has a say."""
    # Another C library has no such function.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_TRIM_THRESHOLD, _LARGE_BYTES), (_MMAP_THRESHOLD, _LARGE_BYTES), (_ARENA_MAX, _ARENAS)):
            mallopt(option, value)


async def collect_by_the_clock() -> None:
    """Look for garbage in cycles every few seconds, not each time that so many objects were made.

    Each record is two objects that a collection looks at, and none of them is in a cycle: a fifth of the time went
    there. What is there at the start is never looked at, the modules and what they are made of: 50 ms.
    """
    gc.disable()
    gc.freeze()
    cost_s = 0.0
    while True:
        await asyncio.sleep(max(_COLLECTION_INTERVAL_S, cost_s / _COLLECTION_SHARE))
        began_s = time.thread_time()
        gc.collect()
        cost_s = time.thread_time() - began_s
