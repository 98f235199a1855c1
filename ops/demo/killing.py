"""Killing the demo's services, one after the other, and starting them again."""

from ops.demo.services import Services

_INTERVAL_S = 1.0
# So many by the clock. Each comes once rows have moved since the one before, so the run ends on any machine.
_MOST_KILLS = 12


class Killer:
    """Kills the next service again and again, as `kill -9` does, and starts it again; also when it is asked to.

    `kills` counts them by service.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._next_s = 0.0
        self._done = 0
        self._turn = 0
        self.kills = dict.fromkeys(services.names, 0)

    def kill_when_due(self, now_s: float, done: int) -> None:
        """Kill one if it is time, and more rows are `done` by all stages together than at the last time."""
        if done > self._done and now_s >= self._next_s and sum(self.kills.values()) < _MOST_KILLS:
            self.kill_next()
            self._next_s, self._done = now_s + _INTERVAL_S, done

    def kill_next(self) -> None:
        """Kill the next one that runs."""
        names = list(self.kills)
        for _ in names:
            name = names[self._turn % len(names)]
            self._turn += 1
            if self._services.kill(name):
                self.kills[name] += 1
                return

    @property
    def counts(self) -> str:
        """How often each was killed."""
        return ", ".join(f"{name} {count}" for name, count in self.kills.items())
