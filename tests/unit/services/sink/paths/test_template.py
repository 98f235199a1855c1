"""PATH_TEMPLATE: which paths it gives, and which templates are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.protocol.category_keys import Category
from common.protocol.output_folder import RESERVED, is_reserved_folder
from services.sink.paths.names import file_path
from services.sink.paths.template import DEFAULT_RULE, DEFAULT_TEMPLATE, FilePlace, path_rule

texts = st.text(max_size=8) | st.sampled_from(["rejected", "M-000001", "a=b", "x.csv", "..", "a" * 300, *RESERVED])
categories = st.lists(texts | st.none(), max_size=3).map(tuple)


@given(texts, categories, st.integers(1, 12))
def test_the_default_is_the_rule_of_names(split: str, category: Category, number: int) -> None:
    assert DEFAULT_RULE.place(split, category, number) == FilePlace(file_path(split, category, number))


@pytest.mark.parametrize(
    ("template", "suffix", "place"),
    [
        (DEFAULT_TEMPLATE, "", FilePlace("Sex/M~2-000007.csv.open", "Sex/M~2-000007.csv")),
        (DEFAULT_TEMPLATE, ".gz", FilePlace("Sex/M~2-000007.csv.open", "Sex/M~2-000007.csv.gz")),
        (
            "{split}={category}/{date}/part-{part}.csv",
            ".zst",
            FilePlace("Sex=M~2/2026-11-25/part-000007.csv.open", "Sex=M~2/2026-11-25/part-000007.csv.zst"),
        ),
    ],
)
def test_a_file_that_will_be_finished_has_two_places(template: str, suffix: str, place: FilePlace) -> None:
    rule = path_rule(template, rolls=True, packed_suffix=suffix)
    assert rule.place("Sex", ("M",), 2, 7, "2026-11-25") == place


def test_a_split_without_columns_has_a_file_in_every_template() -> None:
    assert path_rule(DEFAULT_TEMPLATE, rolls=True).place("all", (), 1, 1).final == "all-000001.csv"
    assert path_rule("by {split}/x {category}.csv", rolls=False).place("all", (), 2).path == "by all/x ~all~2.csv"


@pytest.mark.parametrize(
    "template",
    ["{split}/{category}-{part}.csv", "{split}={category}/part-{part}.csv", "{part}/{category}/{split}.csv"],
)
@given(st.lists(st.tuples(st.just("Sex"), categories, st.integers(1, 12), st.integers(1, 10**7)), unique=True))
def test_no_two_files_of_a_split_share_a_path(template: str, files: list[tuple[str, Category, int, int]]) -> None:
    rule = path_rule(template, rolls=True)
    # All categories of a split have the same number of columns.
    files = [file for file in files if len(file[1]) == 1]
    places = [rule.place(*file) for file in files]
    assert len({path.lower() for place in places for path in (place.path, place.final)}) >= 2 * len(
        {(split, tuple((part or "~").lower() for part in category), *rest) for split, category, *rest in files}
    )
    for place in places:
        assert all(0 < len(name.encode()) <= 250 for name in place.path.split("/"))
        assert not place.path.startswith(("/", ".", "rejected.csv"))


@pytest.mark.parametrize(
    ("template", "split", "category"),
    [
        (DEFAULT_TEMPLATE, "_receipts", "x"),
        ("_{split}/{category}.csv", "SUCCESS", "x"),
        ("{category}/{split}.csv", "Sex", "datapackage.json"),
        ("{category}.txt/{split}.csv", "Sex", "manifest-sha256"),
    ],
)
def test_no_file_is_where_sink_keeps_its_own(template: str, split: str, category: str) -> None:
    rule = path_rule(template, rolls=True)
    place = rule.place(split, (category,), 1, 1)
    assert place.path.startswith("%")
    assert not is_reserved_folder(place.path.partition("/")[0])
    assert place.path == f"{place.final}.open"


@given(st.tuples(texts, texts), st.tuples(texts, texts))
def test_no_two_files_share_a_path_because_one_was_called_like_sink_s_own(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    for template in ("_{split}/{category}.csv", "{category}/{split}.csv", "{split}.json/{category}.csv"):
        rule = path_rule(template, rolls=False)
        places = [rule.place(split, (category,), 1).path for split, category in (one, other)]
        assert (places[0] == places[1]) == (one == other)


@pytest.mark.parametrize(
    ("template", "rolls", "problem"),
    [
        ("_receipts/{split}/{category}.csv", False, "_receipts is where sink keeps what it writes of its own"),
        ("Datapackage.JSON/{split}/{category}.csv", True, "something else"),
        ("{category}.csv", False, "needs {split}"),
        ("{split}.csv", False, "needs {split} and {category}"),
        ("{split}/{category}/{category}.csv", False, "each once"),
        ("{split}{category}.csv", False, "between two placeholders"),
        ("{split}/{category}{part}.csv", True, "between two placeholders"),
        ("{split}/{category}-1{part}.csv", True, "no digit"),
        ("{split}/{category}-{part}.csv", False, "set one of ROLL_"),
        ("{split}/{date}/{category}.csv", False, "set one of ROLL_"),
        ("{split}/{category}-{part}-{part}.csv", True, "twice"),
        ("{split}/{colour}/{category}.csv", False, "no others"),
        ("{split}/{category}.txt", False, "end with .csv"),
        ("/data/{split}/{category}.csv", False, "empty or begin with"),
        ("../{split}/{category}.csv", False, "empty or begin with"),
        (".nacre/{split}/{category}.csv", False, "empty or begin with"),
        ("{split}//{category}.csv", False, "empty or begin with"),
        ("{split}.csv/{category}.csv", False, "no folder"),
        ("{split}/a\0{category}.csv", False, "may hold letters"),
        ("{split}/~{category}.csv", False, "may hold letters"),
        ("{split}/" + 21 * "a" + "{category}.csv", False, "longer than 20 bytes"),
    ],
)
def test_a_template_that_would_lose_files_is_refused(template: str, rolls: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        path_rule(template, rolls=bool(rolls))
