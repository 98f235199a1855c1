"""Which file is which source, also where several had one name in turn."""

import pytest

from ops.verify.rows.source_names import SourceChoice, choose_sources, match_names, newest

SURE = True


@pytest.mark.parametrize(
    ("files", "ends", "expected"),
    [
        # By its own name, or by the end of it.
        ({"/in/a.csv": 9}, {"/in/a.csv": 5}, {"/in/a.csv": SourceChoice("/in/a.csv", SURE)}),
        (
            {"/x/1/a.csv": 5, "/x/2/a.csv": 5},
            {"/data/1/a.csv": 5, "/data/2/a.csv": 5},
            {"/x/1/a.csv": SourceChoice("/data/1/a.csv", SURE), "/x/2/a.csv": SourceChoice("/data/2/a.csv", SURE)},
        ),
        # The second file of that name, the first one, and one that has grown since.
        ({"/in/a.csv": 7}, {"/in/a.csv": 5, "/in/a.csv//2": 7}, {"/in/a.csv": SourceChoice("/in/a.csv//2", SURE)}),
        ({"/in/a.csv": 5}, {"/in/a.csv": 5, "/in/a.csv//2": 7}, {"/in/a.csv": SourceChoice("/in/a.csv", SURE)}),
        (
            {"/in/a.csv": 9},
            {"/in/a.csv": 5, "/in/a.csv//10": 7, "/in/a.csv//9": 6},
            {"/in/a.csv": SourceChoice("/in/a.csv//10")},
        ),
        # Two have that size, none is so short, and no end has come.
        ({"/in/a.csv": 5}, {"/in/a.csv": 5, "/in/a.csv//2": 5}, {"/in/a.csv": SourceChoice("/in/a.csv//2")}),
        ({"/in/a.csv": 4}, {"/in/a.csv": 5, "/in/a.csv//2": 7}, {"/in/a.csv": SourceChoice(None)}),
        ({"/in/a.csv": 4}, {"/in/a.csv": None, "/in/a.csv//2": None}, {"/in/a.csv": SourceChoice(None)}),
        # One that was moved away, while another has its name.
        (
            {"/done/a.csv": 5, "/in/a.csv": 7},
            {"/in/a.csv": 5, "/in/a.csv//2": 7},
            {"/in/a.csv": SourceChoice("/in/a.csv//2", SURE), "/done/a.csv": SourceChoice("/in/a.csv")},
        ),
        # Of moved files those have a number whose name was taken; one that is no source by its size may be new.
        ({"/done/a~2.csv": 5}, {"/in/a.csv": 5}, {"/done/a~2.csv": SourceChoice("/in/a.csv")}),
        (
            {"/in/a.csv": 5, "/done/a~2.csv": 5},
            {"/in/a.csv": 5},
            {"/in/a.csv": SourceChoice("/in/a.csv", SURE), "/done/a~2.csv": SourceChoice(None)},
        ),
        ({"/done/a~2.csv.gz": 6}, {"/in/a.csv.gz": 5}, {}),
        ({"/in/y/a.csv": 6, "/in/x/a.csv": 5}, {"/in/x/a.csv": 5}, {"/in/x/a.csv": SourceChoice("/in/x/a.csv", SURE)}),
        # No source has that name.
        ({"/in/new.csv": 5}, {"/in/a.csv": 5}, {}),
    ],
)
def test_a_file_is_the_source_that_its_name_and_its_size_say(
    files: dict[str, int], ends: dict[str, int | None], expected: dict[str, SourceChoice]
) -> None:
    assert choose_sources(match_names(files, ends), files.__getitem__, ends.__getitem__) == expected


def test_where_names_are_all_that_is_known_the_newest_source_is_taken() -> None:
    claims = match_names(["/in/a.csv", "/in/b.csv"], ["/in/a.csv//2", "/in/a.csv"])
    assert newest(claims) == {"/in/a.csv": "/in/a.csv//2"}
