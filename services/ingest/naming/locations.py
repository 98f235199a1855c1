"""Which file is which source: a file is known by its inode, not by its name, so that it may be renamed or rotated."""

import re
from collections.abc import Iterator, Mapping, Sequence

import orjson
from msgspec import Struct, field, to_builtins

from common.protocol.identity import check_version

# Raised with every change that an older service must not ignore.
_VERSION = 1
# A path may contain line breaks.
_NUMBERED = re.compile(r"(.+)//([0-9]+)", re.DOTALL)


class FoundFile(Struct, frozen=True):
    """A file as it was seen: `file` is its device and inode, "" if its status could not be read; `size` is in bytes."""

    path: str
    file: str = ""
    size: int = -1
    changed_at_ns: int = 0
    # When anything of it changed: setting the time of its content back does not set this back.
    touched_at_ns: int = 0


class SourceLocation(Struct, frozen=True):
    """Where a source's file was seen last, and which file that was; "" if none is known to be it any more."""

    path: str
    file: str = ""


class Moved(Struct, frozen=True):
    """A file that was renamed out of the input: its name there, its name now, and the file."""

    home: str
    path: str
    found: FoundFile


class InputSnapshot(Struct, frozen=True):
    """One look at the input, at an instant of time.monotonic.

    `files` are INPUT's, by path, and `by_file` their paths. `beside` are files of sources, in the same folder under
    names that INPUT does not have. `moved` are files that had a name of the input, the first renamed first; no look may
    have seen them there. `aside` are the hidden names of files on their way out.
    """

    at: float = 0.0
    files: Mapping[str, FoundFile] = field(default_factory=dict)
    beside: Mapping[str, tuple[str, FoundFile]] = field(default_factory=dict)
    by_file: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, Moved] = field(default_factory=dict)
    aside: Sequence[str] = ()

    def at_location(self, location: SourceLocation) -> FoundFile | None:
        """The file at this location, if it is still the same file."""
        found = self.files.get(location.path)
        if found is None and location.file in self.beside:
            path, beside = self.beside[location.file]
            found = beside if path == location.path else None
        return found if found is not None and found.file == location.file else None

    def elsewhere(self, location: SourceLocation) -> Iterator[tuple[str, FoundFile]]:
        """Where this location's file is now, the input first."""
        path = self.by_file.get(location.file)
        if path is not None and path in self.files:
            yield path, self.files[path]
        if location.file in self.beside:
            yield self.beside[location.file]


# Sources with their old and new locations.
Moves = Mapping[str, tuple[SourceLocation, SourceLocation]]


class SourceLocations:
    """Every source's location.

    A source is named after the first path of its file. Once that was renamed, a later file at this path is `path//2`:
    an absolute path does not contain two slashes.
    """

    def __init__(self) -> None:
        self.of: dict[str, SourceLocation] = {}
        # Several sources share a path while rotated files are found one by one, or if one was renamed over another.
        self._at: dict[str, set[str]] = {}
        self._of_file: dict[str, str] = {}
        self._numbers: dict[str, int] = {}

    def put(self, source: str, location: SourceLocation) -> None:
        """Set the source's location."""
        before = self.of.get(source)
        if before is not None:
            self._at[before.path].discard(source)
            if self._of_file.get(before.file) == source:
                del self._of_file[before.file]
        self.of[source] = location
        self._at.setdefault(location.path, set()).add(source)
        if location.file:
            self._of_file[location.file] = source
        home, number = home_and_number(source)
        self._numbers[home] = max(number, self._numbers.get(home, 0))

    def source_of(self, file: str) -> str | None:
        """The source that this file is."""
        return self._of_file.get(file)

    def may_take(self, source: str, path: str, file: str) -> bool:
        """Whether another file at this source's path may be the source's: no other source has more right to it."""
        here = self._at.get(path, ())
        heir = max(here, key=lambda each: (bool(self.of[each].file), home_and_number(each)[1], each), default=None)
        return bool(file) and heir == source and self._of_file.get(file) in {None, source}

    def with_moves(self, moves: Moves) -> tuple["SourceLocations", dict[str, SourceLocation]]:
        """The locations after these moves, and the sources that did move.

        A source stays where it is if it has left its old location, because another replica has it by now, or if the
        file is another source's.
        """
        if not moves:
            # Each new file comes here without moves, and a copy of all sources that there ever were takes seconds.
            return self, {}
        after = SourceLocations()
        for source, location in self.of.items():
            after.put(source, location)
        moved = {}
        for source, (old, new) in moves.items():
            if after.of[source] == old and after.source_of(new.file) in {None, source}:
                after.put(source, new)
                moved[source] = new
        return after, moved

    def holds(self, path: str) -> bool:
        """Whether any source is at this path."""
        return bool(self._at.get(path))

    def new_sources(self, files: Mapping[str, FoundFile], moved: Mapping[str, Moved]) -> dict[str, SourceLocation]:
        """Names for files that are no source yet and whose path no source has."""
        named: dict[str, SourceLocation] = {}
        taken: set[str] = set()
        numbers: dict[str, int] = {}

        def name(home: str, location: SourceLocation) -> None:
            number = numbers[home] = numbers.get(home, self._numbers.get(home, 0)) + 1
            named[home if number == 1 else f"{home}//{number}"] = location
            if location.file:
                taken.add(location.file)

        # Name moved files first: other files have their old names now.
        for file, each in moved.items():
            if file not in self._of_file:
                name(each.home, SourceLocation(each.path, file))
        for path, found in files.items():
            if self.holds(path) or found.file in self._of_file or found.file in taken:
                continue
            name(path, SourceLocation(path, found.file))
        return named


def home_and_number(source: str) -> tuple[str, int]:
    """The path that a source is named after, and its number among the files of that path."""
    match = _NUMBERED.fullmatch(source)
    return (match[1], int(match[2])) if match else (source, 1)


def earlier(source: str) -> str | None:
    """The source whose file had the same path before; None if there is none."""
    home, number = home_and_number(source)
    return None if number == 1 else home if number == 2 else f"{home}//{number - 1}"  # noqa: PLR2004 - the second


def encode_location(location: SourceLocation) -> bytes:
    """The location as JSON."""
    return orjson.dumps({"version": _VERSION, **to_builtins(location)})


def decode_location(value: bytes) -> SourceLocation:
    """The location that `encode_location` wrote. ValueError if its version is unknown."""
    found = orjson.loads(value)
    check_version(found, _VERSION)
    return SourceLocation(**{name: found[name] for name in SourceLocation.__struct_fields__ if name in found})
