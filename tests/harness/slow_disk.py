"""`python -m tests.harness.slow_disk services.sink`: sink on a disk that takes its time for each fsync."""

import os
import runpy
import sys
import time

FSYNC_S = 6.0


def slow_down() -> None:
    """Let each fsync take so long, as one does on a disk that others keep busy."""
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        time.sleep(FSYNC_S)
        fsync(descriptor)

    os.fsync = slow  # type: ignore[assignment]


if __name__ == "__main__":
    module = sys.argv.pop(1)
    slow_down()
    runpy.run_module(module, run_name="__main__", alter_sys=True)
