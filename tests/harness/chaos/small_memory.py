"""`python -m tests.harness.chaos.small_memory services.sink`: sink with memory for few entries."""

import os
import sys
from pathlib import Path

from services.sink.__main__ import main
from services.sink.memory import Memory, MemoryLimits

# Some hundred entries each.
_LIMITS = MemoryLimits(changed=150_000, kept=75_000)


def forget_early(count_path: Path) -> None:
    """Lower the limits, and log each checkpoint after which entries were dropped from memory."""
    begin, end_checkpoint = Memory.__init__, Memory.end_checkpoint

    def small(self: Memory, limits: MemoryLimits) -> None:
        del limits
        begin(self, _LIMITS)

    def counted(self: Memory) -> None:
        before = len(self)
        end_checkpoint(self)
        if len(self) < before:
            with count_path.open("a") as file:
                file.write(f"{before - len(self)}\n")

    Memory.__init__, Memory.end_checkpoint = small, counted  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.argv.pop(1)
    forget_early(Path(os.environ["FORGOTTEN"]))
    sys.exit(main())
