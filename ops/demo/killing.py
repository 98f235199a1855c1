"""Killing the demo's services, one after the other, and starting them again."""

from ops.demo.services import Services

INTERVAL_S = 1.5
# So many by the clock: on a slow machine a run that is killed for ever would not end.
MOST_KILLS = 12


class Killer:
    """Kills the next service every INTERVAL_S, as `kill -9` does, and starts it again; also when it is asked to.

    `kills` counts them by service.
    """

    def __init__(self, services: Services, now_s: float) -> None:
        self._services = services
        self._next_s = now_s + INTERVAL_S
        self._turn = 0
        self.kills = dict.fromkeys(services.names, 0)

    def kill_when_due(self, now_s: float) -> None:
        """Kill one if it is time."""
        if now_s >= self._next_s and sum(self.kills.values()) < MOST_KILLS:
            self.kill_next()
            self._next_s = now_s + INTERVAL_S

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
