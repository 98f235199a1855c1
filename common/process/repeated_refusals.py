"""How long a refused service waits before it exits, where it is started again and again.

Docker restarts a failed container at once. The container's age stands for the earlier starts: it outlives each of them,
it begins at zero in a new container, and nothing has to be written. A service that is not a container's first process
was started by a person, or by something that itself waits between starts: it exits at once.
"""

import os
import time
from contextlib import suppress

# Docker creates it with the container, and never changes it.
_MADE_WITH_THE_CONTAINER = "/.dockerenv"
_LONGEST_PAUSE_S = 60.0
# A younger container is in its first start.
_FIRST_START_S = 5.0


def pause_before_exit_s(lived_s: float) -> float:
    """How long this process, which has lived for so long, waits before it exits with a refusal."""
    age_s = 0.0
    if os.getpid() == 1:
        with suppress(OSError):
            age_s = time.time() - os.stat(_MADE_WITH_THE_CONTAINER).st_ctime  # noqa: PTH116 - nothing slow before it
    return pause_s(age_s, lived_s)


def pause_s(age_s: float, lived_s: float) -> float:
    """As long as the container is old, at most a minute, so that the time between starts doubles.

    0 for a first start, and for a service that lived for more than a minute.
    """
    if age_s < _FIRST_START_S or lived_s > _LONGEST_PAUSE_S:
        return 0.0
    return min(age_s, _LONGEST_PAUSE_S)
