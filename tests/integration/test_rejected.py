"""What is no row, or fits no category, is told in rejected.csv, and nothing else is lost for it."""

from pathlib import Path

from tests.harness.expectation import rejections
from tests.harness.pipeline import Pipeline

HEADER = b"Sex,Name,Rings\n"
LINES = [
    b'M,"a,b",15',
    b"F,too short",
    b"I,not a number,seven",
    b'M,"two\nlines",9',
    b"M,9,8,7",
    b"F,fine,4",
    b"\xff,not text,3",
    b'I,"never closed,5',
    b"I,after it,6",
]


def test_rejected_rows_are_told_with_place_reason_and_exact_bytes(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    content = HEADER + b"".join(line + b"\n" for line in LINES)
    source.write_bytes(content)
    pipeline.run(source, "*,Sex,Rings:int")
    files = pipeline.output_files()
    found = rejections(files.pop("rejected.csv"))
    for rejection in found:
        raw = rejection["row"].encode("latin-1")
        offset = int(rejection["offset"])
        assert rejection["source"] == str(source)
        assert content[offset : offset + len(raw) + 1] == raw + b"\n"
        assert int(rejection["line"]) == content[:offset].count(b"\n") + 1
        assert rejection["reason"]
    assert {(rejection["split"], rejection["row"].encode("latin-1")) for rejection in found} == {
        ("", LINES[1]),
        ("", LINES[4]),
        ("", LINES[7]),
        ("Rings", LINES[2]),
        ("Sex", LINES[6]),
    }
    assert len(found) == 5
    assert files == {
        "all.csv": HEADER + b"".join(LINES[n] + b"\n" for n in (0, 2, 3, 5, 6, 8)),
        "Sex/M.csv": HEADER + LINES[0] + b"\n" + LINES[3] + b"\n",
        "Sex/F.csv": HEADER + LINES[5] + b"\n",
        "Sex/I.csv": HEADER + LINES[2] + b"\n" + LINES[8] + b"\n",
        "Rings/15.csv": HEADER + LINES[0] + b"\n",
        "Rings/9.csv": HEADER + LINES[3] + b"\n",
        "Rings/4.csv": HEADER + LINES[5] + b"\n",
        "Rings/3.csv": HEADER + LINES[6] + b"\n",
        "Rings/6.csv": HEADER + LINES[8] + b"\n",
    }


def test_rows_in_are_rows_out_and_rejected_in_every_split(pipeline: Pipeline, tmp_path: Path) -> None:
    rows = 20_000
    lines = [b"%s,%d,%s" % (b"MFI"[n % 3 :][:1], n, b"x" if n % 7 == 0 else b"%d" % (n % 29)) for n in range(rows)]
    lines[1234] = b"short"
    lines[15_678] = b'M,"quoted, and a number",x'
    source = tmp_path / "source.csv"
    source.write_bytes(HEADER + b"".join(line + b"\n" for line in lines))
    pipeline.run(source, "Sex,Rings:int")
    files = pipeline.output_files()
    found = rejections(files.pop("rejected.csv"))
    places = {int(rejection["line"]): rejection for rejection in found}
    for number, rejection in places.items():
        assert rejection["row"].encode() == lines[number - 2]
    for split in ("Sex", "Rings"):
        written = sum(content.count(b"\n") - 1 for path, content in files.items() if path.startswith(f"{split}/"))
        refused = sum(rejection["split"] in ("", split) for rejection in found)
        assert written + refused == rows
    assert len(found) == len(places) == 1 + sum(line.endswith(b",x") for line in lines)


def test_ingest_stops_once_too_many_are_rejected_and_goes_on_when_more_may_be(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(HEADER + b"".join(b"M,%d,1\n" % n if n % 100 else b"short\n" for n in range(5_000)))
    pipeline.start("split", SPLIT_BY="*")
    pipeline.start("sink")
    for _ in range(2):
        ingest = pipeline.start("ingest", "--once", source, MAX_REJECTED="0.5%")
        assert ingest.wait_for_exit() == 1
        [error] = ingest.events("cannot go on")
        assert "records were rejected, MAX_REJECTED is 0.5%: look at the reasons in rejected.csv" in error["reason"]
    # Anyone who follows that message finds the rejections.
    pipeline.wait_until((pipeline.output / "rejected.csv").exists, "rejections are written")
    pipeline.finish(pipeline.start("ingest", "--once", source, MAX_REJECTED="50"))
    rows = b"".join(b"M,%d,1\n" % n for n in range(5_000) if n % 100)
    pipeline.wait_until(lambda: len((pipeline.output / "all.csv").read_bytes()) >= len(HEADER + rows), "all is written")
    files = pipeline.output_files()
    assert files["all.csv"] == HEADER + rows
    assert [int(told["line"]) for told in rejections(files["rejected.csv"])] == [n + 2 for n in range(0, 5_000, 100)]


def test_standard_input_stops_once_too_many_are_rejected(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(HEADER + b"short\n" * 3)
    with source.open("rb") as file:
        ingest = pipeline.start_ingest_of(file, MAX_REJECTED="2")
        assert ingest.wait_for_exit() == 1
    assert "3 of 3 records were rejected, MAX_REJECTED is 2" in ingest.log()
    assert len(pipeline.observer.rejected()) == 3
