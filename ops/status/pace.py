"""How fast something goes on, and in how long it is done. Pure."""


def pace_of(done: float, over_s: float) -> float | None:
    """How much was done in a second; None where no time has passed."""
    return max(0.0, done / over_s) if over_s > 0 else None


def time_left_s(left: int | None, pace: float | None) -> float | None:
    """In how many seconds what is left is done; None where nothing is left, or nothing goes on."""
    return left / pace if left and pace else None
