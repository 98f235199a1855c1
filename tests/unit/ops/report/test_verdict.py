"""The verdict at the top of a report."""

import pytest

from ops.report.verdict import Marks, Standing, judge
from ops.verify.report import Report, ReportedFinding
from services.sink.folder_proofs.seal import SealState

SEALED = [SealState.SEALED] * 3
WELL, DIFFERS, NOT_YET = Report(), Report(), Report()
DIFFERS.differs.add(ReportedFinding("checksum", "a.csv is wrong"))
NOT_YET.not_yet.add(ReportedFinding("under way", "a.csv: its end has not come"))


def marks(*seals: SealState, is_success: bool = False, formats: tuple[int, ...] = (2,)) -> Marks:
    return Marks(frozenset(formats), seals, is_success)


@pytest.mark.parametrize(
    ("found", "left", "standing", "reason"),
    [
        (WELL, marks(*SEALED, is_success=True), Standing.COMPLETE, ""),
        (WELL, marks(*SEALED), Standing.NOT_KNOWN, "_SUCCESS is not there"),
        (NOT_YET, marks(*SEALED), Standing.NOT_COMPLETE, "its end has not come"),
        (NOT_YET, marks(*SEALED, is_success=True), Standing.NOT_COMPLETE, "its end has not come"),
        (WELL, marks(*SEALED, SealState.OPEN), Standing.NOT_COMPLETE, "1 of 4 partitions may still get rows"),
        (WELL, marks(*SEALED, SealState.LIFTING, is_success=True), Standing.NOT_COMPLETE, "1 of 4 partitions"),
        (WELL, marks(SealState.OPEN, SealState.SERVICE), Standing.NOT_COMPLETE, "without EXIT_WHEN_DONE"),
        (DIFFERS, marks(*SEALED, is_success=True), Standing.WRONG, "a.csv is wrong"),
        (DIFFERS, marks(formats=(1,)), Standing.WRONG, "a.csv is wrong"),
        (WELL, marks(SealState.OPEN, formats=(1,)), Standing.NOT_KNOWN, ""),
        (WELL, marks(formats=()), Standing.NOT_COMPLETE, ""),
    ],
)
def test_a_run_is_complete_only_if_all_is_well_final_and_marked(
    found: Report, left: Marks, standing: Standing, reason: str
) -> None:
    verdict = judge(found, left)
    assert verdict.standing is standing
    assert verdict.text
    assert reason in "\n".join(verdict.reasons)
    assert bool(verdict.reasons) == bool(reason)


def test_many_reasons_are_counted_and_what_cannot_be_seen_is_said() -> None:
    report = Report()
    report.unseen.add(ReportedFinding("content", "no file was read"))
    for number in range(250):
        report.differs.add(ReportedFinding("length", f"{number}.csv is too short"))
    verdict = judge(report, marks(*SEALED))
    assert verdict.reasons[-1] == "and 150 more"
    assert len(verdict.reasons) == 101
    assert verdict.unseen == ["no file was read"]
