"""Whatever a CSV file looks like, its rows come out byte for byte."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from common.kafka.clients import open_producer
from common.settings import ServiceSettings
from common.settings_reader import make_settings
from tests.harness.expectation import rejections
from tests.harness.pipeline import Pipeline

HEADER = b"Sex,Text,Number"
# Only what needs quotes is quoted, so that rows carried as JSON can come out as they went in.
RECORDS = [
    (b"M", b"M,plain,0.10"),
    (b"F", b'F,"comma, and ""quotes""",1e5'),
    (b"M", b'M,"two\nlines",007'),
    (b"F", b"F,,-0"),
    (b"M", "M,Ohrschnecke äöü \u1f41a,1.50".encode()),
    (b"I", b"I,back\\slash\tand tab,+5"),
    (b"M", b'M,"a\r\nb",12345678901234567890'),
    (b"F", b"F,'single',3"),
]


@pytest.mark.parametrize("row_format", ["csv", "json"])
@pytest.mark.parametrize(
    ("eol", "last_eol"),
    [
        pytest.param(b"\n", b"\n", id="lf"),
        pytest.param(b"\r\n", b"\r\n", id="crlf"),
        pytest.param(b"\n", b"", id="lf-no-final-newline"),
        pytest.param(b"\r\n", b"", id="crlf-no-final-newline"),
    ],
)
def test_quotes_line_breaks_and_line_endings_come_out_as_they_went_in(
    pipeline: Pipeline, tmp_path: Path, row_format: str, eol: bytes, last_eol: bytes
) -> None:
    records = [(sex, record + eol) for sex, record in RECORDS]
    records[-1] = (records[-1][0], RECORDS[-1][1] + last_eol)
    source = tmp_path / "source.csv"
    source.write_bytes(HEADER + eol + b"".join(record for _, record in records))
    pipeline.run(source, "*,Sex", ROW_FORMAT=row_format)
    expected = {"all.csv": source.read_bytes()}
    for sex in (b"M", b"F", b"I"):
        content = b"".join(record for category, record in records if category == sex)
        expected[f"Sex/{sex.decode()}.csv"] = HEADER + eol + content
    pipeline.check_files(expected)


@pytest.mark.long
@pytest.mark.parametrize("row_format", ["csv", "json"])
def test_without_compiled_loops_the_same_comes_out(pipeline: Pipeline, big_file: Path, row_format: str) -> None:
    pipeline.run(big_file, "*", ROW_FORMAT=row_format, KAFKA_COMPRESSION="zstd", NACRE_PLAIN="1")
    pipeline.check_files({"all.csv": big_file.read_bytes()})
    assert [service.events("starting")[0]["loops"] for service in pipeline.services] == ["plain"] * 3


# The number of each in a record batch's attributes. (https://kafka.apache.org/documentation/#recordbatch)
@pytest.mark.long
@pytest.mark.parametrize(("compression", "number"), [("gzip", 1), ("lz4", 3), ("zstd", 4)])
def test_packed_record_batches_change_no_row(
    pipeline: Pipeline, big_file: Path, bootstrap: str, compression: str, number: int
) -> None:
    pipeline.run(big_file, "*", KAFKA_COMPRESSION=compression)
    pipeline.check_files({"all.csv": big_file.read_bytes()})

    async def pack() -> bytes:
        settings = make_settings(
            ServiceSettings, {"kafka_bootstrap_servers": bootstrap, "kafka_compression": compression}
        )
        async with open_producer(settings, f"packing-{compression}") as producer:
            batch = producer.new_batch()
            batch.put_rows(0, b"key", [b"row"] * 100, 0)
            return bytes(batch._build())  # noqa: SLF001 - what is sent

    assert asyncio.run(pack())[22] & 0b111 == number


def test_json_rows_are_objects_with_their_digits_as_written(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(b"\n".join([HEADER, *(record for _, record in RECORDS), b""]))
    ingest = pipeline.start("ingest", "--once", source, ROW_FORMAT="json")
    pipeline.finish(ingest)
    values = [record.value for record in pipeline.observer.records("rows") if not record.headers]
    numbers = [b"0.10", b"1e5", b'"007"', b"-0", b"1.50", b'"+5"', b"12345678901234567890", b"3"]
    assert [value.rpartition(b":")[2].removesuffix(b"}") for value in values] == numbers
    rows = [json.loads(value, parse_int=str, parse_float=str) for value in values]
    assert [list(row) for row in rows] == [["Sex", "Text", "Number"]] * len(RECORDS)
    assert [row["Sex"].encode() for row in rows] == [sex for sex, _ in RECORDS]
    assert rows[1]["Text"] == 'comma, and "quotes"'
    assert rows[2]["Text"] == "two\nlines"


def test_a_field_of_ten_megabytes_passes_where_rows_may_be_so_long_and_else_is_rejected(
    pipeline: Pipeline, make_pipeline: Callable[[str], Pipeline], tmp_path: Path
) -> None:
    source = tmp_path / "source.csv"
    long = b'M,"' + b"long, " * 1_700_000 + b'",1\n'
    source.write_bytes(HEADER + b"\n" + b"M,short,0\n" + long + b"F,short,2\n")
    pipeline.run(source, "*,Sex", MAX_ROW_BYTES="12000000")
    pipeline.check_files(
        {
            "all.csv": source.read_bytes(),
            "Sex/M.csv": HEADER + b"\nM,short,0\n" + long,
            "Sex/F.csv": HEADER + b"\nF,short,2\n",
        }
    )
    other = make_pipeline(pipeline.bootstrap)
    other.run(source, "*")
    files = other.output_files()
    assert files["all.csv"] == HEADER + b"\nM,short,0\nF,short,2\n"
    [told] = rejections(files["rejected.csv"])
    assert told["line"] == "3"
    assert told["reason"].startswith(f"a row of {len(long) - 1} bytes, at most 900000 are allowed (only its first")
    assert told["row"].encode() == long[:900_000]


def test_a_topic_that_does_not_take_such_rows_is_an_error_that_says_what_to_do(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(HEADER + b"\nM,a,1\n")
    pipeline.run(source, "*")
    ingest = pipeline.start("ingest", "--once", source, MAX_ROW_BYTES="2000000")
    assert ingest.wait_for_exit() == 78
    assert "takes 1048588 bytes at once, MAX_ROW_BYTES=2000000 needs 2100000: set its max.message.bytes" in ingest.log()
