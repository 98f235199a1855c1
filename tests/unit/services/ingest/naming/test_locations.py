from hypothesis import given
from hypothesis import strategies as st

from services.ingest.naming.locations import (
    FoundFile,
    InputSnapshot,
    SourceLocation,
    SourceLocations,
    decode_location,
    earlier,
    encode_location,
    home_and_number,
)

A, B, C = "/in/a.csv", "/in/b.csv", "/in/c.csv"


def files(**inodes: str) -> dict[str, FoundFile]:
    """Files by the letter of each name, with their inodes."""
    paths = {name: f"/in/{name}.csv" for name in inodes}
    return {path: FoundFile(path, inodes[name]) for name, path in paths.items()}


def seen(**inodes: str) -> InputSnapshot:
    found = files(**inodes)
    return InputSnapshot(files=found, by_file={each.file: path for path, each in found.items()})


def locations(**known: SourceLocation) -> SourceLocations:
    made = SourceLocations()
    for name, location in known.items():
        made.put(f"/in/{name}.csv", location)
    return made


def test_what_a_look_leaves_out_for_now_is_nowhere_else() -> None:
    held_back = InputSnapshot(by_file={"1": "/in/a.csv"})
    assert list(held_back.elsewhere(SourceLocation("/in/b.csv", "1"))) == []


def test_a_new_file_is_named_after_its_path() -> None:
    assert SourceLocations().new_sources(files(a="1", b="2"), {}) == {
        A: SourceLocation(A, "1"),
        B: SourceLocation(B, "2"),
    }


def test_a_file_that_is_known_is_not_named_again_whatever_it_is_called() -> None:
    assert locations(a=SourceLocation(A, "1")).new_sources(files(c="1"), {}) == {}


def test_a_new_file_under_a_known_path_waits_until_its_source_was_found() -> None:
    known = locations(a=SourceLocation(A, "1"))
    assert known.new_sources(files(a="2", b="1"), {}) == {}
    known.put(A, SourceLocation(B, "1"))
    assert known.new_sources(files(a="2", b="1"), {}) == {f"{A}//2": SourceLocation(A, "2")}
    known.put(f"{A}//2", SourceLocation(A, "2"))
    known.put(f"{A}//2", SourceLocation(C, "2"))
    assert known.new_sources(files(a="3", b="1", c="2"), {}) == {f"{A}//3": SourceLocation(A, "3")}


def test_two_names_of_one_file_are_one_source() -> None:
    assert list(SourceLocations().new_sources(files(a="1", b="1"), {})) == [A]


def test_files_whose_status_cannot_be_read_are_sources_of_their_own() -> None:
    assert list(SourceLocations().new_sources(files(a="", b=""), {})) == [A, B]


def test_a_file_whose_inode_was_given_up_is_new() -> None:
    known = locations(a=SourceLocation(A, "1"))
    known.put(A, SourceLocation(A))
    assert known.source_of("1") is None
    assert known.new_sources(files(b="1"), {}) == {B: SourceLocation(B, "1")}


def test_a_file_at_a_path_goes_to_the_latest_source_that_has_a_file_there_and_to_none_elsewhere() -> None:
    known = locations(a=SourceLocation(A, "1"), b=SourceLocation(B, "2"))
    assert known.may_take(A, A, "3")
    assert not known.may_take(A, A, "")
    assert not known.may_take(A, A, "2")
    assert not known.may_take(B, A, "3")
    known.put(f"{A}//2", SourceLocation(A))
    assert known.may_take(A, A, "3")
    known.put(f"{A}//2", SourceLocation(A, "4"))
    assert known.may_take(f"{A}//2", A, "3")


def test_no_source_may_take_a_file_at_a_path_that_all_have_left_or_none_ever_had() -> None:
    known = locations(a=SourceLocation(A, "1"))
    known.put(A, SourceLocation(B, "1"))
    assert not known.may_take(A, A, "2")
    assert not known.may_take(A, C, "2")


def test_a_chain_of_rotated_files_is_followed_in_any_order() -> None:
    for order in ([A, B], [B, A]):
        known = locations(a=SourceLocation(A, "1"), b=SourceLocation(B, "2"))
        look = seen(a="3", b="1", c="2")
        for source in order:
            location = known.of[source]
            assert look.at_location(location) is None
            [(path, _)] = look.elsewhere(location)
            known.put(source, SourceLocation(path, location.file))
        assert known.of == {A: SourceLocation(B, "1"), B: SourceLocation(C, "2")}
        assert known.new_sources(look.files, {}) == {f"{A}//2": SourceLocation(A, "3")}


def test_a_file_under_a_name_that_input_does_not_have_is_found_beside() -> None:
    rotated = FoundFile("/in/a.csv.1", "1")
    look = InputSnapshot(files=files(a="2"), beside={"1": ("/in/a.csv.1", rotated)}, by_file={"2": A})
    assert list(look.elsewhere(SourceLocation(A, "1"))) == [("/in/a.csv.1", rotated)]
    assert look.at_location(SourceLocation("/in/a.csv.1", "1")) is rotated
    assert look.at_location(SourceLocation(A, "1")) is None


def test_sources_of_one_path_are_numbered_and_known_in_their_order() -> None:
    assert home_and_number(f"{A}//12") == (A, 12)
    assert home_and_number(A) == (A, 1)
    assert earlier(f"{A}//3") == f"{A}//2"
    assert earlier(f"{A}//2") == A
    assert earlier(A) is None


@given(st.builds(SourceLocation, st.text(), st.text()))
def test_a_location_comes_back_as_it_was(location: SourceLocation) -> None:
    assert decode_location(encode_location(location)) == location


letters = st.sampled_from("abc")
moves = st.lists(st.tuples(letters, letters), max_size=12)


@given(moves)
def test_however_files_are_renamed_each_stays_one_source(renames: list[tuple[str, str]]) -> None:
    disk: dict[str, str] = {}
    known = SourceLocations()
    source_of: dict[str, str] = {}
    inodes = iter(range(1000))
    for old, new in renames:
        # Rename a file over whatever has the new name, and make another one where it was.
        if old in disk:
            disk[new] = disk.pop(old)
        disk[old] = str(next(inodes))
        look = seen(**disk)
        for _ in range(2):
            for source, location in list(known.of.items()):
                if look.at_location(location) is None:
                    # Decide as a partition does: the file is elsewhere, or given up.
                    path = next((path for path, _ in look.elsewhere(location)), None)
                    known.put(source, SourceLocation(path, location.file) if path else SourceLocation(location.path))
            for source, location in known.new_sources(look.files, {}).items():
                known.put(source, location)
        for file in disk.values():
            if (named := known.source_of(file)) is not None:
                assert source_of.setdefault(file, named) == named
    assert len(set(source_of.values())) == len(source_of)


def test_where_nothing_moves_the_locations_are_not_copied() -> None:
    # With all sources that there ever were, each new file would take seconds.
    locations = SourceLocations()
    locations.put("/a", SourceLocation("/a", "1"))
    assert locations.with_moves({}) == (locations, {})
