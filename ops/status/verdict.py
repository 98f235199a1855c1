"""Whether a stage goes on: ok, behind, stalled or stopped. No figure of the user's decides it. Pure.

A stage is

- *ok* if nothing waits for it, or what waits takes it at most 5 s at its present pace;
- *behind* if what waits takes it longer than that;
- *stalled* if it has replicas, and for 5 s something has waited for it and nothing of that has gone on;
- *stopped* if something waits for it, and it has no replica.

What has gone on for less than 5 s is *ok*: it is too early to tell.
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

# Longer than the stages take between two commits (sink: CHECKPOINT_INTERVAL_MS, 1 s), and as long as a person waits.
PATIENCE_S = 5.0


class Verdict(StrEnum):
    """How a stage, or the pipeline, stands."""

    OK = "ok"
    BEHIND = "behind"
    STALLED = "stalled"
    STOPPED = "stopped"

    @property
    def goes_on(self) -> bool:
        """Whether waiting is enough."""
        return self in {Verdict.OK, Verdict.BEHIND}


class Work(Struct, frozen=True):
    """What a stage has to do: whether anything waits, how many replicas there are, and in how long all will be done.

    `still_s`: for so long, at least, something has waited without going on; 0 if all that waits goes on. `eta_s` is
    None where the pace is not known, or there is none.
    """

    waits: bool
    replicas: int
    still_s: float = 0.0
    eta_s: float | None = None


def judge(work: Work) -> Verdict:
    """The verdict on one stage."""
    if not work.waits:
        return Verdict.OK
    if work.replicas == 0:
        return Verdict.STOPPED
    if work.still_s >= PATIENCE_S:
        return Verdict.STALLED
    is_long = work.eta_s is not None and work.eta_s > PATIENCE_S
    return Verdict.BEHIND if is_long else Verdict.OK


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on a pipeline, from those on its stages."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.OK)
