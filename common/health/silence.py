"""Which brokers have fallen silent: they owe an answer, and have given none on any connection for some time."""

from collections.abc import Mapping

from msgspec import Struct, field

from common.aiokafka_internals.open_connections import Address, Contact

LOOK_INTERVAL_S = 0.25
# With a second until a member asks for something, and a look, less than five. A broker under load answers sooner, to
# some request of any kind: an alarm needs silence on all connections to it.
SILENT_S = 2.5
# Requests time out sooner, and then the session says what is wrong. A broker whose partitions have moved is forgotten.
_LONGEST_S = 20.0


class Silence(Struct):
    """What each look at the connections has shown. It counts looks, not time: a loop that hung has heard nothing."""

    _answered_at: dict[Address, float] = field(default_factory=dict)
    # How many looks in a row have shown no new answer though one was due.
    _looks: dict[Address, int] = field(default_factory=dict)

    def look(self, contacts: Mapping[Address, Contact]) -> None:
        """Take note of how the brokers answer, every LOOK_INTERVAL_S."""
        for address in {*contacts, *self._looks}:
            contact = contacts.get(address, _NONE)
            if contact.answered_at > self._answered_at.get(address, 0.0):
                self._answered_at[address] = contact.answered_at
                self._looks.pop(address, None)
            elif contact.waits or SILENT_S <= self._silent_s(address) < _LONGEST_S:
                # A silent broker stays so while its connections are closed and tried again.
                self._looks[address] = self._looks.get(address, 0) + 1
            else:
                self._looks.pop(address, None)

    @property
    def reason(self) -> str:
        """Which broker has been silent for how long; "" if none is."""
        silent = {address: each for address in list(self._looks) if (each := self._silent_s(address)) >= SILENT_S}
        if not silent:
            return ""
        names = " and ".join(f"{host}:{port}" for host, port in sorted(silent))
        # Half a second counts as one: Python rounds 2.5 to 2.
        return f"{names} {'has' if len(silent) == 1 else 'have'} not answered for {int(max(silent.values()) + 0.5)} s"

    def _silent_s(self, address: Address) -> float:
        """For how long at least."""
        return (self._looks.get(address, 0) - 1) * LOOK_INTERVAL_S


_NONE = Contact(0.0, waits=False)
