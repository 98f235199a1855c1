"""When to make what is written safe."""


def should_checkpoint(now: float, last: float, interval_ms: int, *, dirty: bool, ended: bool, full: bool) -> bool:
    """Whether a checkpoint is due. `now` and `last` are seconds of one clock.

    At once at a source's end, because who waits for it must not wait for a timer, and when memory is `full` of changes.
    """
    return ended or full or (dirty and now - last >= interval_ms / 1000)
