import os
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigurationError, SourceError
from common.pipeline.completion import all_ended, caught_up
from common.protocol.partitioner import partition_for
from common.protocol.progress import Progress
from services.ingest.files.finding import find_files, source_name
from services.ingest.files.reading import read_fingerprint, read_plain_chunk
from services.ingest.parsing.fingerprint import Fingerprint

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def test_nothing_is_done_before_a_source_is_known() -> None:
    assert not all_ended({})
    assert not all_ended({"a": Progress("a", ended=True), "b": Progress("b")})
    assert all_ended({"a": Progress("a", ended=True)})


def test_a_group_is_behind_until_every_partition_is_committed_to_its_end() -> None:
    assert caught_up({A: 5, B: -1}, {A: 5, B: 0})
    assert not caught_up({A: 5}, {A: 5, B: 1})
    assert not caught_up({A: 4, B: 1}, {A: 5, B: 1})


@pytest.mark.parametrize(
    ("key", "partition"),
    # As kafka-clients' Utils.toPositive(Utils.murmur2(key)) % 6 has it.
    [(b"", 0x106E08D9 % 6), (b"21", (-973932308 & 0x7FFFFFFF) % 6), (b"foobar", (-790332482 & 0x7FFFFFFF) % 6)],
)
def test_a_key_goes_where_kafka_s_default_partitioner_puts_it(key: bytes, partition: int) -> None:
    assert partition_for(key, 6) == partition


@given(st.lists(st.binary(max_size=6000), max_size=4))
def test_a_window_is_the_same_however_the_bytes_came(parts: list[bytes]) -> None:
    fingerprint = Fingerprint()
    for part in parts:
        fingerprint = fingerprint.after(part)
    data = b"".join(parts)
    assert fingerprint == Fingerprint().after(data)
    assert (fingerprint.head, fingerprint.tail) == (data[:4096], data[-4096:])


def progress_of(path: Path, offset: int) -> Progress:
    fingerprint = Fingerprint().after(path.read_bytes()[:offset])
    return Progress(str(path), offset=offset, head=fingerprint.head_digest, tail=fingerprint.tail_digest)


def test_a_file_that_grew_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * 5000)
    progress = progress_of(path, 5000)
    with path.open("ab") as file:
        file.write(b"yz")
    assert read_plain_chunk(path, 5000, read_fingerprint(path, progress), 100) == b"yz"


def test_a_file_that_shrank_or_changed_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * 5000)
    progress = progress_of(path, 5000)
    fingerprint = read_fingerprint(path, progress)
    path.write_bytes(b"x" * 4999)
    with pytest.raises(SourceError, match=r"a\.csv shrank to 4999"):
        read_fingerprint(path, progress)
    with pytest.raises(SourceError, match="changed or shrank"):
        read_plain_chunk(path, 5000, fingerprint, 100)
    for at in (0, 4999):
        path.write_bytes(b"x" * at + b"!" + b"x" * (5100 - at))
        with pytest.raises(SourceError, match="changed"):
            read_fingerprint(path, progress)


def test_a_folder_gives_its_csv_files_at_any_depth_but_no_hidden_ones(tmp_path: Path) -> None:
    wanted = [tmp_path / "b.CSV", tmp_path / "c.csv.gz", tmp_path / "d.csv.ZST", tmp_path / "in" / "a.csv"]
    others = [
        tmp_path / "c.txt",
        tmp_path / ".d.csv",
        tmp_path / ".in" / "e.csv",
        tmp_path / "f.csv.part",
        tmp_path / "g.gz",
    ]
    for path in [*wanted, *others]:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert list(find_files(str(tmp_path)).files.values()) == wanted
    assert list(find_files(str(others[0])).files.values()) == [others[0]]
    assert find_files(str(tmp_path / "none-*.csv")).files == {}


def test_what_a_sink_writes_below_input_is_no_input_unless_it_is_all_of_it(tmp_path: Path) -> None:
    written = tmp_path / "out" / "Sex" / "M.csv"
    (tmp_path / "out" / ".nacre").mkdir(parents=True)
    for path in (tmp_path / "a.csv", written):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert list(find_files(str(tmp_path)).files.values()) == [tmp_path / "a.csv"]
    assert list(find_files(str(tmp_path / "out")).files.values()) == [written]


def test_an_input_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"INPUT .*nowhere"):
        find_files(str(tmp_path / "nowhere"))


def test_a_name_that_is_not_utf_8_becomes_text(tmp_path: Path) -> None:
    name = source_name(tmp_path / os.fsdecode(b"caf\xe9.csv"))
    assert name.endswith(r"caf\xe9.csv")
    assert name.encode()
