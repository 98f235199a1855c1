"""Which file is which source: it is called by its absolute path where ingest ran, perhaps in a container. Pure."""

from collections.abc import Iterable, Mapping
from itertools import takewhile


def match_names(files: Iterable[str], known: Iterable[str]) -> Mapping[str, str]:
    """Each file's source, for those whose source is certain; both are absolute paths.

    A file has the source of its own name, else the one whose name ends most like its own.
    """
    found: dict[str, str] = {}
    by_end: dict[str, list[str]] = {}
    for name in known:
        by_end.setdefault(name.rpartition("/")[2], []).append(name)
    claims: dict[str, list[str]] = {}
    for file in files:
        candidates = by_end.get(file.rpartition("/")[2], [])
        if file in candidates:
            found[file] = file
            continue
        by_length: dict[int, list[str]] = {}
        for name in candidates:
            by_length.setdefault(_common_end(file, name), []).append(name)
        if by_length and len(best := by_length[max(by_length)]) == 1:
            claims.setdefault(best[0], []).append(file)
    taken = set(found.values())
    found.update(
        {claimants[0]: name for name, claimants in claims.items() if len(claimants) == 1 and name not in taken}
    )
    return found


def _common_end(one: str, other: str) -> int:
    """How many names at their ends are the same."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
