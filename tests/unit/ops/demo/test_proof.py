"""The demo's proof holds for the right output, and fails for each kind of wrong output."""

import pytest
from msgspec.structs import replace

from ops.demo.proof import (
    CategoryFile,
    ProofError,
    RejectedRow,
    Rows,
    WholeFile,
    categories,
    count_rows,
    prove,
    prove_whole,
    read_rejected,
    without,
)
from ops.findings import Finding

DATA = b'Sex,Rings\nM,15\nF,"7"\nI\nM,x\n'
SPLITS = ["all", "Sex", "Rings"]
# A row of one field is rejected by ingest, and x is no number, so one split rejects it.
REJECTED = [RejectedRow("", 21, b"I"), RejectedRow("Rings", 23, b"M,x")]


def rows(*lines: str) -> Rows:
    return count_rows(["Sex,Rings\n", *(f"{line}\n" for line in lines)])


FILES = [
    CategoryFile("all", "", rows("M,15", 'F,"7"', "M,x")),
    CategoryFile("Sex", "M", rows("M,15", "M,x")),
    CategoryFile("Sex", "F", rows('F,"7"')),
    CategoryFile("Rings", "15", rows("M,15")),
    CategoryFile("Rings", "7", rows('F,"7"')),
]


def changed(index: int, file_rows: Rows) -> list[CategoryFile]:
    return [replace(file, rows=file_rows) if number == index else file for number, file in enumerate(FILES)]


def failed(findings: list[Finding]) -> list[str]:
    return [finding.text for finding in findings if not finding.holds]


def test_rows_are_counted_whatever_their_order_quotes_and_line_breaks() -> None:
    assert rows("M,15", "F,7") == rows('"F",7', "M,15")
    assert rows("M,15") != rows("M,16")
    assert count_rows(["a\n", '"1\n', '2"\n', "\n"]).count == 2
    assert count_rows([]) == Rows()


def test_a_right_output_is_proved_with_or_without_rejected_rows() -> None:
    assert prove(DATA, "in.csv", SPLITS, FILES, REJECTED) == [
        Finding(holds=True, text="in 4 = out 3 + rejected 1, the same rows, in split all, Sex"),
        Finding(holds=True, text="in 4 = out 2 + rejected 2, the same rows, in split Rings"),
        Finding(holds=True, text="5 files, each with the header of in.csv"),
    ]


def test_splits_with_the_same_balance_share_a_line() -> None:
    files = [CategoryFile("all", "", rows("M,15")), CategoryFile("Sex", "M", rows("M,15"))]
    [balance, _] = prove(b"Sex,Rings\nM,15\n", "in.csv", ["all", "Sex"], files, [])
    assert balance.text == "in 1 = out 1 + rejected 0, the same rows, in each of 2 splits"


def test_a_lost_row_is_found() -> None:
    findings = prove(DATA, "in.csv", SPLITS, FILES[:-1], REJECTED)
    assert failed(findings) == ["in 4 ≠ out 1 + rejected 2, NOT the same rows, in split Rings"]


def test_a_row_in_place_of_another_is_found() -> None:
    findings = prove(DATA, "in.csv", SPLITS, changed(2, rows("M,15")), REJECTED)
    assert failed(findings) == ["in 4 = out 3 + rejected 1, NOT the same rows, in split Sex"]


def test_another_row_rejected_than_missing_is_found() -> None:
    rejected = [REJECTED[0], RejectedRow("Rings", 10, b"M,15")]
    findings = prove(DATA, "in.csv", SPLITS, FILES, rejected)
    assert failed(findings) == ["in 4 = out 2 + rejected 2, NOT the same rows, in split Rings"]


def test_a_file_without_the_header_is_found() -> None:
    findings = prove(DATA, "in.csv", SPLITS, changed(1, replace(FILES[1].rows, header=("M", "15"))), REJECTED)
    assert failed(findings) == ["1 of 5 files lack the header of in.csv"]


def test_an_empty_row_is_a_row() -> None:
    files = [CategoryFile("all", "", count_rows(["a\n", "\n"]))]
    assert not failed(prove(b"a\n\n", "in.csv", ["all"], files, []))
    assert not failed(prove(b"a\n\n", "in.csv", ["all"], [], [RejectedRow("all", 2, b"")]))


@pytest.mark.parametrize("eol", [b"\n", b"\r\n", b"\r"])
def test_rejected_rows_are_cut_out_with_their_line_endings(eol: bytes) -> None:
    data = eol.join([b"a", b"1", b"", b"x", b"2", b"y"])
    at = data.index
    rejected = [
        RejectedRow("", at(b"y"), b"y"),
        RejectedRow("", at(b"x"), b"x"),
        RejectedRow("", at(b"x") - len(eol), b""),
    ]
    assert without(data, rejected) == eol.join([b"a", b"1", b"2", b""])


@pytest.mark.parametrize(
    "row", [RejectedRow("", 10, b"M,16"), RejectedRow("", 99, b"M,15"), RejectedRow("", 26, b"M,x\n?")]
)
def test_a_rejected_row_that_is_not_in_the_input_is_an_error(row: RejectedRow) -> None:
    with pytest.raises(ProofError, match="does not have there"):
        without(DATA, [row])


def test_a_row_rejected_twice_is_an_error() -> None:
    with pytest.raises(ProofError, match="at byte 10"):
        without(DATA, [RejectedRow("", 10, b"M,15"), RejectedRow("", 10, b"M,15")])


def test_the_file_of_rejected_rows_is_read_whatever_bytes_are_in_it() -> None:
    text = b'source,line,offset,split,reason,row\ns,2,10,\xc3\xa4,why,"\xff,""q"""\ns,3,20,,why,\n'.decode("latin-1")
    assert read_rejected(text.splitlines(keepends=True)) == [
        RejectedRow("ä", 10, b'\xff,"q"'),
        RejectedRow("", 20, b""),
    ]


@pytest.mark.parametrize(
    ("sha256", "left_out", "holds", "text"),
    [
        ("0123456789", 0, True, "o/all.csv equals in.csv byte for byte (sha256 01234567…)"),
        ("0123456789", 2, True, "o/all.csv equals in.csv without its 2 rejected rows byte for byte (sha256 01234567…)"),
        ("ff", 0, False, "o/all.csv does NOT equal in.csv"),
        (None, 0, False, "o/all.csv does not exist"),
    ],
)
def test_the_file_of_all_rows_is_the_input(sha256: str | None, left_out: int, *, holds: bool, text: str) -> None:
    assert prove_whole(WholeFile("o/all.csv", sha256, "0123456789"), "in.csv", left_out) == Finding(holds, text)


def test_numbers_are_in_their_order_and_other_categories_by_their_rows() -> None:
    names = [("Rings", "9", 1), ("Rings", "10", 3), ("Sex", "F", 1), ("Sex", "M", 2), ("Sex", "I", 1)]
    files = [CategoryFile(split, name, Rows(("x",), count)) for split, name, count in names]
    assert categories(["all", "Sex", "Rings"], files) == {
        "all": [],
        "Sex": [("M", 2), ("F", 1), ("I", 1)],
        "Rings": [("9", 1), ("10", 3)],
    }
