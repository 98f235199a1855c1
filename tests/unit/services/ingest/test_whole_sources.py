"""Which splits have rejected every row, by the positions of all partitions; and which sources, by their progress."""

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from common.counts import RowCounts
from common.pipeline.topics import Topics
from common.protocol.position import HeldSplit, Position, SplitGroup, digest
from common.protocol.tolerance import parse_tolerance
from common.rows.schema import Schema
from common.settings_reader import make_settings
from services.ingest.context import IngestContext
from services.ingest.parsing.expected import Expected
from services.ingest.parsing.fingerprint import Fingerprint
from services.ingest.settings import IngestSettings
from services.ingest.source import Source
from services.split.categories.splits import parse_split_by
from services.split.rejected_whole import RejectedWhole, find_rejected_whole

SPLITS = parse_split_by("Sex,Rings:int")


def held(split: str, rejected: int, *, placed: bool = False) -> HeldSplit:
    return HeldSplit(digest(split), "d", rejected, placed)


def found(*positions: Position, max_rejected: str = "none") -> list[RejectedWhole]:
    return find_rejected_whole(positions, SPLITS, parse_tolerance(max_rejected))


def test_a_split_that_placed_no_row_in_any_partition_has_rejected_all() -> None:
    one = Position(SplitGroup(splits=(held("Sex", 0, placed=True), held("Rings", 2))))
    other = Position(filling=(SplitGroup(splits=(held("Rings", 3),)),))
    assert found(one, other) == [RejectedWhole("Rings", 5)]
    assert not found(one, other, max_rejected="100%")
    assert not found(one, other, max_rejected="5")
    assert found(one, other, max_rejected="4")
    placed = Position(SplitGroup(splits=(held("Rings", 0, placed=True),)))
    assert not found(one, other, placed)


def test_a_split_without_rows_or_gone_from_split_by_has_not_rejected_all() -> None:
    assert not found()
    assert not found(Position(SplitGroup(splits=(held("Sex", 0), held("Rings", 0)))))
    assert not found(Position(resting=(SplitGroup(splits=(held("Other", 9),)),)))


class Outbox:
    """Takes anything and keeps nothing."""

    def __init__(self) -> None:
        self.rows = RowCounts()

    def put(self, *_: object) -> None:
        """A record."""

    def put_marked_rows(self, *_: object) -> None:
        """Many, behind marks."""


async def _register(schema: Schema) -> Any:
    return SimpleNamespace(schema=schema)


@pytest.mark.parametrize("cut", range(1, 12, 3))
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a,b\n1\n2,3,4\n", "1 field"),
        (b"a,b\n\n\n", ""),
        (b"\na,b\n\n1\n", "1 field"),
        (b"a,b\n", ""),
        (b"a,b\n1\n1,2\n", "1 field"),
    ],
)
async def test_the_first_reason_is_kept_however_a_source_is_cut(content: bytes, why: str, cut: int) -> None:
    settings = make_settings(IngestSettings, {"input": "x", "partitions": 1})
    registry: Any = SimpleNamespace(register=_register)
    context = IngestContext(settings, Topics.under(""), registry)
    source = Source(context, context.address("x", b"k"), context.new_progress("x"), Fingerprint(), has_void=False)
    outbox: Any = Outbox()
    done = 0
    for end in [*range(cut, len(content), cut), len(content)]:
        expected = Expected.NOTHING if end == len(content) else Expected.MORE
        done += await source.take(content[done:end], outbox, expected)
    assert why in source.progress.reason
    assert bool(source.progress.reason) == bool(why)
    assert bool(context.find_rejected_whole(source.progress)) == (bool(why) and not source.progress.tally.rows)


@pytest.mark.parametrize(
    ("content", "skip_lines", "is_left"),
    [(b"1\n2\n", 2, False), (b"1\n2\n", 5, False), (b"1\n2", 2, False), (b"1\r\n2\r\n3\r\n", 2, True), (b"", 2, True)],
)
async def test_a_source_that_skip_lines_leaves_nothing_of_is_reported(
    content: bytes, skip_lines: int, *, is_left: bool
) -> None:
    settings = make_settings(IngestSettings, {"input": "x", "partitions": 1, "skip_lines": skip_lines})
    registry: Any = SimpleNamespace(register=_register)
    context = IngestContext(settings, Topics.under(""), registry)
    source = Source(context, context.address("x", b"k"), context.new_progress("x"), Fingerprint(), has_void=False)
    outbox: Any = Outbox()
    with capture_logs() as logs:
        await source.take(content, outbox, Expected.NOTHING)
    reasons = [line["reason"] for line in logs if line["event"] == "SKIP_LINES leaves nothing of the source"]
    assert bool(reasons) != is_left
    assert bool(context.find_skipped_whole(source.progress)) != is_left
