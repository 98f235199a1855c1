import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.delivered.names import aside_name, digest_in, first_free, is_aside, numbered, source_digest

names = st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 0x2F} & set(name)).map(os.fsdecode)


@given(source=st.text(min_size=1), end=st.integers(1, 10**9), name=names)
def test_a_hidden_name_fits_is_known_as_one_and_names_its_source(source: str, end: int, name: str) -> None:
    hidden = aside_name("", source, end, name)
    assert hidden.startswith(".")
    assert is_aside(hidden)
    assert digest_in(hidden) == source_digest("", source)
    assert len(os.fsencode(hidden)) <= 255


def test_a_hidden_name_is_one_end_s_alone_and_shows_what_it_hides() -> None:
    assert aside_name("", "/in/a.csv", 2, "a.csv").endswith("-2-a.csv")
    assert len({aside_name("", source, end, "a.csv") for source in ("/in/a.csv", "/in/b.csv") for end in (1, 2)}) == 4


@pytest.mark.parametrize("name", ["a.csv", ".nacre", ".nacre.csv", "nacre-0123456789ab-1-a.csv"])
def test_other_names_are_none(name: str) -> None:
    assert not is_aside(name)
    assert digest_in(name) == ""


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("a.csv", "a~2.csv"),
        ("a.b.CSV", "a.b~2.CSV"),
        ("a.csv.gz", "a~2.csv.gz"),
        ("a.csv.zst", "a~2.csv.zst"),
        ("log.csv.1", "log.csv.1~2"),
        ("a", "a~2"),
        (".csv", "~2.csv"),
    ],
)
def test_a_number_stands_before_the_suffix(name: str, second: str) -> None:
    assert numbered(name, 1) == name
    assert numbered(name, 2) == second


@given(st.integers(0, 5000))
def test_behind_numbers_that_are_taken_in_turn_comes_the_next_one_in_few_steps(count: int) -> None:
    asked = []

    def is_taken(number: int) -> bool:
        asked.append(number)
        return number <= count

    assert first_free(is_taken) == count + 1
    assert len(asked) <= 30


@given(st.sets(st.integers(1, 60)))
def test_a_number_that_is_taken_is_never_given(taken: set[int]) -> None:
    assert first_free(lambda number: number in taken) not in taken
