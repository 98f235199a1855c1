"""What `nacre validate` shows without a terminal."""

import io

from rich.console import Console

from common.pipeline.schema_numbers import Registered
from common.rows.schema import Dialect, Schema
from ops.findings import Finding
from ops.validate.columns import ColumnFields
from ops.validate.examination import CountedReason, ExaminedSource, RejectionSummary
from ops.validate.schemas import SchemaGroup
from ops.validate.screen import Asked, Validation, findings, show
from ops.validate.splits import SplitOutcome

SCHEMA = Schema(b"a;b", ("a", "[b]"), Dialect(b";"))
INTS, EMPTY = ColumnFields(("int", "float"), 3, 1), ColumnFields(empty=4)
BAD = RejectionSummary(
    9, (CountedReason("blank line", 5, ("x.csv:3", "x.csv:4", "x.csv:5")), CountedReason("1 field", 1, ("x.csv:9",)))
)
GOOD = ExaminedSource("x.csv", SCHEMA, 4, columns=(INTS, EMPTY))
GROUP = SchemaGroup(Registered(1, SCHEMA), (GOOD,), (INTS, EMPTY))
OUTCOME = SplitOutcome(
    "a", 4, 2, complete=True, samples=(("a/1.csv", 3), ("a/2.csv", 1)), rejections=RejectionSummary()
)


def shown(validation: Validation, asked: Asked | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    show(console, validation, asked or Asked())
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def texts(validation: Validation) -> list[str]:
    return [f"{finding.holds} {finding.text}" for finding in findings(validation)]


def test_all_is_well() -> None:
    lines = shown(Validation("in", [GOOD], [GROUP], [OUTCOME]), Asked(["delimiter"], frozenset({SCHEMA.id})))
    assert "x.csv 4 0 1" in lines
    assert (
        "schema 1, known from an earlier run: 2 columns, delimiter semicolon, quote double, line ending LF, "
        "encoding utf-8 (delimiter detected)"
    ) in " ".join(lines)
    assert "1 a int 1" in lines
    assert "2 [b] empty 4" in lines
    assert "a 2 4 0 a/1.csv 3 a/2.csv 1" in lines
    assert lines[-2:] == ["✓ 4 rows in 1 source can be read", "✓ every row has a category in each split"]


def test_rejected_rows_are_shown_by_reason_and_location() -> None:
    bad = ExaminedSource("x.csv", SCHEMA, 4, columns=(INTS, EMPTY), rejections=BAD)
    split = SplitOutcome(
        "a", 3, 2, complete=False, samples=(), rejections=RejectionSummary(1, (CountedReason("no", 1, ("x.csv:2",)),))
    )
    validation = Validation("in", [bad], [GROUP], [split])
    lines = shown(validation)
    assert "a more than 2 3 1 …" in lines
    assert "every split 5 blank line x.csv:3, x.csv:4, x.csv:5, …" in lines
    assert "every split 3 other reasons" in lines
    assert "a 1 no x.csv:2" in lines
    assert texts(validation) == [
        "False 9 of 13 rows cannot be read and would be rejected",
        "False split a would reject 1 row of 4",
    ]


def test_no_file_and_folders_that_cannot_be_listed_are_findings() -> None:
    assert texts(Validation("in", [], [], [], ["cannot read in/x: Permission denied"])) == [
        "False cannot read in/x: Permission denied",
        "False there is no *.csv file at INPUT in",
    ]


def test_many_troubles_and_sources_are_cut_short_the_bad_ones_first() -> None:
    sources = [
        ExaminedSource(f"{number}.csv", trouble=f"{number}.csv is bad" if number > 90 else "") for number in range(103)
    ]
    validation = Validation("in", sources, [], [])
    assert texts(validation)[9:11] == ["False 100.csv is bad", "False and 2 more like these"]
    lines = shown(validation)
    assert "102.csv 0 0 none" in lines
    assert "and 63 more sources" in lines


def test_a_source_that_cannot_be_read_is_not_counted_as_readable() -> None:
    bad = ExaminedSource("y.csv", trouble="y.csv is bad")
    assert texts(Validation("in", [GOOD, bad], [GROUP], [])) == [
        "False y.csv is bad",
        "True 4 rows in 1 source can be read",
    ]
    assert texts(Validation("in", [bad], [], [])) == ["False y.csv is bad"]


def test_another_schema_is_shown_by_its_differences() -> None:
    other = Schema(b"a", ("a",))
    group = SchemaGroup(
        Registered(2, other), (ExaminedSource("y.csv", other),), (INTS,), ("missing [b]", "delimiter comma")
    )
    lines = shown(Validation("in", [GOOD], [GROUP, group], []))
    assert "differs from schema 1: missing [b]; delimiter comma" in lines
    assert "rows of y.csv go to files of their own" in lines


def test_a_type_that_one_source_lacks_is_shown() -> None:
    word = ExaminedSource("y.csv", SCHEMA, 1, columns=(ColumnFields((), 1), EMPTY))
    group = SchemaGroup(Registered(1, SCHEMA), (GOOD, GOOD, word), (ColumnFields((), 7, 2), EMPTY))
    assert "1 a text 2 int except in y.csv (text)" in shown(Validation("in", [GOOD], [group], []))


def test_rows_that_are_no_text_are_a_note_and_no_fault() -> None:
    source = ExaminedSource(
        "x.csv", SCHEMA, 4, no_text=RejectionSummary(2, (CountedReason("not UTF-8", 2, ("x.csv:2",)),))
    )
    validation = Validation("in", [source], [GROUP], [], broker=[Finding(holds=True, text="answers")])
    assert any(line.startswith("note: 2 rows are not UTF-8, the first at x.csv:2") for line in shown(validation))
    assert texts(validation) == ["True 4 rows in 1 source can be read", "True answers"]
