"""What happens to names between two looks, from events in their order."""

import math
from collections.abc import Callable, Collection

from msgspec import Struct, field

from services.ingest.delivered.names import is_aside


class FormerName(Struct, frozen=True):
    """The name that a file had in the input, its number among those that left it, and whether no look has seen it."""

    number: int
    path: str
    is_new: bool


class Renames(Struct):
    """Files that were renamed out of the input, and files that no look has seen.

    `former_names` has, by its present path, the former name of each renamed file; `unsettled` has the numbers of those
    that are not identified yet. `gone` are names of the input whose files were never seen and no longer exist.
    """

    is_input: Callable[[str], bool]
    former_names: dict[str, FormerName] = field(default_factory=dict)
    unsettled: Collection[int] = ()
    gone: list[str] = field(default_factory=list)
    _new: set[str] = field(default_factory=set)
    # Files between the two events of a renaming, by cookie; those in `_overdue` were there at the look before, too.
    _leaving: dict[int, FormerName] = field(default_factory=dict)
    _overdue: Collection[int] = ()
    # The names that the previous look waited for: if file after file leaves such a name, only every second look waits.
    _waited_for: Collection[str] = ()
    _count: int = 0

    def create(self, path: str) -> None:
        """A file that had no name has this one now."""
        if self.is_input(path):
            self._new.add(path)

    def delete(self, path: str) -> None:
        """The name is gone, and the file with it."""
        if path in self._new:
            self._new.discard(path)
            self.gone.append(path)
        self._lose(path)

    def leave(self, path: str, cookie: int) -> None:
        """The first half of a renaming."""
        former = self.former_names.pop(path, None)
        if former is None and self.is_input(path):
            self._count += 1
            former = FormerName(self._count, path, path in self._new)
            self._new.discard(path)
        if former is not None:
            self._leaving[cookie] = former

    def arrive(self, path: str, cookie: int) -> None:
        """The second half of a renaming, or a file from a folder that is not watched."""
        former = self._leaving.pop(cookie, None)
        self._lose(path)
        if self.is_input(path):
            if former is None or former.is_new:
                self._new.add(path)
        # An editor's backup copy is not taken for the source, and a file that ingest has set aside is not followed.
        elif former is not None and not path.endswith("~") and not is_aside(path.rpartition("/")[2]):
            self.former_names[path] = former

    def _lose(self, path: str) -> None:
        former = self.former_names.pop(path, None)
        if former is not None and former.is_new:
            self.gone.append(former.path)

    def first_unsettled(self) -> dict[str, int]:
        """Names of the input whose former files the next look has to find, and the number of the first of each."""
        leaving = self._halfway()
        waiting = [former for former in self.former_names.values() if former.number in self.unsettled]
        by_number = sorted([*leaving, *waiting], key=lambda former: former.number, reverse=True)
        return {former.path: former.number for former in by_number}

    def _halfway(self) -> list[FormerName]:
        return [
            former
            for cookie, former in self._leaving.items()
            if cookie not in self._overdue and former.path not in self._waited_for
        ]

    def end_look(self, seen: Callable[[str], bool]) -> list[str]:
        """A look has `seen` what there is after all events so far. Returns the names that it came too late for.

        What is unsettled waits for the next look, and so does the other half of a renaming, once.
        """
        first = self.first_unsettled()
        out = [self._leaving.pop(cookie) for cookie in self._overdue if cookie in self._leaving]
        gone = [*self.gone, *(former.path for former in out if former.is_new)]
        self.gone = []
        self._waited_for = {former.path for former in self._halfway()}
        self._overdue = frozenset(self._leaving)
        self._new = {path for path in self._new if not seen(path)}
        # Those behind an unsettled one as well: files of one name are named in their order.
        self.former_names = {
            path: former
            for path, former in self.former_names.items()
            if former.number >= first.get(former.path, math.inf)
        }
        return gone
