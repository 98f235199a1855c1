"""The lines of a file against the rows of its sources: right in every mixture, and wrong after every change."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.protocol.messages import HALF_CRLF
from ops.verify.rows.merging import ExpectedRow, FoundLine, Merged, merge, merge_unordered
from ops.verify.spool import row_digest

Rows = list[bytes]
# Few texts, so that sources have equal rows; and rows that are all different.
EQUAL = st.lists(st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=6), min_size=1, max_size=4)
UNLIKE = st.lists(st.integers(0, 6), min_size=1, max_size=4).map(
    lambda sizes: [[b"%d,%d" % (source, row) for row in range(size)] for source, size in enumerate(sizes)]
)


def streams(sources: Sequence[Rows], eol: bytes = b"\n") -> dict[int, Iterator[ExpectedRow]]:
    return {
        number: iter([ExpectedRow(row_digest(row), eol, line, line * 10) for line, row in enumerate(rows, 1)])
        for number, rows in enumerate(sources)
    }


def lines(rows: Rows, eol: bytes = b"\n", last: bytes = b"\n") -> list[FoundLine]:
    return [
        FoundLine(row_digest(row), row, last if number == len(rows) else eol, "f.csv", number)
        for number, row in enumerate(rows, 1)
    ]


def mixed(sources: Sequence[Rows], rng: random.Random) -> Rows:
    left = [list(rows) for rows in sources if rows]
    found = []
    while left:
        rows = rng.choice(left)
        found.append(rows.pop(0))
        left = [each for each in left if each]
    return found


def is_right(merged: Merged) -> bool:
    return not (merged.has_extra or merged.left or merged.ending)


def is_mixture(rows: Rows, sources: Sequence[Rows]) -> bool:
    """Whether it is one, by trying everything."""
    states = {tuple(0 for _ in sources)}
    for row in rows:
        states = {
            (*state[:at], position + 1, *state[at + 1 :])
            for state in states
            for at, position in enumerate(state)
            if position < len(sources[at]) and sources[at][position] == row
        }
    return tuple(map(len, sources)) in states


MERGES: list[Callable[[list[FoundLine], Sequence[Rows]], Merged]] = [
    lambda found, sources: merge(found, streams(sources), b"\n"),
    lambda found, sources: merge_unordered(found, lambda: streams(sources), b"\n"),
]


@pytest.mark.parametrize("compare", MERGES)
@given(EQUAL | UNLIKE, st.randoms())
def test_every_mixture_is_right(
    compare: Callable[[list[FoundLine], Sequence[Rows]], Merged], sources: list[Rows], rng: random.Random
) -> None:
    assert is_right(compare(lines(mixed(sources, rng)), sources))


@given(UNLIKE, st.randoms(), st.data())
def test_without_equal_rows_only_mixtures_are_right(
    sources: list[Rows], rng: random.Random, data: st.DataObject
) -> None:
    rows = mixed(sources, rng)
    others = [data.draw(st.permutations(rows)), *changed(rows, data)]
    for other in others:
        assert is_right(merge(lines(other), streams(sources), b"\n")) == is_mixture(other, sources)


@given(EQUAL, st.randoms(), st.data())
def test_with_equal_rows_what_is_named_is_no_mixture(
    sources: list[Rows], rng: random.Random, data: st.DataObject
) -> None:
    rows = mixed(sources, rng)
    for other in (data.draw(st.permutations(rows)), *changed(rows, data)):
        if not is_right(merge(lines(other), streams(sources), b"\n")):
            assert not is_mixture(other, sources)
        if sorted(other) != sorted(rows):
            assert not is_right(merge(lines(other), streams(sources), b"\n"))
            assert not is_right(merge_unordered(lines(other), lambda: streams(sources), b"\n"))


def changed(rows: Rows, data: st.DataObject) -> list[Rows]:
    if not rows:
        return [[b"x"]]
    at = data.draw(st.integers(0, len(rows) - 1))
    swapped = rows[:at] + rows[at : at + 2][::-1] + rows[at + 2 :]
    return [rows[:at] + rows[at + 1 :], rows[: at + 1] + rows[at:], swapped, [*rows[:at], b"x", *rows[at + 1 :]]]


@pytest.mark.parametrize(
    ("rows", "line", "following"),
    [
        # A row changed, dropped, doubled, and exchanged with the next.
        ([b"1", b"x", b"3"], 2, 2),
        ([b"1", b"3"], 2, 2),
        ([b"1", b"1", b"2", b"3"], 2, 2),
        ([b"2", b"1", b"3"], 1, 1),
    ],
)
def test_the_first_odd_line_stands_beside_the_row_that_was_next(rows: Rows, line: int, following: int) -> None:
    merged = merge(lines(rows), streams([[b"1", b"2", b"3"]]), b"\n")
    assert merged.odd is not None
    assert (merged.odd.line.number, merged.odd.next[0].line) == (line, following)


def test_a_file_that_is_cut_lacks_the_first_row_behind() -> None:
    merged = merge(lines([b"1"]), streams([[b"1", b"2", b"3"]]), b"\n")
    assert (merged.odd, merged.left[0].line) == (None, 2)


@pytest.mark.parametrize(
    ("expected", "found", "last", "is_well"),
    [
        (b"\n", b"\n", b"\n", True),
        (b"\r\n", b"\n", b"\n", False),
        # A row without a line ending gets the usual one where another follows.
        (b"", b"\n", b"", True),
        (b"", b"\r\n", b"", False),
        (HALF_CRLF, b"\r\n", b"\r", True),
        (HALF_CRLF, b"\r", b"\r", False),
        (HALF_CRLF, b"\r\n", b"\n", False),
    ],
)
def test_each_row_has_its_line_ending(expected: bytes, found: bytes, last: bytes, is_well: bool) -> None:  # noqa: FBT001
    sources = [[b"1"], [b"2"]]
    merged = merge(lines([b"1", b"2"], found, last), streams(sources, expected), b"\n")
    assert (merged.ending is None, merged.has_extra, merged.left) == (is_well, False, {})


def test_many_streams_take_little_time() -> None:
    numbers = count()
    sources = [[b"%d" % next(numbers) for _ in range(20)] for _ in range(2_000)]
    rng = random.Random(1)  # noqa: S311 - a test's own mixture
    assert is_right(merge(lines(mixed(sources, rng)), streams(sources), b"\n"))
