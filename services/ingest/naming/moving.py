"""Where a source is once its file has left its location."""

from collections.abc import Iterator
from enum import Enum, auto

from msgspec import Struct

from services.ingest.naming.locations import FoundFile, InputSnapshot, SourceLocation, home_and_number


def find_candidates(
    source: str, location: SourceLocation, seen: InputSnapshot, *, was_read: bool
) -> Iterator[tuple[str, FoundFile]]:
    """Where the source's file may be now, the input first.

    A file outside INPUT is ours only if we have read from it before, if it was seen to be renamed, or if its name is a
    rotation of the source's.
    """
    home, _ = home_and_number(source)
    for path, found in seen.elsewhere(location):
        if path in seen.files or location.file in seen.moved or was_read or path.startswith(home):
            yield path, found


class Verdict(Enum):
    """What becomes of a source whose file was found nowhere."""

    # It keeps its location: another look has to confirm that its file is gone.
    WAITS = auto()
    # It takes the file now at its path: the same one rewritten, or one put in its place.
    TAKES_SUCCESSOR = auto()
    # No file is known to be its own any more.
    LOST = auto()


class Missing(Struct, frozen=True):
    """What is known of a source whose file was found nowhere.

    `had_file`: a file was known to be the source's. `is_another`: a file with its inode exists and is another one.
    `missed_before`: an earlier look missed it too, or there will be no other. `is_hidden`: its folder cannot be looked
    into. `may_take_successor`: a file has its path now, and no other source has more right to it.
    """

    had_file: bool
    is_another: bool = False
    missed_before: bool = False
    is_hidden: bool = False
    may_take_successor: bool = False


def judge_missing(missing: Missing) -> Verdict:
    """What becomes of the source.

    A single look may miss a file that is renamed meanwhile, under all of its names.
    """
    is_gone = missing.is_another or not missing.had_file or (missing.missed_before and not missing.is_hidden)
    if not is_gone:
        return Verdict.WAITS
    return Verdict.TAKES_SUCCESSOR if missing.may_take_successor else Verdict.LOST
