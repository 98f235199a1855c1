from collections import Counter
from pathlib import Path

import pytest

from benchmarks.inputs import CATEGORIES, FILES, PARTITIONS, write_files, write_rows
from common.protocol.partitioner import partition_for


@pytest.mark.parametrize("rows", [24, 30_001])
def test_files_fill_all_partitions_and_hold_all_rows(tmp_path: Path, rows: int) -> None:
    home = tmp_path / "home"
    kept = tmp_path / "kept"
    kept.mkdir()
    expected_bytes = write_files(kept, rows, home)
    paths = list(kept.iterdir())
    partitions = Counter(partition_for(str(home / path.name).encode(), PARTITIONS) for path in paths)
    assert partitions == dict.fromkeys(range(PARTITIONS), FILES // PARTITIONS)
    categories: dict[bytes, list[bytes]] = {}
    for path in paths:
        header, *lines = path.read_bytes().splitlines(keepends=True)
        for line in lines:
            categories.setdefault(line.split(b",")[0], [header]).append(line)
    assert sum(len(lines) - 1 for lines in categories.values()) == rows
    assert sum(len(line) for lines in categories.values() for line in lines) == expected_bytes
    assert len(categories) == min(CATEGORIES, rows // FILES)


def test_no_two_files_begin_alike(tmp_path: Path) -> None:
    write_files(tmp_path, 240)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == FILES


def test_as_many_bytes_come_out_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    expected_bytes = write_rows(path, 5_000)
    header, *lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 5_000
    assert expected_bytes == sum(map(len, lines)) + 3 * len(header)
