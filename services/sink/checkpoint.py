"""When to make what is written safe."""


def should_checkpoint(now: float, last: float, interval_ms: int, *, dirty: bool, ended: bool) -> bool:
    """Whether a checkpoint is due. `now` and `last` are seconds of one clock.

    At a source's end at once: who waits for it must not wait for a timer.
    """
    return ended or (dirty and now - last >= interval_ms / 1000)
