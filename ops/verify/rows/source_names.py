"""Which file is which source: it is called by its absolute path where ingest ran, perhaps in a container. Pure.

Several sources may have had one path, their *home*, in turn: the second is `home//2`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from services.ingest.naming.locations import home_and_number

# A file that was moved to where its name was taken: `a~2.csv`.
_NUMBERED = re.compile(r"(.+)~[0-9]+((?:\.csv(?:\.gz|\.zst)?)?)", re.DOTALL | re.IGNORECASE)


class Claim(NamedTuple):
    """A file and the sources that it may be, the oldest first. `is_sole`: by its name it is certainly one of these."""

    file: str
    sources: Sequence[str]
    is_sole: bool


class SourceChoice(NamedTuple):
    """The source that a file is, None if none fits it; unless it `is_sure`, its rows have to show that."""

    source: str | None
    is_sure: bool = False


def match_names(files: Iterable[str], known: Iterable[str]) -> list[Claim]:
    """The sources that each file may be, without the files that may be none. All names are absolute paths.

    A file may be any source whose home is its own path, or else any whose home ends most like it. The claims that are
    certain come first.
    """
    homes: dict[str, list[tuple[int, str]]] = {}
    for name in known:
        home, number = home_and_number(name)
        homes.setdefault(home, []).append((number, name))
    by_end: dict[str, list[str]] = {}
    for home in homes:
        by_end.setdefault(home.rpartition("/")[2], []).append(home)
    of_file = {file: _homes_of(file, by_end) for file in files}
    claimants: dict[str, list[str]] = {}
    for file, found in of_file.items():
        for home in found:
            claimants.setdefault(home, []).append(file)
    claims = []
    for file, found in of_file.items():
        if found:
            is_only = len(found) == 1 and claimants[found[0]] == [file] and not _is_numbered(file, found[0])
            sources = [name for home in found for _, name in sorted(homes[home])]
            claims.append(Claim(file, sources, is_only or found == [file]))
    return sorted(claims, key=lambda claim: not claim.is_sole)


def choose_sources(
    claims: Iterable[Claim], size_of: Callable[[str], int], ends: Callable[[str], int | None]
) -> dict[str, SourceChoice]:
    """Each file's source; `ends` is the size that a source had at its latest end, None if it has none.

    A file that could be none of its sources by size has no choice if it may be a new one.
    """
    found: dict[str, SourceChoice] = {}
    taken: set[str] = set()
    for file, sources, is_sole in claims:
        if is_sole and len(sources) == 1:
            found[file] = SourceChoice(sources[0], is_sure=True)
            taken.add(sources[0])
            continue
        size = size_of(file)
        sizes = {source: end for source in sources if (end := ends(source)) is not None}
        same = [source for source, end in sizes.items() if end == size]
        free = [source for source in same if source not in taken]
        if not free and is_sole:
            free = [source for source, end in sizes.items() if end < size]
        if free:
            found[file] = SourceChoice(free[-1], is_sure=is_sole and len(same) == 1)
            taken.add(free[-1])
        elif same or is_sole:
            found[file] = SourceChoice(None)
    return found


def newest(claims: Iterable[Claim]) -> Mapping[str, str]:
    """For each file whose name is certain, the newest of its sources."""
    return {file: sources[-1] for file, sources, is_sole in claims if is_sole}


def _homes_of(file: str, by_end: Mapping[str, Sequence[str]]) -> list[str]:
    """The homes that end most like a file's name: its own alone if that is one."""
    name = file.rpartition("/")[2]
    found = by_end.get(name, ())
    if not found and (match := _NUMBERED.fullmatch(name)):
        found = by_end.get(match[1] + match[2], ())
    if file in found:
        return [file]
    by_length: dict[int, list[str]] = {}
    for home in found:
        by_length.setdefault(_common_end(file, home), []).append(home)
    return by_length[max(by_length)] if by_length else []


def _is_numbered(file: str, home: str) -> bool:
    """Whether only the name without its number is that of the home."""
    return file.rpartition("/")[2] != home.rpartition("/")[2]


def _common_end(one: str, other: str) -> int:
    """How many names at their ends are the same."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
