"""What split commits beside an offset: read as written, small enough, and never guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.protocol.position import (
    MOST_BYTES,
    HeldSplit,
    Position,
    PositionError,
    SplitGroup,
    decode_position,
    digest,
    encode_position,
    misplaced,
    widest_size,
)

COUNTS = st.integers(0, 10**12)
HELD = st.builds(HeldSplit, st.text(max_size=8), st.text(max_size=8), COUNTS)
GAPS = st.lists(st.tuples(COUNTS, st.none() | COUNTS), max_size=2).map(tuple)
GROUPS = st.builds(SplitGroup, COUNTS, COUNTS, st.lists(HELD, max_size=3).map(tuple), GAPS)
SOME_GROUPS = st.lists(GROUPS, max_size=3).map(tuple)
POSITIONS = st.builds(
    Position,
    GROUPS,
    SOME_GROUPS,
    SOME_GROUPS,
    COUNTS,
    st.integers(0, 100),
    st.dictionaries(st.sampled_from(["rows", "schemas"]), st.text(max_size=22)),
    st.none() | COUNTS,
)


def position_of(splits: int) -> Position:
    held = tuple(HeldSplit(digest(f"name {number}"), digest("definition")) for number in range(splits))
    return Position(SplitGroup(splits=held))


@given(POSITIONS)
def test_a_position_is_read_as_it_was_written(position: Position) -> None:
    assert decode_position(encode_position(position), position.main.offset) == position


@given(POSITIONS)
def test_none_is_longer_than_its_widest_form(position: Position) -> None:
    assert len(encode_position(position)) <= widest_size(position) + 200


def test_fifty_splits_fit_into_a_commit_whatever_they_count() -> None:
    assert widest_size(position_of(50)) <= MOST_BYTES < widest_size(position_of(120))


def test_fields_of_a_later_version_are_ignored() -> None:
    metadata = '{"version":1,"rows":7,"later":{"x":1},"main":{"mark":3,"later":2,"splits":[["n","d",4,0,"later"]]}}'
    assert decode_position(metadata, 9) == Position(SplitGroup(9, 3, (HeldSplit("n", "d", 4),)), rows=7)


def test_of_a_split_that_does_not_say_it_rows_are_taken_to_be_placed() -> None:
    metadata = '{"version":1,"main":{"splits":[["n","d",4]]}}'
    assert decode_position(metadata, 0).main.splits == (HeldSplit("n", "d", 4, placed=True),)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("", "does not say its version"),
        ("taken by hand", "does not say its version"),
        ('{"mark_offset":0,"rows":2,"rejected":[0]}', "does not say its version"),
        ("[1]", "does not say its version"),
        ('{"version":2,"main":[]}', "its version is 2, and this version of split reads 1"),
        ('{"version":1,"main":[]}', "damaged"),
        ('{"version":1,"main":{"splits":[["n"]]}}', "damaged"),
    ],
)
def test_what_is_no_position_of_this_version_is_an_error(metadata: str, said: str) -> None:
    with pytest.raises(PositionError, match=said):
        decode_position(metadata, 0)


def test_another_id_of_a_topic_is_noticed_and_an_unknown_one_accepted() -> None:
    remembered = {"rows": "a", "schemas": "b", "rejected": ""}
    assert misplaced(remembered, {}) == []
    assert misplaced(remembered, {"rows": "a", "schemas": "", "rejected": "x"}) == []
    assert misplaced(remembered, {"rows": "c", "schemas": "b"}) == ["rows"]
