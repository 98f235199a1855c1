"""`python -m tests.harness.chaos.small_memory services.sink`: sink with memory for hardly an entry."""

import os
import sys
from pathlib import Path

from services.sink.__main__ import main
from services.sink.ledger import entries

# Some hundred entries each.
_CHANGED_BYTES = 150_000
_KEPT_BYTES = 75_000


def forget_early(count_path: Path) -> None:
    """Take the limits down, and note each checkpoint that made memory lose entries."""
    entries.MAX_CHANGED_BYTES, entries.MAX_KEPT_BYTES = _CHANGED_BYTES, _KEPT_BYTES
    end_checkpoint = entries.Entries.end_checkpoint

    def counted(self: entries.Entries) -> None:
        before = len(self)
        end_checkpoint(self)
        if len(self) < before:
            with count_path.open("a") as file:
                file.write(f"{before - len(self)}\n")

    entries.Entries.end_checkpoint = counted  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.argv.pop(1)
    forget_early(Path(os.environ["FORGOTTEN"]))
    sys.exit(main())
