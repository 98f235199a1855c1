"""Globs, read name by name from the path's beginning: what finds files also tells whether a path is named. Pure.

As Python's `glob` with `recursive=True`: `**` is any number of folders, also none; `*` does not cross a `/`; neither
takes a hidden name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import has_magic

_ANY_DEPTH = "**"

# Where a path may be in the pattern: indexes of the segments that may come next.
GlobPositions = frozenset[int]


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern of files by its segments, from the root on. See `glob_of`."""

    segments: tuple[str, ...]

    def begin(self) -> GlobPositions:
        """Before the first name."""
        return self._with_skipped([0])

    def after(self, positions: GlobPositions, name: str) -> GlobPositions:
        """Where a path is with this further name; nowhere if none with this beginning is meant."""
        found = []
        for position in positions:
            segment = self.segments[position] if position < len(self.segments) else None
            if segment == _ANY_DEPTH:
                if not name.startswith("."):
                    found.append(position)
            elif segment is not None and _is_named(segment, name):
                found.append(position + 1)
        return self._with_skipped(found)

    def is_whole(self, positions: GlobPositions) -> bool:
        """Whether the path is one that the pattern names."""
        return len(self.segments) in positions

    def goes_on(self, positions: GlobPositions) -> bool:
        """Whether a longer path may be one."""
        return any(position < len(self.segments) for position in positions)

    def is_endless(self, positions: GlobPositions) -> bool:
        """Whether paths of any length may follow."""
        return any(position < len(self.segments) and self.segments[position] == _ANY_DEPTH for position in positions)

    def needs_listing(self, positions: GlobPositions) -> bool:
        """Whether any name that may come next is not known beforehand."""
        return any(position < len(self.segments) and has_magic(self.segments[position]) for position in positions)

    def known_names(self, positions: GlobPositions) -> set[str]:
        """The names that may come next and stand in the pattern themselves."""
        following = {self.segments[position] for position in positions if position < len(self.segments)}
        return {segment for segment in following if not has_magic(segment)}

    def _with_skipped(self, positions: Iterable[int]) -> GlobPositions:
        """These positions, and those behind each `**` that may be no folder at all."""
        found = set()
        for first in positions:
            position = first
            found.add(position)
            while position < len(self.segments) and self.segments[position] == _ANY_DEPTH:
                position += 1
                found.add(position)
        return frozenset(found)


def glob_of(*segments: str) -> Glob:
    """The glob of these segments. Of files, `a/**` names what `a/**/*` does."""
    return Glob((*segments, "*") if segments[-1] == _ANY_DEPTH else segments)


def _is_named(segment: str, name: str) -> bool:
    if not has_magic(segment):
        return name == segment
    return (segment.startswith(".") or not name.startswith(".")) and fnmatchcase(name, segment)
