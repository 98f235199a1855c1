"""What happens to names between two looks, from events in their order."""

from collections.abc import Callable
from dataclasses import dataclass, field

from services.ingest.delivered.names import is_aside


@dataclass(frozen=True, slots=True)
class Origin:
    """The name that a file had in the input, its number among those that left it, and whether no look has seen it."""

    number: int
    path: str
    is_new: bool


@dataclass(slots=True)
class Renames:
    """Files that were renamed out of the input, and files that no look has seen.

    `origins` are the former, by where they are now. `gone` are names of the input whose files were never seen and do
    not exist any more.
    """

    is_input: Callable[[str], bool]
    origins: dict[str, Origin] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    _new: set[str] = field(default_factory=set)
    # Between the two events of a renaming, by the cookie that joins them.
    _leaving: dict[int, Origin] = field(default_factory=dict)
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
        origin = self.origins.pop(path, None)
        if origin is None and self.is_input(path):
            self._count += 1
            origin = Origin(self._count, path, path in self._new)
            self._new.discard(path)
        if origin is not None:
            self._leaving[cookie] = origin

    def arrive(self, path: str, cookie: int) -> None:
        """The second half of a renaming, or a file from a folder that is not watched."""
        origin = self._leaving.pop(cookie, None)
        self._lose(path)
        if self.is_input(path):
            if origin is None or origin.is_new:
                self._new.add(path)
        # An editor's backup copy is not taken for the source, and a file that ingest has set aside is not followed.
        elif origin is not None and not path.endswith("~") and not is_aside(path.rpartition("/")[2]):
            self.origins[path] = origin

    def _lose(self, path: str) -> None:
        origin = self.origins.pop(path, None)
        if origin is not None and origin.is_new:
            self.gone.append(origin.path)

    def end_look(self, seen: Callable[[str], bool]) -> list[str]:
        """A look has `seen` what there is after all events so far. Returns the names that it came too late for."""
        self.gone += [origin.path for origin in self._leaving.values() if origin.is_new]
        gone, self.gone = self.gone, []
        self._new = {path for path in self._new if not seen(path)}
        self._leaving.clear()
        self.origins.clear()
        return gone
