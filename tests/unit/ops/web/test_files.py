import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.status.source_figures import Delivery, SourceFigures
from ops.web.files import MOST_FILES, FilesRequest, files_asked_for, read_request


def source(name: str, delivery: Delivery = Delivery.DELIVERED) -> SourceFigures:
    return SourceFigures(name, delivery, 1, 2, 50.0, 3, 0, None)


MANY = [source(f"/data/{n:05}.csv", Delivery.UNDER_WAY if n < 10 else Delivery.DELIVERED) for n in range(10_000)]


def names(found: dict[str, object]) -> list[str]:
    files = found["files"]
    assert isinstance(files, list)
    return [each["source"] for each in files]


def test_of_ten_thousand_only_those_in_view_are_sent() -> None:
    found = files_asked_for(MANY, FilesRequest(first=9_990, most=60))
    assert (found["count"], names({**found})[0], len(found["files"])) == (10_000, "/data/09990.csv", 10)
    assert len(files_asked_for(MANY, read_request("most=5000"))["files"]) == MOST_FILES


def test_a_part_of_the_name_and_how_they_stand_select() -> None:
    found = files_asked_for(MANY, read_request("contains=0000&delivery=under+way"))
    assert (found["count"], names({**found})[-1]) == (10, "/data/00009.csv")
    assert files_asked_for([source("/data/Ähren.CSV")], read_request("contains=%C3%A4HREN.c"))["count"] == 1
    assert files_asked_for(MANY, read_request("contains=none"))["count"] == 0


def test_what_a_name_would_do_to_a_screen_is_escaped() -> None:
    [shown] = names({**files_asked_for([source("a\u202egnp.csv\x1b[2J\n")], FilesRequest())})
    assert shown == "a\\u202egnp.csv\\x1b[2J\\n"


@pytest.mark.parametrize("query", ["first=-1", "most=x", "first=1e3", "delivery=lost", "first=99999999999", "a&" * 9])
def test_a_question_that_cannot_be_read_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_request(query + "=1" if query.startswith("a&") else query)


@given(st.text())
def test_whatever_is_asked_there_is_an_answer_or_a_refusal(query: str) -> None:
    try:
        request = read_request(query)
    except ValueError:
        return
    assert files_asked_for(MANY[:20], request)["count"] <= 20
