"""When a broker is called silent, by what each look at its connections shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.aiokafka_internals.open_connections import Contact
from common.health.silence import LOOK_INTERVAL_S, SILENT_S, Silence

HERE, THERE = ("here", 9092), ("there", 9092)
# Looks without an answer until it is silent; one more, because the first shows only that a request waits.
LOOKS = int(SILENT_S / LOOK_INTERVAL_S) + 1


def looked(*looks: Contact | None) -> Silence:
    silence = Silence()
    for contact in looks:
        silence.look({} if contact is None else {HERE: contact})
    return silence


WAITS = Contact(1.0, waits=True)
ANSWERED = [Contact(2.0, waits=False), Contact(2.0, waits=True)]


def test_a_broker_that_owes_an_answer_for_long_enough_is_silent() -> None:
    # The first look hears its earlier answer.
    assert looked(*[WAITS] * LOOKS).reason == ""
    assert looked(*[WAITS] * (LOOKS + 1)).reason == "here:9092 has not answered for 3 s"
    assert looked(*[WAITS] * (LOOKS + 7)).reason == "here:9092 has not answered for 4 s"


def test_one_that_owes_nothing_is_not() -> None:
    assert looked(*[Contact(1.0, waits=False)] * 100).reason == ""


@pytest.mark.parametrize("answered", ANSWERED, ids=["owing nothing more", "owing the next"])
def test_any_answer_ends_it(answered: Contact) -> None:
    assert looked(*[WAITS] * (LOOKS + 9), answered).reason == ""
    assert looked(*[WAITS] * LOOKS, answered, *[answered] * (LOOKS - 1)).reason == ""


def test_it_stays_silent_while_its_connections_are_closed_and_tried_again_but_not_for_ever() -> None:
    assert looked(*[WAITS] * (LOOKS + 1), *[None] * 60).reason == "here:9092 has not answered for 18 s"
    assert looked(*[WAITS] * (LOOKS + 1), *[None] * 200).reason == ""


def test_one_whose_connections_end_before_that_is_not_silent() -> None:
    assert looked(*[WAITS] * LOOKS, *[None] * 60).reason == ""


def test_several_are_named() -> None:
    silence = Silence()
    for number in range(LOOKS + 5):
        silence.look({HERE: WAITS} | ({THERE: WAITS} if number else {}))
    assert silence.reason == "here:9092 and there:9092 have not answered for 4 s"


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_it_is_silent_only_after_so_many_looks_without_an_answer(looks: list[tuple[bool, bool]]) -> None:
    silence, answered_at, quiet = Silence(), 1.0, 0
    for answers, waits in looks:
        answered_at += answers
        quiet = 0 if answers else quiet + 1
        silence.look({HERE: Contact(answered_at, waits)})
        if quiet < LOOKS:
            assert silence.reason == ""
        elif all(waits for _, waits in looks[len(looks) - quiet :]) and quiet > LOOKS:
            assert "here" in silence.reason
