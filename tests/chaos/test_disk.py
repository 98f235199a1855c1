"""A full disk, a read-only folder, a damaged ledger under sink: told once, waited for, mended."""

import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from services.sink.rolling.finished_files import SUFFIXES, Packing
from tests.chaos.conftest import MakeFlow
from tests.harness.chaos import extent
from tests.harness.expectation import ABALONE, expected_files
from tests.harness.parts import joined
from tests.harness.pipeline import ABALONE_FILE, Pipeline, Service
from tests.harness.running_brokers import sessions_of
from tests.harness.small_disk import Disk

RecordProperty = Callable[[str, object], None]

HEADER = b"Side,Noise\n"
ONLY_IN_FULL = pytest.mark.skipif(not extent.MINUTES, reason="only in `make chaos`")


MakeDisk = Callable[[Path, int], Disk]


@pytest.fixture
def make_disk() -> Iterator[MakeDisk]:
    """Small file systems at output folders. Request this fixture before a flow, so that they outlive it."""
    disks: list[Disk] = []

    def make(folder: Path, size_mib: int) -> Disk:
        disks.append(Disk(folder, size_mib))
        return disks[-1]

    yield make
    for disk in disks:
        disk.close()


def wait_for_count(pipeline: Pipeline, service: Service, event: str, count: int) -> float:
    return pipeline.wait_until(lambda: len(service.events(event)) >= count, f"{service.name}: {count} times {event!r}")


def failures(sink: Service) -> list[str]:
    """What it told of the disk; a broker just started may have kept it from being ready before."""
    return [line["reason"] for line in sink.events("not ready") if line["reason"].startswith("DiskError: ")]


def check_not_ready_once(pipeline: Pipeline, sink: Service, words: str) -> str:
    """It says why, with the path, then tries again and again without a further word. Return what it says."""
    pipeline.wait_until(partial(failures, sink), "sink tells of the disk")
    group = f"{pipeline.prefix}sink"
    attempts = sessions_of(group)
    pipeline.wait_until(lambda: sessions_of(group) >= attempts + 3, "sink tries again")
    [told] = failures(sink)
    assert told.removeprefix("DiskError: cannot write ").removeprefix("ledger ").startswith(f"{pipeline.output}/")
    assert words in told
    assert told.endswith(", sink goes on by itself")
    return told


@pytest.mark.parametrize("way", ["filled by others", pytest.param("outgrown", marks=ONLY_IN_FULL)])
def test_sink_waits_while_the_disk_is_full_and_goes_on_by_itself(
    make_disk: MakeDisk, make_flow: MakeFlow, record_property: RecordProperty, way: str
) -> None:
    flow = make_flow(rows_per_s=4_000)
    disk = make_disk(flow.pipeline.output, 64 if way == "filled by others" else 10)
    flow.start_all()
    [sink] = flow.running["sink"]
    flow.pipeline.wait_for_event(sink, "ready")
    if way == "filled by others":
        disk.fill()
    check_not_ready_once(flow.pipeline, sink, "No space left on device")
    assert len(sink.events("ready")) == 1
    if way == "filled by others":
        disk.empty()
    else:
        disk.grow(256)
    took_s = wait_for_count(flow.pipeline, sink, "ready", 2)
    flow.wait_for_more()
    account = flow.finish()
    assert len(failures(sink)) == 1
    record_property("seconds from room made to ready", took_s)
    record_property("rows over a full disk", account.rows)
    record_property("times a reader saw a file cut back, full disk", len(account.reader.shrank))


@pytest.mark.parametrize("start", ["before", pytest.param("meanwhile", marks=ONLY_IN_FULL)])
def test_sink_waits_while_its_folder_is_read_only_and_goes_on_by_itself(
    make_disk: MakeDisk, make_flow: MakeFlow, record_property: RecordProperty, start: str
) -> None:
    flow = make_flow(rows_per_s=4_000)
    disk = make_disk(flow.pipeline.output, 256)
    flow.start_all()
    [sink] = flow.running["sink"]
    flow.pipeline.wait_for_event(sink, "ready")
    disk.forbid_writing()
    if start == "meanwhile":
        flow.kill(sink)
        sink = flow.start("sink")
    check_not_ready_once(flow.pipeline, sink, "Read-only file system")
    before = len(sink.events("ready"))
    assert before == (start == "before")
    disk.unmount()
    took_s = wait_for_count(flow.pipeline, sink, "ready", before + 1)
    flow.wait_for_more()
    account = flow.finish()
    assert len(failures(sink)) == 1
    record_property("seconds from writable to ready", took_s)
    record_property("rows over a read-only folder", account.rows)


@pytest.mark.parametrize("packing", ["gzip", pytest.param("zstd", marks=ONLY_IN_FULL)])
def test_while_there_is_no_room_for_a_packed_file_rows_go_on_and_sink_tries_again_by_itself(
    make_disk: MakeDisk, pipeline: Pipeline, tmp_path: Path, packing: Packing
) -> None:
    pipeline.output.mkdir()
    disk = make_disk(pipeline.output, 128)
    source = tmp_path / "rows.csv"
    # Packed it is half as long.
    noise = random.Random(1)  # noqa: S311 - it is to be repeatable
    rows = [b"%s,%s\n" % (b"AB"[n % 2 :][:1], noise.randbytes(1_000).hex().encode()) for n in range(24_000)]
    settings = {"COMPRESS": packing, "ROLL_ROWS": "1000000", "PARTITIONS": "1"}
    source.write_bytes(HEADER + b"".join(rows[:10]))
    pipeline.run(source, "Side", **settings)
    first = finished_files(pipeline.output)
    assert len(first) == 2
    add_rows(pipeline, source, rows[10:], settings)
    sink = pipeline.start("sink", **settings)
    opened = [pipeline.output / "Side" / f"{side}-000002.csv.open" for side in "AB"]
    size = 2 * len(HEADER) + sum(map(len, rows[10:]))
    pipeline.wait_until(lambda: size_of(opened) == size, "the open files have all rows")
    assert sink.stop()[0] == 0
    # Enough for both partitions to begin at once, too little for what sink has to pack.
    disk.fill(but_bytes=9 * 2**20)
    sink = pipeline.start("sink", ROLL_IDLE_S="0.1", **settings)
    pipeline.wait_until(partial(failures, sink), "sink tells of the disk")
    # What half a copy took is free again: other files grow as before, while sink tries again and again.
    add_rows(pipeline, source, [b"C,1\n"] * 10, settings)
    other = pipeline.output / "Side" / "C-000001.csv.open"
    # It may wait behind a packing that fails and then be finished itself: there is room for that.
    packed = other.with_name(f"C-000001.csv{SUFFIXES[packing]}")
    pipeline.wait_until(lambda: packed.exists() or size_of([other]) == len(HEADER) + 40, "other rows are in their file")
    group = f"{pipeline.prefix}sink"
    attempts = sessions_of(group)
    pipeline.wait_until(lambda: sessions_of(group) >= attempts + 2, "sink tries again")
    # While it packs, anything else that writes may be the first to lack the room.
    told = failures(sink)
    assert any(f"{pipeline.output}/Side/" in each and f"-000002.csv{SUFFIXES[packing]}.tmp: " in each for each in told)
    assert all("No space left on device" in each and each.endswith(", sink goes on by itself") for each in told)
    assert {path: state for path, state in finished_files(pipeline.output).items() if path != packed} == first
    assert size_of(opened) == size
    disk.empty()
    pipeline.wait_until(lambda: not any(path.exists() for path in (*opened, other)), "all files are finished")
    assert sink.stop()[0] == 0
    last = finished_files(pipeline.output)
    assert len(last) == 5
    assert {path: state for path, state in last.items() if path in first} == first
    assert joined(pipeline.output_files()) == {
        f"Side/{side}.csv": HEADER + b"".join(rows["AB".index(side) :: 2]) for side in "AB"
    } | {"Side/C.csv": HEADER + b"C,1\n" * 10}


def add_rows(pipeline: Pipeline, source: Path, rows: list[bytes], settings: dict[str, str]) -> None:
    """Append rows to a source, and let them come as far as to sink."""
    with source.open("ab") as file:
        file.writelines(rows)
    pipeline.finish(pipeline.start("ingest", "--once", source, **settings))
    pipeline.finish(pipeline.start("split", SPLIT_BY="Side", EXIT_WHEN_DONE="true", **settings))


def size_of(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.exists())


def finished_files(output: Path) -> dict[Path, tuple[int, int, bytes]]:
    """What makes known whether a finished file has been touched."""
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in output.glob("Side/*")
        if path.suffix in SUFFIXES.values()
    }


def lose_pages(data: bytes) -> bytes:
    return data[:100] + b"\xff" * (len(data) - 100)


def replace_all(data: bytes) -> bytes:
    return b"no ledger\n" * (len(data) // 10)


@pytest.mark.parametrize("damage", [lose_pages, pytest.param(replace_all, marks=ONLY_IN_FULL)])
def test_a_damaged_ledger_ends_sink_with_what_to_do_and_the_files_stay(
    pipeline: Pipeline, damage: Callable[[bytes], bytes]
) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    check = partial(pipeline.check_files, expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]))
    ledgers = {path: path.read_bytes() for path in pipeline.output.glob(".nacre/*.ledger")}
    for path, data in ledgers.items():
        path.write_bytes(damage(data))
    sink = pipeline.start("sink")
    assert sink.wait_for_exit() == 1
    [error] = sink.events("cannot go on")
    assert f"ledger {pipeline.output}/.nacre/" in error["reason"]
    assert "is damaged" in error["reason"]
    assert "another OUTPUT_DIR" in error["reason"]
    check()
    # Put back, it goes on.
    for path, data in ledgers.items():
        path.write_bytes(data)
    pipeline.finish(pipeline.start("sink", EXIT_WHEN_DONE="true"))
    check()
