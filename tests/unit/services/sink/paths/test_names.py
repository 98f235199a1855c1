import posixpath
import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.protocol.category_keys import Category
from common.protocol.output_folder import RESERVED
from services.sink.paths.names import file_path, parse_path


@pytest.mark.parametrize(
    ("split", "category", "number", "path"),
    [
        ("Sex", ("M",), 1, "Sex/M.csv"),
        ("Sex", ("M",), 2, "Sex/M~2.csv"),
        ("Sex", (None,), 1, "Sex/~empty.csv"),
        ("Sex", (None,), 2, "Sex/~empty~2.csv"),
        ("Sex", ("",), 1, "Sex/~blank.csv"),
        ("Sex", ("~empty",), 1, "Sex/%7Eempty.csv"),
        ("Sex", ("M~2",), 1, "Sex/M%7E2.csv"),
        ("Sex", ("%4D",), 1, "Sex/%254D.csv"),
        ("Sex+Rings", ("M", "15"), 1, "Sex+Rings/M/15.csv"),
        ("Sex+Rings", (None, "15"), 3, "Sex+Rings/~empty/15~3.csv"),
        ("all", (), 1, "all.csv"),
        ("all", (), 2, "all~2.csv"),
        ("#1", ("x",), 1, "#1/x.csv"),
        ("Whole weight", ("0.4",), 1, "Whole weight/0.4.csv"),
        ("Rings", ("-7",), 1, "Rings/%2D7.csv"),
        ("s", ("R&D (old), 'a' = b!",), 1, "s/R&D (old), 'a' = b!.csv"),
        ("s", (" a ",), 1, "s/%20a%20.csv"),
        ("s", (" ",), 1, "s/%20.csv"),
        ("s", ("a.",), 1, "s/a%2E.csv"),
        ("s", (".",), 1, "s/%2E.csv"),
        ("s", ("..",), 1, "s/%2E%2E.csv"),
        ("s", ("...",), 1, "s/%2E.%2E.csv"),
        (".nacre", ("x",), 1, "%2Enacre/x.csv"),
        ("s", ("/etc/passwd",), 1, "s/%2Fetc%2Fpasswd.csv"),
        ("s", ('a\\b:*?"<>|\0\n\x7f',), 1, "s/a%5Cb%3A%2A%3F%22%3C%3E%7C%00%0A%7F.csv"),
        ("s", ("$(a);`b`{}^",), 1, "s/%24(a)%3B%60b%60%7B%7D%5E.csv"),
        ("s", ("CON",), 1, "s/%43ON.csv"),
        ("s", ("con",), 2, "s/%63on~2.csv"),
        ("s", ("Lpt1.x", "AUX .y", "com0"), 1, "s/%4Cpt1.x/%41UX .y/%63om0.csv"),
        ("s", ("CONE", "COM", "COM10"), 1, "s/CONE/COM/COM10.csv"),
        ("nul", (), 1, "%6Eul.csv"),
        ("rejected", (), 1, "%72ejected.csv"),
        ("Rejected", (), 2, "%52ejected~2.csv"),
        ("rejected", ("x",), 1, "rejected/x.csv"),
        ("s", ("rejected",), 1, "s/rejected.csv"),
        ("rejected.csv", ("x",), 1, "rejected%2Ecsv/x.csv"),
        ("_receipts", ("x",), 1, "%5Freceipts/x.csv"),
        ("_Success", ("x", "y"), 2, "%5FSuccess/x/y~2.csv"),
        ("_SUCCESS.tmp", ("x",), 1, "%5FSUCCESS.tmp/x.csv"),
        ("manifest-SHA256.txt", ("x",), 1, "%6Danifest-SHA256.txt/x.csv"),
        ("datapackage.json", ("x",), 1, "%64atapackage.json/x.csv"),
        ("datapackage.json.tmp", ("x",), 1, "%64atapackage.json.tmp/x.csv"),
        ("_receipts", (), 1, "_receipts.csv"),
        ("s", ("_receipts", "_SUCCESS"), 1, "s/_receipts/_SUCCESS.csv"),
        ("all.CSV", ("a.csv", "b.csv"), 1, "all%2ECSV/a%2Ecsv/b%2Ecsv.csv"),
        ("s", (".csv",), 1, "s/%2Ecsv.csv"),
        ("s", ("Zoë", "Мария", "日本", "हिन्दी"), 1, "s/Zoë/Мария/日本/हिन्दी.csv"),
        ("s", ("Straße", "Ж", "μέλος"), 1, "s/Stra%C3%9Fe/Ж/μέλο%CF%82.csv"),
        ("s", ("Zoe\u0308",), 1, "s/Zoe%CC%88.csv"),
        ("s", ("\u212b",), 1, "s/%E2%84%AB.csv"),
        ("s", ("€ \u200b\u3164\U0001f600",), 1, "s/%E2%82%AC %E2%80%8B%E3%85%A4%F0%9F%98%80.csv"),
        ("s", ("\udcff",), 1, "s/%ED%B3%BF.csv"),
    ],
)
def test_names_a_category(split: str, category: Category, number: int, path: str) -> None:
    assert file_path(split, category, number) == path
    assert parse_path(path) == (split, category, number)


def test_cuts_what_is_long() -> None:
    assert file_path("s", ("a" * 200,), 1) == f"s/{'a' * 200}.csv"
    path = file_path("s", ("a" * 201,), 7)
    assert re.fullmatch(r"s/a{150}~[0-9a-f]{32}~7\.csv", path)
    assert file_path("s", ("a" * 202,), 7) != path
    assert re.fullmatch(r"s/a(%2F){49}~[0-9a-f]{32}\.csv", file_path("s", ("a" + "/" * 99,), 1))
    assert re.fullmatch(r"é{75}~[0-9a-f]{32}/x\.csv", file_path("é" * 101, ("x",), 1))
    assert len(file_path("s", ("/" * 3_000_000,), 1)) < 255


@pytest.mark.parametrize("text", ["a" * 201, "é" * 150, "a" * 500 + ".csv"])
@pytest.mark.parametrize("number", [1, 12])
def test_what_is_cut_cannot_be_read_back(text: str, number: int) -> None:
    for split, category in (("s", (text,)), (text, ()), (text, ("x",)), ("s", (text, None))):
        with pytest.raises(ValueError, match="was cut"):
            parse_path(file_path(split, category, number))


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", ".csv", "x", "s/x", "/s/x.csv", "s//x.csv", "s/../x.csv", "./s/x.csv", "s/x.CSV", "s/.csv"),
        *("rejected.csv", ".nacre/x.csv", "s/x~1.csv", "s/x~02.csv", "s/x~.csv", "s/~2.csv", "s/~other.csv"),
        *("~empty.csv", "~empty/x.csv", "s~2/x.csv", "s/~empty~2/x.csv", "s/%.csv", "s/%4D.csv", "s/%2f.csv"),
        *("_receipts/x.csv", "_RECEIPTS/x.csv", "_SUCCESS/x.csv", "datapackage.json/x.csv", "%5Freceipts.csv"),
        *("s/%FF.csv", "s/a:b.csv", "s/CON.csv", "s/x~1000000000.csv", "s/Zoe\u0308.csv", "s/x~2~3.csv", "s/x.csv\n"),
    ],
)
def test_refuses_what_is_no_path_of_a_category(path: str) -> None:
    with pytest.raises(ValueError, match="no path of a category"):
        parse_path(path)


@pytest.mark.parametrize("number", [0, -1, 10**9])
def test_refuses_a_number_no_schema_has(number: int) -> None:
    with pytest.raises(ValueError, match="they count from 1"):
        file_path("s", (), number)


_awkward = st.sampled_from(
    [
        *("rejected", "Rejected", "all", "s", "s.csv", ".csv", "~empty", "~blank", "M", "M~2", "M.csv", "M%7E2", "%4D"),
        *("CON", "CON.x", ".", "..", "", " ", "a/b", ".nacre", "-x", "e\u0301", "\u00e9", "=\u0338", "a" * 201),
        *("a" * 202, "é" * 120, "/" * 80, "%5Freceipts", "%64atapackage.json"),
        *RESERVED,
        *(name.swapcase() for name in RESERVED),
    ]
)
_texts = _awkward | st.text(max_size=8) | st.text("aA.~%/ csv2\u0308é", max_size=6)
_files = st.tuples(_texts, st.lists(_texts | st.none(), max_size=3).map(tuple), st.integers(1, 12))


def _was_cut(text: str | None) -> bool:
    return bool(text) and re.search(r"~[0-9a-f]{32}", file_path("s", (text,), 1)) is not None


@settings(max_examples=150)
@given(_files)
@example(("", ("",), 1))
def test_a_path_stays_inside_and_is_read_back(file: tuple[str, Category, int]) -> None:
    split, category, number = file
    path = file_path(split, category, number)
    assert posixpath.normpath("/out/" + path) == "/out/" + path
    for component in path.split("/"):
        assert 0 < len(component.encode(errors="strict")) <= 255
        assert component[0] not in ".- "
        assert component[-1] not in ". "
        assert not re.search(r'[\x00-\x1f\x7f\\:*?"<>|]', component)
        assert unicodedata.is_normalized("NFC", component)
    if not any(map(_was_cut, (split, *category))):
        assert parse_path(path) == file


@settings(max_examples=100)
@given(st.sets(_files, min_size=2, max_size=12))
def test_no_two_files_share_a_path_and_none_is_a_folder(files: set[tuple[str, Category, int]]) -> None:
    paths = {file_path(*file) for file in files}
    assert len(paths) == len(files)
    taken = {path.lower() for path in paths} | {"rejected.csv"}
    folders = {parent for path in taken for parent in _parents(path)}
    assert not folders & taken
    assert "rejected.csv" not in paths
    assert not {name.lower() for name in RESERVED} & (folders | taken)


@given(st.lists(_files, min_size=1, max_size=12))
def test_no_name_needs_an_escape_in_a_manifest(files: list[tuple[str, Category, int]]) -> None:
    """`sha256sum` escapes backslashes and line breaks."""
    assert not set("".join(file_path(*file) for file in files)) & set("\\\n\r")


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
