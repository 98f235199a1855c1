"""How many rows are shown in a second. Pure: the time is an argument."""

from msgspec import Struct

_SECOND_S = 1.0


class Rate(Struct, frozen=True):
    """At most `most` rows in any second. `shown` has when rows were shown lately, and how many."""

    most: int
    shown: tuple[tuple[float, int], ...] = ()

    def take(self, rows: int, now_s: float) -> tuple[int, "Rate"]:
        """How many of these rows may be shown now, and the rate once they are."""
        lately = tuple((at_s, count) for at_s, count in self.shown if now_s - at_s < _SECOND_S)
        taken = min(rows, self.most - sum(count for _, count in lately))
        return taken, Rate(self.most, (*lately, (now_s, taken)) if taken else lately)
