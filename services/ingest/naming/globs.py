"""Globs, matched name by name from the root: the same match finds files and decides whether a path is named.

As Python's `glob` with `recursive=True`: `**` is any number of folders, even none; `*` does not cross a `/`; neither
matches a hidden name.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from glob import has_magic

from msgspec import Struct

_ANY_DEPTH = "**"

# Where a path may be in the pattern: indexes of the segments that may come next.
GlobPositions = frozenset[int]


class Glob(Struct, frozen=True):
    """A pattern of files by its segments, from the root on. See `glob_of`."""

    segments: tuple[str, ...]

    def begin(self) -> GlobPositions:
        """The positions before the first name."""
        return self._with_skipped([0])

    def after(self, positions: GlobPositions, name: str) -> GlobPositions:
        """The positions after this further name; none if no path with this beginning is named."""
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
        """Whether the pattern names the path that ends here."""
        return len(self.segments) in positions

    def goes_on(self, positions: GlobPositions) -> bool:
        """Whether the pattern may name a longer path."""
        return any(position < len(self.segments) for position in positions)

    def is_endless(self, positions: GlobPositions) -> bool:
        """Whether paths of any length may follow."""
        return any(position < len(self.segments) and self.segments[position] == _ANY_DEPTH for position in positions)

    def needs_listing(self, positions: GlobPositions) -> bool:
        """Whether names that may come next are not known beforehand."""
        return any(position < len(self.segments) and has_magic(self.segments[position]) for position in positions)

    def known_names(self, positions: GlobPositions) -> set[str]:
        """The names that may come next and are in the pattern literally."""
        following = {self.segments[position] for position in positions if position < len(self.segments)}
        # "", behind a final slash, is no name: looked up in a folder it would be that folder again, without end.
        return {segment for segment in following if segment and not has_magic(segment)}

    def _with_skipped(self, positions: Iterable[int]) -> GlobPositions:
        """These positions, and those after each `**`, which may be no folder at all."""
        found = set()
        for first in positions:
            position = first
            found.add(position)
            while position < len(self.segments) and self.segments[position] == _ANY_DEPTH:
                position += 1
                found.add(position)
        return frozenset(found)


def glob_of(*segments: str) -> Glob:
    """The glob of these segments. For files, `a/**` names the same as `a/**/*`."""
    return Glob((*segments, "*") if segments[-1] == _ANY_DEPTH else segments)


def _is_named(segment: str, name: str) -> bool:
    if not has_magic(segment):
        return name == segment
    return (segment.startswith(".") or not name.startswith(".")) and fnmatchcase(name, segment)
