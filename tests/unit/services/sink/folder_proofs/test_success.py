"""When a finite run is a success, and what is said of it."""

import json

from msgspec.structs import replace

from common.protocol.progress import Progress, Run
from common.rows.tally import Tally
from services.sink.folder_proofs.success import (
    Processed,
    Undelivered,
    describe_undelivered,
    encode_success,
    processed_of,
)

MOMENT_NS = 1_796_000_000_123_456_789
A = Progress("/a.csv", tally=Tally(3, 9, 1), ended=True, ends=2, format=2)
B = Progress("/b.csv", tally=Tally(4, 9, 1), ended=True, ends=1, format=2)


def test_a_run_whose_sources_are_all_delivered_is_one() -> None:
    processed = processed_of({"/a.csv": A, "/b.csv": B}, {0: Run(0, "r", "done")}, MOMENT_NS)
    assert processed == Processed(MOMENT_NS, {"/a.csv": 2, "/b.csv": 1}, 7, "")
    assert describe_undelivered(processed, Undelivered()) == ""
    assert json.loads(encode_success(processed, "f00", "1.2.3")) == {
        "version": 1,
        "created": "2026-11-30T00:53:20.123+00:00",
        "sources": 2,
        "rows": 7,
        "folder": "f00",
        "nacre": "1.2.3",
    }


def test_so_is_a_run_that_has_found_nothing() -> None:
    processed = processed_of({}, {0: Run(0, "r", "done")}, MOMENT_NS)
    assert describe_undelivered(processed, Undelivered()) == ""


def test_a_run_with_a_source_that_is_not_delivered_is_none_and_the_first_is_named_with_what_it_lacks() -> None:
    processed = processed_of({"/a.csv": A, "/b.csv": B}, {}, MOMENT_NS)
    undelivered = Undelivered().with_one("/a.csv", "rejected-0 has not passed its end 2").with_one("/b.csv", "more")
    assert describe_undelivered(processed, undelivered) == (
        "2 of 2 sources not delivered, the first: /a.csv: rejected-0 has not passed its end 2"
    )


def test_a_run_with_a_source_that_has_no_receipt_because_of_its_format_is_none() -> None:
    processed = processed_of({"/a.csv": A, "/b.csv": replace(B, format=1)}, {}, MOMENT_NS)
    assert processed.ends == {"/a.csv": 2}
    assert describe_undelivered(processed, Undelivered()) == (
        "1 sources were begun in format 1, which has no receipts, the first: /b.csv"
    )


def test_a_run_that_has_left_something_of_the_input_unread_is_none() -> None:
    left = Progress("/c.csv")
    processed = processed_of({"/a.csv": A, "/c.csv": left}, {0: Run(0, "r", "done")}, MOMENT_NS)
    assert processed.ends == {"/a.csv": 2}
    assert describe_undelivered(processed, Undelivered()) == "1 of the input not read to the end, the first: /c.csv"
    processed = processed_of({"/a.csv": A}, {0: Run(0, "r", "done", 2, "/z: a zip archive")}, MOMENT_NS)
    assert describe_undelivered(processed, Undelivered()) == (
        "2 of the input not read to the end, the first: /z: a zip archive"
    )
