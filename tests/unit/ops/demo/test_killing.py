"""Which service is killed when."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ops.demo.killing import Killer
from ops.demo.services import Services

NAMES = ("ingest", "split", "sink")


class Three(Services):
    """Three services that run, until they are among `ended`."""

    def __init__(self, ended: Iterable[str] = ()) -> None:
        super().__init__(dict.fromkeys(NAMES, ()), Path())
        self.ended = set(ended)

    def __len__(self) -> int:
        return len(NAMES)

    def kill(self, name: str) -> bool:
        """Whether it was there to be killed."""
        return name not in self.ended

    def finished(self) -> Sequence[str]:
        """Those that have ended."""
        return sorted(self.ended)


def test_each_has_its_turn_once_a_second_while_rows_move() -> None:
    killer = Killer(Three())
    kills = []
    for now_s, done in ((0.0, 0), (0.1, 5), (0.6, 9), (1.2, 9), (2.3, 9), (9.0, 13), (9.5, 14)):
        killer.kill_when_due(now_s, done)
        kills.append(sum(killer.kills.values()))
    # Not before the first row, nor sooner than a second after the last kill, nor where nothing has moved since.
    assert kills == [0, 1, 1, 2, 2, 3, 3]
    assert killer.counts == "ingest 1, split 1, sink 1"


def test_the_clock_ends_it_and_a_key_goes_on() -> None:
    killer = Killer(Three())
    for second in range(100):
        killer.kill_when_due(second, second + 1)
    assert killer.kills == dict.fromkeys(NAMES, 4)
    killer.kill_next()
    assert killer.kills["ingest"] == 5


def test_one_that_has_ended_loses_its_turn() -> None:
    killer = Killer(Three(ended=["ingest", "sink"]))
    killer.kill_next()
    killer.kill_next()
    assert killer.kills == {"ingest": 0, "split": 2, "sink": 0}
    ended = Killer(Three(ended=NAMES))
    ended.kill_next()
    assert not any(ended.kills.values())
