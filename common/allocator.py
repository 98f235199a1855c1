"""How the C library's allocator keeps memory: so that a process that runs for months does not grow."""

import ctypes

# Of glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 128 * 1024
_ARENAS = 2


def give_large_blocks_back() -> None:
    """Let large blocks go back to the system as they are freed, and threads share two arenas. Only glibc has a say.

    Without this glibc raises its own threshold to the largest block that was freed, up to 32 MiB. Chunks, batches and
    fetches then lie between small blocks, in an arena for each thread.
    """
    # Another C library has no such function, and needs none.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_TRIM_THRESHOLD, _LARGE_BYTES), (_MMAP_THRESHOLD, _LARGE_BYTES), (_ARENA_MAX, _ARENAS)):
            mallopt(option, value)
