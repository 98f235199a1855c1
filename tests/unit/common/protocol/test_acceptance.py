import pytest

from common.protocol.acceptance import Acceptance, decode_acceptance, encode_acceptance
from common.protocol.position import Position, encode_position

ACCEPTED = Acceptance("topic-1", 4180)


def test_what_was_accepted_is_read_back() -> None:
    assert decode_acceptance(encode_acceptance(ACCEPTED)) == ACCEPTED


def test_it_holds_for_what_was_gone_then_and_for_no_more() -> None:
    assert ACCEPTED.holds_for("topic-1", 4180)
    assert not ACCEPTED.holds_for("topic-1", 4181)
    assert not ACCEPTED.holds_for("topic-1", 0)


def test_it_holds_for_no_topic_that_was_created_again() -> None:
    assert not ACCEPTED.holds_for("topic-2", 4180)
    # If a broker gives no ids, nothing shows that the topic is another one.
    assert ACCEPTED.holds_for("", 4180)


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "no JSON",
        "[1]",
        "{}",
        '{"version":1,"topic_id":"topic-1"}',
        '{"version":2,"begin":4180,"topic_id":"topic-1"}',
        encode_position(Position()),
    ],
)
def test_other_metadata_of_a_commit_accepts_nothing(metadata: str) -> None:
    assert decode_acceptance(metadata) is None
