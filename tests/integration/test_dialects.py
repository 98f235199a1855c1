"""Whatever a file is written with, its rows come out byte for byte, and their categories are text."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tests.harness.expectation import ABALONE, expected_files, rejections
from tests.harness.pipeline import ABALONE_FILE, Pipeline

TEXT = "Höhe;Text\nklein;'a;b'\nlänger;'it''s\ntwo lines'\nklein;€\n;x\n"


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("row_format", ["csv", "json"])
def test_other_marks_another_encoding_and_lines_to_skip(pipeline: Pipeline, tmp_path: Path, row_format: str) -> None:
    preamble, encoded = "Stand: heute\n\n".encode("cp1252"), TEXT.replace("\n", "\r\n").encode("cp1252")
    source = write(tmp_path / "a.csv", preamble + encoded)
    settings = {"DELIMITER": ";", "QUOTE": "'", "ENCODING": "cp1252", "SKIP_LINES": "2", "ROW_FORMAT": row_format}
    pipeline.run(source, "*,Höhe", **settings)
    header, rest = encoded[: encoded.index(b"\n") + 1], encoded.split(b"\r\n")[1:]
    pipeline.check_files(
        {
            "all.csv": encoded,
            "Höhe/klein.csv": header + b"\r\n".join([rest[0], rest[3], b""]),
            "Höhe/länger.csv": header + b"\r\n".join([rest[1], rest[2], b""]),
            "Höhe/~empty.csv": header + rest[4] + b"\r\n",
        }
    )


def test_where_nothing_is_quoted_a_quote_opens_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", b'size\tname\n5"\t"bolt\n5"\t"nut\n')
    pipeline.run(source, "*,size", DELIMITER="tab", QUOTE="none")
    pipeline.check_files({"all.csv": source.read_bytes(), "size/5%22.csv": source.read_bytes()})


def test_each_file_of_a_folder_may_have_its_own_dialect(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    rows = [[str(n), f"2026-01-{n % 28 + 1:02}", f"{n / 7:.2f}"] for n in range(100)]
    for name, delimiter in (("a", ","), ("b", ";"), ("c", "\t"), ("d", "|")):
        header = delimiter.join(["number", "day", name])
        write(folder / f"{name}.csv", "\n".join([header, *map(delimiter.join, rows), ""]).encode())
    pipeline.run(folder, "day", DELIMITER="auto")
    written = pipeline.output_files()
    assert len(written) == 4 * 28
    assert sum(content.count(b"\n") - 1 for content in written.values()) == 4 * len(rows)


def test_what_is_no_text_in_its_encoding_is_rejected_and_told(pipeline: Pipeline, tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", b"name,n\n\xe4,1\n\xc3\xa4,2\n")
    pipeline.run(source, "*,name")
    files = pipeline.output_files()
    assert files["all.csv"] == source.read_bytes()
    assert files["name/ä.csv"] == b"name,n\n\xc3\xa4,2\n"
    [told] = rejections(files["rejected.csv"])
    assert (told["line"], told["split"], told["reason"]) == ("2", "name", "name: not UTF-8: '\\xe4'")


@pytest.mark.parametrize("data", [b"\n\n", b"\r\n", b"\xef\xbb\xbf\n\n"])
def test_a_file_of_blank_lines_ends(pipeline: Pipeline, tmp_path: Path, data: bytes) -> None:
    pipeline.run(write(tmp_path / "a.csv", data), "*")
    files = pipeline.output_files()
    assert files.keys() == {"rejected.csv"}
    assert {told["reason"] for told in rejections(files["rejected.csv"])} == {"blank line"}


def test_a_file_in_utf_16_is_refused_with_what_to_do(pipeline: Pipeline, tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", "a,b\n1,2\n".encode("utf-16"))
    ingest = pipeline.start("ingest", "--once", source)
    assert ingest.wait_for_exit() == 1
    assert "convert it to UTF-8 first" in ingest.log()


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_compressed_files_are_read_when_they_are_complete(
    pipeline: Pipeline, tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    content = ABALONE_FILE.read_bytes()
    packed = pack(content)
    folder = tmp_path / "in"
    folder.mkdir()
    source = write(folder / f"a.csv{suffix}", packed[: len(packed) // 2])
    pipeline.start("split", SPLIT_BY="*,Sex")
    pipeline.start("sink")
    ingest = pipeline.start("ingest", folder, SETTLE_S="0.2")
    pipeline.wait_for_event(ingest, "source cannot be read")
    assert "is not complete" in ingest.log()
    write(source, packed)
    pipeline.wait_for_files(expected_files(content, [ABALONE["*"], ABALONE["Sex"]]))


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_compressed_files_are_read_on_where_a_killed_ingest_was(
    pipeline: Pipeline, tmp_path: Path, big_file: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    content = big_file.read_bytes()
    source = write(tmp_path / f"a.csv{suffix}", pack(content))
    pipeline.start("split", SPLIT_BY="*")
    pipeline.start("sink")
    for share in (0.1, 0.4, 0.7):
        ingest = pipeline.start("ingest", source, SETTLE_S="0")
        pipeline.wait_for_size(int(len(content) * share))
        ingest.kill()
    pipeline.start("ingest", source, SETTLE_S="0")
    pipeline.wait_for_files({"all.csv": content})


def test_more_compressed_files_than_are_unpacked_at_once(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(40):
        write(folder / f"{number}.csv.gz", gzip.compress(b"name,n\n" + b"%d,1\n" % number * 1000))
    pipeline.run(folder, "name", PARTITIONS="2")
    files = pipeline.output_files()
    assert {name: content.count(b"\n") for name, content in files.items()} == {
        f"name/{number}.csv": 1001 for number in range(40)
    }


def test_whatever_a_folder_holds_costs_its_own_file_alone(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    rows = b"".join(b"%d,1\n" % number for number in range(1000))
    write(folder / "good.csv", b"name,n\n" + rows)
    write(folder / "gzip.csv", gzip.compress(b"name,n\n1000,1\n"))
    write(folder / "plain.csv.gz", b"name,n\n1001,1\n")
    refused = {
        "long.csv": (b"x" * 1_200_000 + b"\n1\n", "its header is too long"),
        "wide.csv": (b",".join(b"column%d" % number for number in range(100_000)) + b"\n", "its header is too long"),
        "zip.csv": (b"PK\x03\x04\x14\0\x06\0hello\n", "zip archive or an Excel workbook"),
        "html.csv": (b"<!DOCTYPE html>\n<p>Log in, please</p>\n", "HTML"),
        "utf-16.csv": ("name,n\n1,1\n".encode("utf-16-le"), "iconv -f UTF-16LE -t UTF-8"),
        "behind.csv.gz": (gzip.compress(b"name,n\n") + b"garbage\n", "what follows is not compressed"),
    }
    for name, (data, _) in refused.items():
        write(folder / name, data)
    pipeline.start("split", SPLIT_BY="*")
    pipeline.start("sink")
    ingest = pipeline.start("ingest", "--once", folder)
    assert ingest.wait_for_exit() == 1
    told = {Path(line["source"]).name: line["reason"] for line in ingest.events("source cannot be read")}
    assert told.keys() == refused.keys()
    for name, (_, reason) in refused.items():
        assert reason in told[name]
    assert "MessageSizeTooLarge" not in ingest.log()
    expected = sorted([*rows.splitlines(), b"1000,1", b"1001,1"])
    pipeline.wait_until(
        lambda: sorted(pipeline.output_files().get("all.csv", b"").splitlines()[1:]) == expected,
        "all good rows are there",
    )
