"""What judges the chaos tests finds each wrong that it is there to find."""

import csv
import fcntl
import gzip
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # it is in their manual

from tests.harness.chaos.leftovers import leftovers
from tests.harness.chaos.reader import Report, Watched, check
from tests.harness.chaos.rows import COLUMNS, HEADER, make_rows, paths_of
from tests.harness.chaos.transactions import open_transactions
from tests.harness.chaos.verifier import differences, expected_content, found_content
from tests.harness.chaos.written import Finished, Written
from tests.harness.observer import Observer
from tests.harness.pipeline import wait_until

# Enough that each kind of rejection comes twice.
_ROWS = 2_000
_REJECTED_HEADER = ["source", "line", "offset", "split", "code", "reason", "row"]
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Folder:
    """Input of two sources and the output that is right for it."""

    inputs: dict[str, Path]
    output: Path

    def told(self) -> list[str]:
        """What is wrong with the files."""
        try:
            return differences(found_content(self.output), expected_content(self.inputs))
        except AssertionError as error:
            return [str(error)]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    inputs = {name: tmp_path / f"{name}.csv" for name in ("s0", "s1")}
    files: dict[str, list[bytes]] = {}
    rejected: list[tuple[object, ...]] = []
    for name, path in inputs.items():
        rows = make_rows(name, 0, _ROWS).splitlines(keepends=True)
        path.write_bytes(HEADER + b"".join(rows))
        offset = len(HEADER)
        for line, row in enumerate(rows, start=2):
            fields = row.rstrip().split(b",")
            paths = paths_of(fields) if len(fields) == COLUMNS else {"": None}
            for split, relative in paths.items():
                if relative is None:
                    rejected.append((path, line, offset, split, "number", "bad", row.rstrip().decode()))
                else:
                    files.setdefault(relative, [HEADER]).append(row)
            offset += len(row)
    output = tmp_path / "out"
    for relative, lines in files.items():
        (output / relative).parent.mkdir(parents=True, exist_ok=True)
        (output / relative).write_bytes(b"".join(lines))
    with (output / "rejected.csv").open("w", newline="") as file:
        csv.writer(file).writerows([_REJECTED_HEADER, *rejected])
    (output / ".nacre").mkdir()
    return Folder(inputs, output)


def test_right_output_is_found_right(folder: Folder) -> None:
    assert folder.told() == []
    paths = expected_content(folder.inputs).paths | {"rejected.csv"}
    assert leftovers(f"test-{uuid.uuid4().hex}.", folder.output, paths) == []


def _lose(lines: list[bytes]) -> None:
    del lines[5]


def _repeat(lines: list[bytes]) -> None:
    lines.insert(5, lines[5])


def _swap(lines: list[bytes]) -> None:
    lines[5], lines[6] = lines[6], lines[5]


def _change_a_byte(lines: list[bytes]) -> None:
    lines[5] = lines[5].replace(b"0.", b"1.", 1)


def _leave_out_the_header(lines: list[bytes]) -> None:
    del lines[0]


def _tear_the_last(lines: list[bytes]) -> None:
    lines[-1] = lines[-1][:-3]


def _move_to_the_end(lines: list[bytes]) -> None:
    lines.append(lines.pop(5))


@pytest.mark.parametrize("path", ["all.csv", "Source/s1.csv", "Source+Sex/s0/M.csv", "Rings/9.csv"])
@pytest.mark.parametrize(
    "spoil",
    [_lose, _repeat, _swap, _change_a_byte, _leave_out_the_header, _tear_the_last, _move_to_the_end],
)
def test_a_spoilt_file_is_told(folder: Folder, spoil: Callable[[list[bytes]], None], path: str) -> None:
    _spoil(folder.output / path, spoil)
    assert any(path in told for told in folder.told())


def _spoil(path: Path, spoil: Callable[[list[bytes]], None]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    spoil(lines)
    path.write_bytes(b"".join(lines))


def test_rows_of_different_sources_may_come_in_any_order(folder: Folder) -> None:
    def bring_forward(lines: list[bytes]) -> None:
        lines.insert(1, lines.pop(next(number for number, line in enumerate(lines) if b",s1," in line)))

    _spoil(folder.output / "all.csv", bring_forward)
    assert folder.told() == []


def test_a_missing_file_is_told(folder: Folder) -> None:
    (folder.output / "Rings" / "9.csv").unlink()
    assert any("Rings/9.csv" in told for told in folder.told())


def test_finished_and_open_files_count_as_one_and_none_may_be_missing(folder: Folder) -> None:
    path = folder.output / "Rings" / "9.csv"
    header, *rows = path.read_bytes().splitlines(keepends=True)
    path.unlink()
    parts = [rows[:1], rows[1:2], rows[2:]]
    with gzip.open(path.with_name("9-000001.csv.gz"), "wb") as file:
        file.write(header + b"".join(parts[0]))
    path.with_name("9-000002.csv").write_bytes(header + b"".join(parts[1]))
    path.with_name("9-000003.csv.open").write_bytes(header + b"".join(parts[2]))
    assert folder.told() == []
    expected = expected_content(folder.inputs)
    # As they are for a moment.
    path.with_name("9-000002.csv.gz.tmp").write_bytes(b"half a copy")
    path.with_name("9-000002.csv.open").write_bytes(path.with_name("9-000002.csv").read_bytes())
    assert Written(folder.output).everything() == expected.size
    path.with_name("9-000002.csv").unlink()
    path.with_name("9-000002.csv.open").unlink()
    path.with_name("9-000002.csv.gz.tmp").unlink()
    assert any("part 2 is not" in told for told in folder.told())


def test_a_finished_file_that_is_made_anew_is_told_and_an_open_one_is_not(folder: Folder) -> None:
    finished, is_open = (folder.output / "Rings" / name for name in ("9-000001.csv.gz", "9-000002.csv.open"))
    finished.write_bytes(b"packed")
    is_open.write_bytes(HEADER)
    seen = Finished(folder.output)
    seen.look()
    is_open.write_bytes(HEADER + b"more")
    assert seen.changes() == []
    again = finished.with_name("again")
    again.write_bytes(finished.read_bytes())
    again.rename(finished)
    assert seen.changes() == ["Rings/9-000001.csv.gz was finished, and is another"]
    finished.unlink()
    assert seen.changes() == ["Rings/9-000001.csv.gz was finished, and is gone"]


@pytest.mark.parametrize("content", [HEADER, b""])
def test_a_file_too_many_is_left_over(folder: Folder, content: bytes) -> None:
    (folder.output / "Rings" / "99.csv").write_bytes(content)
    paths = expected_content(folder.inputs).paths | {"rejected.csv"}
    assert leftovers("none.", folder.output, paths) == ["file Rings/99.csv"]


@pytest.mark.parametrize("spoil", [_lose, _repeat, _change_a_byte, _leave_out_the_header])
def test_spoilt_rejections_are_told(folder: Folder, spoil: Callable[[list[bytes]], None]) -> None:
    _spoil(folder.output / "rejected.csv", spoil)
    assert folder.told()


def test_a_rejection_at_a_wrong_place_is_told(folder: Folder) -> None:
    def move(lines: list[bytes]) -> None:
        lines[1] = lines[1].replace(b",500,", b",501,")

    _spoil(folder.output / "rejected.csv", move)
    assert any("rejected" in told for told in folder.told())


def test_missing_rejections_are_told(folder: Folder) -> None:
    (folder.output / "rejected.csv").unlink()
    assert any("rejected" in told for told in folder.told())


def test_a_held_lock_is_left_over_until_it_is_free(folder: Folder) -> None:
    paths = expected_content(folder.inputs).paths | {"rejected.csv"}
    with (folder.output / ".nacre" / "categorized-0.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert leftovers("none.", folder.output, paths) == ["lock categorized-0.lock is held"]
    assert leftovers("none.", folder.output, paths) == []


def test_a_temporary_file_beside_a_ledger_is_left_over(folder: Folder) -> None:
    paths = expected_content(folder.inputs).paths | {"rejected.csv"}
    (folder.output / ".nacre" / "categorized-0.ledger").touch()
    (folder.output / ".nacre" / "categorized-0.ledger-wal").touch()
    [told] = leftovers("none.", folder.output, paths)
    assert told.endswith("categorized-0.ledger-wal")


@pytest.fixture
def stray() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    prefix = f"test-{uuid.uuid4().hex}."
    code = "import sys; sys.stdin.read()"
    environment = {**os.environ, "TOPIC_PREFIX": prefix}
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, env=environment) as process:
        yield prefix, process


def test_a_process_of_the_pipeline_is_left_over_until_it_ends(
    folder: Folder, stray: tuple[str, subprocess.Popen[bytes]]
) -> None:
    prefix, process = stray
    paths = expected_content(folder.inputs).paths | {"rejected.csv"}
    assert any(f"process {process.pid} still runs" in told for told in leftovers(prefix, folder.output, paths))
    assert leftovers("none.", folder.output, paths) == []
    process.communicate()
    assert leftovers(prefix, folder.output, paths) == []


@dataclass(frozen=True)
class Watch:
    """A file, looked at by the reader each time it was written to."""

    path: Path
    report: Report
    watched: Watched

    def write(self, data: bytes, at: int | None = None) -> None:
        """Append, or go back to where and write on from there; the reader sees both."""
        with self.path.open("r+b") as file:
            if at is not None:
                file.truncate(at)
                self.watched.look(0.0)
            file.seek(0, os.SEEK_END)
            file.write(data)
        self.watched.look(0.0)

    def told(self) -> list[str]:
        """What the reader holds against the file."""
        return check(self.report, self.path.parent)


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    path = tmp_path / "all.csv"
    path.touch()
    report = Report()
    return Watch(path, report, Watched(path, path.name, report))


def test_a_file_that_was_cut_and_written_the_same_is_counted_and_not_told(watch: Watch) -> None:
    watch.write(b"first\nsecond\nthird\n")
    watch.write(b"second\nthird\nfourth\n", at=6)
    assert watch.report.shrank == ["all.csv from 19 to 6 bytes"]
    assert watch.told() == []


@pytest.mark.parametrize("data", [b"2econd\nthird\n", b"2econd\nthird\nfourth\n", b""])
def test_a_file_that_was_cut_and_written_otherwise_or_not_at_all_is_told(watch: Watch, data: bytes) -> None:
    watch.write(b"first\nsecond\nthird\n")
    watch.write(data, at=6)
    assert any("bytes were read that are others in the end" in told for told in watch.told())


def test_a_byte_that_changes_in_place_is_told(watch: Watch) -> None:
    watch.write(b"first\nsecond\n")
    watch.path.write_bytes(b"first\n2econd\n")
    watch.write(b"third\n")
    assert any("bytes were read that are others in the end" in told for told in watch.told())


def test_a_file_that_another_takes_the_place_of_is_told(watch: Watch) -> None:
    watch.write(b"first\nsecond\n")
    other = watch.path.with_suffix(".new")
    other.write_bytes(b"first\n")
    other.rename(watch.path)
    assert watch.told()


def test_a_half_line_that_is_completed_later_is_told(watch: Watch) -> None:
    watch.write(b"first\nsec")
    watch.write(b"ond\n")
    assert [told.split(" for ")[0] for told in watch.told()] == ["all.csv at 9 bytes"]


def test_a_half_line_at_a_pages_edge_is_counted_and_not_told(watch: Watch) -> None:
    watch.write(b"x" * _PAGE_BYTES)
    watch.write(b"yz\n")
    assert watch.report.page_edges == 1
    assert watch.told() == []


def test_an_open_transaction_is_seen_until_it_is_aborted(bootstrap: str) -> None:
    prefix = f"test-{uuid.uuid4().hex[:12]}."
    admin = Observer(bootstrap, prefix).admin
    topic = f"{prefix}rows"
    for created in admin.create_topics([NewTopic(topic, 1, 1)]).values():
        created.result()
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"{prefix}writer", "log_level": 0})
    producer.init_transactions(10)
    assert open_transactions(bootstrap, prefix) == []
    producer.begin_transaction()
    producer.produce(topic, b"row")
    assert producer.flush(10) == 0
    [transaction] = open_transactions(bootstrap, prefix)
    assert (transaction.transactional_id, transaction.state) == (f"{prefix}writer", "Ongoing")
    assert open_transactions(bootstrap, f"other-{prefix}") == []
    producer.abort_transaction(10)
    wait_until(lambda: not open_transactions(bootstrap, prefix), "the transaction is over")
    for deleted in admin.delete_topics([topic]).values():
        deleted.result()
