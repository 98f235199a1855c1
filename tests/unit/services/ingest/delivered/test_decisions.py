"""Whether a file may leave, and how it goes on, as tables."""

import pytest
from msgspec.structs import replace

from common.protocol.progress import Departure, DepartureStage, Progress, decode_progress, encode_progress
from common.protocol.receipts import Receipt, Rejections
from common.rows.tally import Tally
from services.ingest.delivered.decisions import (
    Choice,
    DepartureStep,
    FileFacts,
    Sighting,
    has_left,
    is_delivered,
    judge_content,
    judge_facts,
    next_departure_step,
)

TALLY = Tally(3, 30, 7)
PROGRESS = Progress("/in/a.csv", "s", 40, tally=TALLY, ended=True, size=40, changed_at_ns=5, ends=2)
RECEIPT = Receipt("/in/a.csv", 2, 40, TALLY, "csv", Rejections(), {}, 0, 1, 1, "c", "f", "0")
FACTS = FileFacts("1:2", 40, 5)
ASIDE = Departure(DepartureStage.ASIDE, 2, "1:2", "/in/a.csv", "/in/.nacre-x-2-a.csv")
LEAVING = replace(ASIDE, stage=DepartureStage.LEAVING, target="/in/done/a.csv")
GONE = replace(LEAVING, stage=DepartureStage.GONE)


@pytest.mark.parametrize(
    ("progress", "receipt"),
    [
        (replace(PROGRESS, ended=False), RECEIPT),
        (replace(PROGRESS, ends=3), RECEIPT),
        (replace(PROGRESS, offset=41), RECEIPT),
        (replace(PROGRESS, tally=TALLY + Tally(1, 1, 1)), RECEIPT),
        (PROGRESS, replace(RECEIPT, number=1)),
        (PROGRESS, replace(RECEIPT, tally=Tally(3, 30, 8))),
    ],
)
def test_only_a_receipt_of_all_that_was_read_counts(progress: Progress, receipt: Receipt) -> None:
    assert is_delivered(PROGRESS, RECEIPT)
    assert not is_delivered(progress, receipt)


@pytest.mark.parametrize(
    ("facts", "choice", "reason"),
    [
        (FACTS, Choice.LEAVES, ""),
        (None, Choice.WAITS, "it is not where it was"),
        (replace(FACTS, is_link=True), Choice.STAYS, "it is a symbolic link"),
        (replace(FACTS, names=3), Choice.HINDERED, "it has 3 names (hard links)"),
        (replace(FACTS, file="1:3"), Choice.WAITS, "it has changed since it was read"),
        (replace(FACTS, size=41), Choice.WAITS, "it has changed since it was read"),
        (replace(FACTS, changed_at_ns=6), Choice.WAITS, "it has changed since it was read"),
    ],
)
def test_a_file_leaves_only_as_it_was_read(facts: FileFacts | None, choice: Choice, reason: str) -> None:
    judgement = judge_facts(PROGRESS, facts, "1:2")
    assert (judgement.choice, judgement.reason) == (choice, reason)


def test_a_file_with_bytes_that_were_not_read_stays() -> None:
    assert judge_content(PROGRESS, 40, is_packed=False).choice is Choice.LEAVES
    assert judge_content(PROGRESS, 44, is_packed=False).reason == "40 of its 44 bytes were read"
    # Of a compressed one the offset counts other bytes.
    assert judge_content(PROGRESS, 9, is_packed=True).choice is Choice.LEAVES
    assert judge_content(replace(PROGRESS, schema=""), 9, is_packed=True).choice is Choice.STAYS


NOWHERE = Sighting(None)
THERE = Sighting(FACTS)
GREW = Sighting(replace(FACTS, size=50))


@pytest.mark.parametrize(
    ("departure", "sighting", "stays", "step"),
    [
        # It died before the first renaming, or someone took the file.
        (ASIDE, NOWHERE, False, DepartureStep.CANCEL),
        (ASIDE, Sighting(None, is_at_path=True), False, DepartureStep.CANCEL),
        (ASIDE, Sighting(None, is_at_path=True, is_reachable=False), False, DepartureStep.CANCEL),
        (ASIDE, Sighting(None, is_reachable=False), False, DepartureStep.HOLD),
        # It waits with its hidden name.
        (ASIDE, THERE, False, DepartureStep.LEAVE),
        (ASIDE, GREW, False, DepartureStep.PUT_BACK),
        (ASIDE, Sighting(replace(FACTS, changed_at_ns=6)), False, DepartureStep.PUT_BACK),
        (ASIDE, THERE, True, DepartureStep.PUT_BACK),
        (LEAVING, THERE, False, DepartureStep.LEAVE),
        (LEAVING, GREW, False, DepartureStep.PUT_BACK),
        (LEAVING, THERE, True, DepartureStep.PUT_BACK),
        # It has left, and the death came before the record.
        (LEAVING, NOWHERE, False, DepartureStep.FINISH),
        (LEAVING, NOWHERE, True, DepartureStep.FINISH),
        (LEAVING, Sighting(None, is_at_target=True), False, DepartureStep.FINISH),
        (LEAVING, Sighting(None, is_at_target=True, is_reachable=False), False, DepartureStep.FINISH),
        (LEAVING, Sighting(None, is_reachable=False), False, DepartureStep.HOLD),
        # A replica that was late has put it back.
        (LEAVING, Sighting(None, is_at_path=True), False, DepartureStep.CANCEL),
        # Only the agreement with other replicas is missing.
        (GONE, NOWHERE, False, DepartureStep.FINISH),
        (GONE, THERE, False, DepartureStep.FINISH),
    ],
)
def test_how_a_file_goes_on(departure: Departure, sighting: Sighting, step: DepartureStep, *, stays: bool) -> None:
    assert next_departure_step(PROGRESS, departure, sighting, stays=stays) is step


def test_a_file_has_left_only_for_the_end_at_which_it_did() -> None:
    assert has_left(replace(PROGRESS, departure=GONE))
    assert not has_left(replace(PROGRESS, departure=LEAVING))
    assert not has_left(replace(PROGRESS, departure=GONE, ends=3))
    assert not has_left(PROGRESS)


@pytest.mark.parametrize("departure", [None, ASIDE, LEAVING, GONE])
def test_a_departure_is_remembered(departure: Departure | None) -> None:
    progress = replace(PROGRESS, departure=departure)
    assert decode_progress(encode_progress(progress)) == progress
    assert (b"departure" in encode_progress(progress)) == (departure is not None)
