"""What becomes of a source whose file has left its location, case by case."""

from itertools import product

import pytest

from services.ingest.naming.locations import FoundFile, InputSnapshot, Moved, SourceLocation
from services.ingest.naming.moving import Missing, Verdict, find_candidates, judge_missing

A, ROTATED, OTHER = "/in/a.csv", "/in/a.csv.1", "/in/other"
WAITS, TAKES, LOST = Verdict.WAITS, Verdict.TAKES_SUCCESSOR, Verdict.LOST


@pytest.mark.parametrize(
    ("missing", "alone", "with_successor"),
    [
        # A single look may miss a file that is renamed meanwhile.
        (Missing(had_file=True), WAITS, WAITS),
        (Missing(had_file=True, missed_before=True), LOST, TAKES),
        # Its folder cannot be looked into: it may well be there.
        (Missing(had_file=True, is_hidden=True), WAITS, WAITS),
        (Missing(had_file=True, missed_before=True, is_hidden=True), WAITS, WAITS),
        # Its inode is another file's, so it is deleted.
        (Missing(had_file=True, is_another=True), LOST, TAKES),
        (Missing(had_file=True, is_another=True, missed_before=True), LOST, TAKES),
        (Missing(had_file=True, is_another=True, is_hidden=True), LOST, TAKES),
        (Missing(had_file=True, is_another=True, missed_before=True, is_hidden=True), LOST, TAKES),
        # No file was known to be its own: there is nothing to wait for.
        *(
            (Missing(had_file=False, is_another=another, missed_before=before, is_hidden=hidden), LOST, TAKES)
            for another, before, hidden in product([False, True], repeat=3)
        ),
    ],
)
def test_a_source_whose_file_is_nowhere(missing: Missing, alone: Verdict, with_successor: Verdict) -> None:
    had_file, is_another = missing.had_file, missing.is_another
    assert judge_missing(missing) is alone
    succeeded = Missing(had_file, is_another, missing.missed_before, missing.is_hidden, may_take_successor=True)
    assert judge_missing(succeeded) is with_successor


def at(path: str) -> FoundFile:
    return FoundFile(path, "1")


@pytest.mark.parametrize(
    ("seen", "unread", "read"),
    [
        # Under a name that INPUT has.
        (InputSnapshot(files={OTHER: at(OTHER)}, by_file={"1": OTHER}), [OTHER], [OTHER]),
        # Under a rotation of its name.
        (InputSnapshot(beside={"1": (ROTATED, at(ROTATED))}), [ROTATED], [ROTATED]),
        # Under any other name only if something of it was read, or if it was seen to be renamed.
        (InputSnapshot(beside={"1": (OTHER, at(OTHER))}), [], [OTHER]),
        (
            InputSnapshot(beside={"1": (OTHER, at(OTHER))}, moved={"1": Moved(A, OTHER, at(OTHER))}),
            [OTHER],
            [OTHER],
        ),
        # The input comes first.
        (
            InputSnapshot(files={OTHER: at(OTHER)}, by_file={"1": OTHER}, beside={"1": (ROTATED, at(ROTATED))}),
            [OTHER, ROTATED],
            [OTHER, ROTATED],
        ),
        # Only another file is there.
        (InputSnapshot(files={A: FoundFile(A, "2")}, by_file={"2": A}), [], []),
    ],
)
def test_where_a_source_s_file_may_be(seen: InputSnapshot, unread: list[str], read: list[str]) -> None:
    for was_read, expected in ((False, unread), (True, read)):
        for source in (A, f"{A}//2"):
            found = find_candidates(source, SourceLocation(A, "1"), seen, was_read=was_read)
            assert [path for path, _ in found] == expected
