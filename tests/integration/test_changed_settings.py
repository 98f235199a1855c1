"""Settings of sink and ingest that differ from one run to the next, and no row is lost, repeated or out of order."""

import gzip
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.harness.expectation import rejections
from tests.harness.pipeline import Pipeline

# Each run has the next of these; PATH_TEMPLATE, and whether files are finished at all, stay as they were.
_OUTPUT_SETTINGS: list[dict[str, str]] = [
    {"ROLL_ROWS": "40"},
    {"ROLL_BYTES": "300"},
    {"ROLL_ROWS": "25", "COMPRESS": "gzip"},
    {"ROLL_AT_END": "true"},
    {"ROLL_AT_END": "true", "COMPRESS": "gzip"},
    {"ROLL_AGE_S": "3600", "COMPRESS": "gzip"},
    {"ROLL_IDLE_S": "3600"},
    {"ROLL_ROWS": "40"},
]
_ROWS_A_RUN = 240
_HEADER = b"Sex,Number"


def grow(source: Path, run: int) -> None:
    """Append rows, each with a number of its own."""
    with source.open("ab") as file:
        numbers = range(run * _ROWS_A_RUN, (run + 1) * _ROWS_A_RUN)
        file.write(b"".join(b"%c,%d\n" % (b"MFI"[number % 3], number) for number in numbers))


def rows_by_file(files: Mapping[str, bytes]) -> Iterator[list[bytes]]:
    """The rows of each file, which all have the header."""
    for path, content in files.items():
        plain = gzip.decompress(content) if path.endswith(".gz") else content
        header, *rows = plain.splitlines()
        assert header == _HEADER, path
        yield rows


def check_rows(files: Mapping[str, bytes], count: int) -> None:
    """Every row is there once, in files of one category each, in the source's order."""
    numbers: dict[bytes, list[int]] = defaultdict(list)
    for rows in rows_by_file(files):
        assert len({row[:1] for row in rows}) <= 1
        in_file = [int(row[2:]) for row in rows]
        assert all(first < second for first, second in pairwise(in_file))
        for row in rows:
            numbers[row[:1]].append(int(row[2:]))
    for place, sex in enumerate((b"M", b"F", b"I")):
        assert sorted(numbers[sex]) == list(range(place, count, 3))


def contents(pipeline: Pipeline) -> Iterator[bytes]:
    """What is in each file now, unpacked; a file may get its last name meanwhile."""
    for path in [*pipeline.output.glob("Sex/*.csv*")]:
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            yield gzip.decompress(content) if path.suffix == ".gz" else content


def output_size(pipeline: Pipeline) -> int:
    """How many bytes there are in all."""
    return sum(map(len, contents(pipeline)))


def is_of_another_size(pipeline: Pipeline, before: int) -> bool:
    """Whether the files have more bytes, or fewer, than before."""
    return output_size(pipeline) != before


@pytest.mark.long
def test_files_are_finished_and_packed_otherwise_in_each_run_and_hold_every_row_once(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    source = tmp_path / "grows.csv"
    source.write_bytes(_HEADER + b"\n")
    finished: dict[str, bytes] = {}
    for run, settings in enumerate(_OUTPUT_SETTINGS):
        grow(source, run)
        pipeline.run(source, "Sex", **settings)
        files = pipeline.output_files()
        check_rows(files, (run + 1) * _ROWS_A_RUN)
        assert {path: files.get(path) for path in finished} == finished, "a finished file has changed"
        finished |= {path: content for path, content in files.items() if not path.endswith(".open")}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({}, {"ROLL_ROWS": "40"}),
        ({"ROLL_ROWS": "40"}, {}),
        ({}, {"PATH_TEMPLATE": "by/{category}/{split}.csv"}),
        ({"ROLL_AT_END": "true"}, {"ROLL_AT_END": "true", "PATH_TEMPLATE": "{split}/{date}/{category}-{part}.csv"}),
    ],
)
def test_files_named_by_another_rule_are_refused_as_a_setting_and_go_on_once_it_is_back(
    pipeline: Pipeline, tmp_path: Path, first: dict[str, str], then: dict[str, str]
) -> None:
    source = tmp_path / "grows.csv"
    source.write_bytes(_HEADER + b"\n")
    grow(source, 0)
    pipeline.run(source, "Sex", **first)
    before = pipeline.output_files()
    sink = pipeline.start("sink", EXIT_WHEN_DONE="true", **then)
    assert sink.wait_for_exit() == 78
    [error] = sink.events("cannot go on")
    assert "PATH_TEMPLATE" in error["reason"]
    assert pipeline.output_files() == before
    grow(source, 1)
    pipeline.run(source, "Sex", **first)
    check_rows(pipeline.output_files(), 2 * _ROWS_A_RUN)


@pytest.mark.long
def test_a_sink_that_is_killed_and_started_again_with_other_settings_repeats_and_loses_nothing(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    source = tmp_path / "grows.csv"
    source.write_bytes(_HEADER + b"\n")
    pipeline.start("ingest", source, SETTLE_S="60")
    pipeline.start("split", SPLIT_BY="Sex")
    chosen = random.Random(19)  # noqa: S311 - it chooses settings
    for run in range(12):
        grow(source, run)
        sink = pipeline.start("sink", CHECKPOINT_INTERVAL_MS="100", **chosen.choice(_OUTPUT_SETTINGS))
        pipeline.wait_until(partial(is_of_another_size, pipeline, output_size(pipeline)), "sink adds rows")
        sink.kill()
    sink = pipeline.start("sink", ROLL_ROWS="50")

    def all_there() -> bool:
        rows = sum(len(content.splitlines()) - 1 for content in contents(pipeline) if content)
        return rows == 12 * _ROWS_A_RUN

    # The files still hold rows that the killed sinks had not made durable. This sink cuts them off and rewrites them.
    pipeline.wait_for_event(sink, "ready")
    pipeline.wait_until(all_there, "every row is in a file")
    assert sink.stop()[0] == 0
    check_rows(pipeline.output_files(), 12 * _ROWS_A_RUN)


def test_a_smaller_limit_for_a_row_rejects_longer_ones_and_what_went_out_stays(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    source = tmp_path / "grows.csv"
    source.write_bytes(_HEADER + b"\n")
    long = b"M,%s" % (b"9" * 1_500)
    for run, limit in enumerate(("900000", "1024")):
        with source.open("ab") as file:
            file.write(b"M,%d\n%s\n" % (run, long))
        pipeline.run(source, "Sex", MAX_ROW_BYTES=limit, MAX_REJECTED="none")
    files = pipeline.output_files()
    assert files["Sex/M.csv"] == b"\n".join([_HEADER, b"M,0", long, b"M,1", b""])
    [rejected] = rejections(files["rejected.csv"])
    assert "at most 1024 are allowed" in rejected["reason"]


def test_a_larger_limit_for_a_row_than_a_topic_takes_is_refused_and_names_the_topic(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    source = tmp_path / "grows.csv"
    source.write_bytes(_HEADER + b"\n")
    grow(source, 0)
    pipeline.run(source, "Sex", MAX_ROW_BYTES="1024")
    grow(source, 1)
    ingest = pipeline.start("ingest", "--once", source, MAX_ROW_BYTES="900000")
    assert ingest.wait_for_exit() == 78
    reasons = [error["reason"] for error in ingest.events("cannot go on")]
    [of_rows] = [reason for reason in reasons if f"{pipeline.prefix}rows" in reason]
    assert "MAX_ROW_BYTES" in of_rows
    pipeline.run(source, "Sex", MAX_ROW_BYTES="1024")
    check_rows(pipeline.output_files(), 2 * _ROWS_A_RUN)
