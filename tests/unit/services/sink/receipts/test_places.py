"""How far receipts are posted, and what answers mean."""

import pytest

from services.sink.receipts.places import Place, Taken, decode_place, encode_place, pause_before_next_s, taken

PLACE = Place("topic", 7)


def test_a_place_is_read_as_it_was_written() -> None:
    assert decode_place(encode_place(PLACE), "topic") == PLACE


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version":1,"topic_id":"topic"}',
        b'{"version":1,"topic_id":7,"offset":7}',
        encode_place(PLACE).replace(b'"version":1', b'"version":2'),
        encode_place(PLACE)[:-1],
    ],
)
def test_what_this_version_cannot_read_is_no_place(value: bytes) -> None:
    assert decode_place(value, "topic") is None


def test_a_place_in_another_topic_is_none() -> None:
    assert decode_place(encode_place(PLACE), "created again") is None


def test_a_place_from_before_the_broker_gave_ids_is_kept() -> None:
    assert decode_place(encode_place(Place("", 7)), "topic") == PLACE


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Taken.YES),
        (204, Taken.YES),
        (302, Taken.NOT_YET),
        (400, Taken.NO),
        (401, Taken.NOT_YET),
        (404, Taken.NOT_YET),
        (413, Taken.NO),
        (422, Taken.NO),
        (408, Taken.NOT_YET),
        (429, Taken.NOT_YET),
        (500, Taken.NOT_YET),
        (503, Taken.NOT_YET),
    ],
)
def test_an_answer_takes_refuses_or_may_change(status: int, expected: Taken) -> None:
    assert taken(status) is expected


def test_pauses_double_up_to_a_minute() -> None:
    assert [pause_before_next_s(failures) for failures in (1, 2, 3, 6, 7, 100_000)] == [1, 2, 4, 32, 60, 60]
