"""One look at a followed file, case by case."""

import pytest
from msgspec.structs import replace

from common.protocol.progress import Progress
from services.ingest.look import EndRules, Look, ReadStep, Stamp
from services.ingest.parsing.expected import Expected

STAMP = Stamp("1", 100, 5, 5)
TOUCHED = replace(STAMP, touched_at_ns=6)
GREW = replace(STAMP, size=120, changed_at_ns=6, touched_at_ns=6)
OTHER = replace(STAMP, file="2")
READ = Progress("/in/a.csv", offset=100, ended=True, size=100)
READING = Progress("/in/a.csv", offset=50)
HEADER_LEFT = Progress("/in/a.csv", offset=90, ended=True, size=100)
RULES = EndRules(once=False, settle_s=2, unterminated_s=60)
ONCE = replace(RULES, once=True)


def look(
    progress: Progress = READING,
    stamp: Stamp = STAMP,
    known: Stamp | None = STAMP,
    *,
    packed: bool = False,
    rest_s: float = 0.0,
    header: bool = False,
    rules: EndRules = RULES,
) -> Look:
    return Look(progress, stamp, known, packed, rest_s, header, rules)


@pytest.mark.parametrize(
    ("given", "step", "is_suspect"),
    [
        # Plain: read until its end, as it grows.
        (look(), ReadStep.READ, False),
        (look(known=None), ReadStep.READ, False),
        (look(stamp=GREW), ReadStep.READ, False),
        (look(READ), ReadStep.REST, False),
        (look(READ, known=None), ReadStep.REST, False),
        (look(READ, stamp=GREW), ReadStep.READ, False),
        # Touched after it was read, or another file: check that its content is the source's.
        (look(READ, stamp=TOUCHED), ReadStep.REST, True),
        (look(READ, stamp=OTHER), ReadStep.REST, True),
        (look(stamp=TOUCHED), ReadStep.READ, False),
        (look(stamp=OTHER), ReadStep.READ, True),
        # A header without its line ending is left: read it again only if it may have been rewritten.
        (look(HEADER_LEFT), ReadStep.READ, False),
        (look(HEADER_LEFT, header=True), ReadStep.REST, False),
        (look(HEADER_LEFT, stamp=TOUCHED, header=True), ReadStep.READ, True),
        # Compressed: read it once nothing is written to it any more.
        (look(packed=True), ReadStep.WAIT, False),
        (look(packed=True, rest_s=2), ReadStep.READ, False),
        (look(packed=True, rules=ONCE), ReadStep.READ, False),
        (look(READ, packed=True), ReadStep.REST, False),
        (look(READ, known=None, packed=True), ReadStep.WAIT, False),
        (look(READ, stamp=TOUCHED, packed=True), ReadStep.WAIT, True),
        (look(READ, stamp=TOUCHED, packed=True, rest_s=2), ReadStep.REST, True),
        # Offsets count unpacked bytes, so they say nothing about the end of the file.
        (look(HEADER_LEFT, packed=True), ReadStep.REST, False),
    ],
)
def test_a_step_and_whether_the_content_is_suspect(given: Look, step: ReadStep, *, is_suspect: bool) -> None:
    assert (given.step, given.is_suspect) == (step, is_suspect)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (look(rest_s=1.9), Expected.MORE),
        (look(rest_s=2), Expected.NOT_NOW),
        (look(rest_s=59.9), Expected.NOT_NOW),
        (look(rest_s=60), Expected.NOTHING),
        (look(rest_s=2, packed=True), Expected.NOTHING),
        (look(rules=ONCE), Expected.NOTHING),
        # Half a row waits at least until the file has ended.
        (look(rest_s=3, rules=replace(RULES, settle_s=4, unterminated_s=1)), Expected.MORE),
        (look(rest_s=4, rules=replace(RULES, settle_s=4, unterminated_s=1)), Expected.NOTHING),
    ],
)
def test_how_much_more_is_expected_of_a_file(given: Look, expected: Expected) -> None:
    assert given.expected(to_its_end=True) is expected
    assert given.expected(to_its_end=False) is Expected.MORE
