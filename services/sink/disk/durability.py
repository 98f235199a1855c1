"""Making files durable: what was written survives a power cut."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from services.sink.disk.errors import naming
from services.sink.disk.output_root import OutputRoot

# fsync waits for the disk, which takes several at once: 4 threads took a tenth of the time, 16 hardly less (ext4).
_THREADS = 4

_Step = tuple[str, int]


def make_durable(root: Path, files: Iterable[str], folders: Iterable[str], given_up: Callable[[], bool]) -> bool:
    """Make durable what was written to these files, and the new names in these folders; "" is the root.

    False if it was given up before all of it was durable. DiskError if a sync fails.
    """
    steps = [(path, os.O_WRONLY) for path in files]
    steps += [(path, os.O_RDONLY | os.O_DIRECTORY) for path in folders]
    share = -(-len(steps) // _THREADS)
    shares = [steps[at : at + share] for at in range(0, len(steps), share)] if steps else []
    sync = partial(_sync, root, given_up)
    if len(shares) <= 1:
        return all(map(sync, shares))
    with ThreadPoolExecutor(len(shares), thread_name_prefix="fsync") as threads:
        return all(list(threads.map(sync, shares)))


def _sync(root: Path, given_up: Callable[[], bool], steps: Sequence[_Step]) -> bool:
    with OutputRoot(root) as output:
        for path, flags in steps:
            if given_up():
                return False
            descriptor = output.open(path, flags)
            try:
                with naming(root / path):
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
    return True
