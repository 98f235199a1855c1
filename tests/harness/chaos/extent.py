"""How long chaos goes on, and with which seed: a short selection in `make long-test`, all of it in `make chaos`."""

import os
import random
import secrets

# The length of run that the full counts are meant for.
_FULL_MINUTES = 60.0

MINUTES = float(os.environ.get("CHAOS_MINUTES") or 0)
# The short selection is the same each time.
SEED = int(os.environ.get("CHAOS_SEED") or (secrets.randbelow(10**6) if MINUTES else 1))


def count(short: int, full: int) -> int:
    """How many of something: `short` in `make long-test`, `full` in an hour of `make chaos`, else in proportion."""
    return max(short, round(full * MINUTES / _FULL_MINUTES))


def random_for(name: str) -> random.Random:
    """The random numbers of one scenario: the same for the same seed, whatever else runs."""
    return random.Random(f"{SEED} {name}")  # noqa: S311 - it is to be repeatable
