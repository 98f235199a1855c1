from pathlib import Path

import pytest

from benchmarks import kept as module
from benchmarks.kept import keep, kept, merged
from benchmarks.memory import Load, lines_of, with_others


def test_what_is_kept_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FOLDER", tmp_path / "results")
    assert kept("memory") is None
    keep("memory", [{"rows": 1}])
    assert kept("memory") == [{"rows": 1}]
    assert (tmp_path / "results" / "memory.json").read_text().endswith("]\n")


def test_lines_of_what_was_not_measured_again_stay() -> None:
    before = [{"stage": "ingest", "replicas": 1, "per_s": 1.0}, {"stage": "sink", "replicas": 1, "per_s": 2.0}]
    found = [{"stage": "sink", "replicas": 1, "per_s": 3.0}, {"stage": "sink", "replicas": 2, "per_s": 4.0}]
    assert merged(before, found, "stage", "replicas") == [before[0], *found]
    assert merged([], found, "stage", "replicas") == found


def test_the_memory_of_more_rows_is_not_lost_by_measuring_fewer() -> None:
    before = [{"rows": 1_000_000, "sink_peak": 1.0}, {"rows": 20_000_000, "sink_peak": 2.0}]
    measured = {
        Load(100_000): {"sink_peak": 3.0},
        Load(1_000_000): {"sink_peak": 4.0},
        Load(1_000_000, is_spread=True): {"sink_peak": 5.0},
    }
    assert with_others(before, lines_of(measured)) == [
        {"rows": 100_000, "sink_peak": 3.0},
        {"rows": 1_000_000, "sink_peak": 4.0},
        {"rows": 20_000_000, "sink_peak": 2.0},
        {"loaded_rows": 1_000_000, "sink_peak": 5.0},
    ]
    assert str(Load(6_000_000, is_spread=True)) == "6 partitions under load: 6,000,000"
