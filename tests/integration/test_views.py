"""What all views show, beside a real Kafka: the figures of ledgers and receipts, and what is not safe yet."""

import asyncio
import json
import shutil
import time
from contextlib import aclosing
from pathlib import Path

from common.protocol.receipts import decode_receipt
from common.settings import ServiceSettings
from common.settings_reader import make_settings
from ops.status.look_options import LookOptions
from ops.view.view import Trouble, View
from ops.view.watching import views
from services.sink.ledger.inventory import index_of
from tests.harness.pipeline import ABALONE_FILE, Pipeline

ROWS = 4_177
HEADER = b"Sex,Rings\n"


def settings_of(pipeline: Pipeline) -> ServiceSettings:
    return make_settings(
        ServiceSettings, {"kafka_bootstrap_servers": pipeline.bootstrap, "topic_prefix": pipeline.prefix}
    )


async def first_view(pipeline: Pipeline, output: Path) -> View:
    async with aclosing(views(settings_of(pipeline), LookOptions(output, interval_s=0.1))) as found:
        async for each in found:
            assert isinstance(each, View), each
            return each
    raise AssertionError("views never end")


def test_at_rest_a_view_is_what_ledgers_and_receipts_say(pipeline: Pipeline, tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    few.write_bytes(HEADER + b"M,1\nF,none\ntoo,many,fields\n")
    pipeline.run(ABALONE_FILE, "Sex,Rings:int", MAX_REJECTED="100%")
    pipeline.run(few, "Sex,Rings:int", MAX_REJECTED="100%")
    view = asyncio.run(first_view(pipeline, pipeline.output))

    assert (view.sent_rows, view.safe_rows, view.oldest_unsafe_s) == (ROWS + 2, 2 * (ROWS + 2), 0.0)
    lines = [line for path in pipeline.output.glob(".nacre/*.ledger") for line in index_of(path) if line["split"]]
    rows = {(line["split"], line["category"][0]): 0 for line in lines}
    for line in lines:
        rows[line["split"], line["category"][0]] += line["rows"]
    assert {(each.split, each.category): each.rows for each in view.categories} == rows
    assert view.category_count == len(rows)
    assert [each.rows for each in view.categories] == sorted(rows.values(), reverse=True)
    assert view.rejected == {("", "fields"): 1, ("Rings", "number"): 1}
    assert [(each.split, each.rows, each.in_files, each.rejected, each.missing) for each in view.balance] == [
        ("Rings", ROWS + 2, ROWS + 1, 1, 0),
        ("Sex", ROWS + 2, ROWS + 2, 0, 0),
    ]
    receipts = [decode_receipt(path.read_bytes()) for path in pipeline.output.glob("_receipts/**/*.json")]
    assert view.receipt_count == 2
    assert [(each.source, each.rows, each.safe_ms) for each in view.receipts] == [
        (each.source, each.tally.rows, each.safe_ms) for each in sorted(receipts, key=lambda each: -each.safe_ms)
    ]
    assert [each.rejected for each in view.receipts] == [2, 0]

    elsewhere = asyncio.run(first_view(pipeline, tmp_path))
    assert (elsewhere.safe_rows, elsewhere.category_count, elsewhere.balance) == (None, None, ())
    assert elsewhere.receipts == view.receipts


async def later_view(pipeline: Pipeline, output: Path) -> View:
    """A view that knows whether anything has moved since an earlier look."""
    async with aclosing(views(settings_of(pipeline), LookOptions(output, interval_s=0.1))) as found:
        async for each in found:
            assert isinstance(each, View), each
            if each.figures.over_s:
                return each
    raise AssertionError("views never end")


def test_no_row_is_lost_by_a_former_output_folder_or_an_old_copy(pipeline: Pipeline, tmp_path: Path) -> None:
    source, copy, other = tmp_path / "in.csv", tmp_path / "copy", tmp_path / "other"
    source.write_bytes(HEADER + b"M,1\nF,2\n")
    pipeline.run(source, "Sex")
    # As a backup that is mounted, or a snapshot.
    shutil.copytree(pipeline.output, copy)
    source.write_bytes(HEADER + b"M,1\nF,2\nM,3\n")
    pipeline.run(source, "Sex")
    found = asyncio.run(later_view(pipeline, pipeline.output))
    assert (found.safe_rows, [each.lost for each in found.balance], found.ledgers_trouble) == (3, [0], "")
    unknown: object = (None, [], "sink fills another OUTPUT_DIR, or this is an old copy of it")
    found = asyncio.run(later_view(pipeline, copy))
    assert (found.safe_rows, [each.lost for each in found.balance], found.ledgers_trouble) == unknown
    source.write_bytes(HEADER + b"M,1\nF,2\nM,3\nI,4\n")
    pipeline.run(source, "Sex", OUTPUT_DIR=str(other))
    found = asyncio.run(later_view(pipeline, pipeline.output))
    assert (found.safe_rows, [each.lost for each in found.balance], found.ledgers_trouble) == unknown
    found = asyncio.run(later_view(pipeline, other))
    assert (found.safe_rows, [each.lost for each in found.balance], found.ledgers_trouble) == (4, [0], "")


def test_the_oldest_row_that_is_not_safe_ages_from_when_it_was_read(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\nF,2\n")
    pipeline.run(source, "Sex")
    source.write_bytes(HEADER + b"M,1\nF,2\nI,3\n")
    began_s = time.time()
    pipeline.finish(pipeline.start("ingest", "--once", source))
    waiting = asyncio.run(first_view(pipeline, pipeline.output))
    assert waiting.oldest_unsafe_s is not None
    assert 0.0 < waiting.oldest_unsafe_s < time.time() - began_s
    # Once split has passed it on, it is as old as before: its mark says when it was read.
    pipeline.finish(pipeline.start("split", SPLIT_BY="Sex", EXIT_WHEN_DONE="true"))
    later = asyncio.run(first_view(pipeline, pipeline.output))
    read_s = later.figures.at_ms / 1000 - (later.oldest_unsafe_s or 0.0)
    assert abs(read_s - (waiting.figures.at_ms / 1000 - waiting.oldest_unsafe_s)) < 0.002
    assert [each.missing for each in later.balance] == [1]
    pipeline.finish(pipeline.start("sink", EXIT_WHEN_DONE="true"))
    assert asyncio.run(first_view(pipeline, pipeline.output)).oldest_unsafe_s == 0.0


def test_a_pipeline_that_is_not_begun_is_trouble_until_it_is(pipeline: Pipeline) -> None:
    async def first() -> View | Trouble:
        options = LookOptions(pipeline.output, interval_s=0.1)
        async with aclosing(views(settings_of(pipeline), options)) as found:
            async for each in found:
                return each
        raise AssertionError("views never end")

    found = asyncio.run(first())
    assert isinstance(found, Trouble)
    assert found.text == f"nothing is begun under TOPIC_PREFIX={pipeline.prefix}: is it right?"
    assert json.dumps(found.text).isprintable()
