"""Figures as a table and as JSON."""

import json

import orjson
import pytest

from common.protocol.progress import Progress, Run
from common.rows.tally import Tally
from ops.status.figures import Figures, figures
from ops.status.observation import Observation, Replica, SeenFile, SeenPartition, SeenReceipt
from ops.status.report import fields_of, lines_of, ranges_of, trouble_fields

WHERE = "nacre.* at localhost:9092"


def found(count: int = 2) -> Figures:
    read = Progress("/done", offset=9, tally=Tally(3), ended=True, ends=1, format=2, rejected=1)
    under_way = [Progress(f"/{n:04}", offset=999, tally=Tally(5), format=2) for n in range(count)]
    now = Observation(
        12.0,
        1_700_000_000_000,
        {each.source: each for each in (read, *under_way)},
        {"/0000": SeenFile(1_000, 1)},
        {"/done": SeenReceipt(1)},
        {0: Run(0, "1", "follows")},
        {"split": (Replica("host.0", {"rows": (0, 1, 2, 4)}), Replica("host.1"))},
        {
            "split": (SeenPartition("rows", 0, 5, 50, 12, is_exact=False),),
            "sink": (SeenPartition("categorized", 0, 9, 9),),
        },
        1,
        split_rows=1_234,
        split_rejected=2,
    )
    return figures(now, Observation(10.0, 0, now.sources, partitions=now.partitions))


def test_the_table_of_a_pipeline() -> None:
    assert list(lines_of(found(), WHERE)) == [
        "nacre.* at localhost:9092: stopped",
        "stage   verdict  rows   rows/s  waits     time left  replicas",
        "ingest  stopped  13     0       1 byte    -          none",
        "split   ok       1,234  617     ~12 rows  1 s        2: host.0 has rows 0-2,4; host.1 has nothing to do",
        "sink    ok       -      0       0 rows    -          none",
        "ingest: /0000 is not read to its end, and no replica is at work: start one, or see the log of one that runs",
        "more may come: 2 sources have not ended: /0000, /0001",
        "",
        "3 sources: 1 delivered, 2 under way; 13 rows read, 1 rejected by ingest, 2 by splits",
        # 99.9 % is not all of it.
        "read  rows  time left  delivery   source",
        "99 %  5     -          under way  /0000",
        "-     5     -          under way  /0001",
        "and 1 more (--all)",
    ]


def test_of_ten_thousand_sources_the_first_are_shown_and_the_others_counted() -> None:
    lines = list(lines_of(found(9_999), WHERE))
    assert len(lines) == 21
    assert lines[-1] == "and 9,990 more (--all)"
    assert lines[8].startswith("10,000 sources: 1 delivered, 9,999 under way; ")
    assert len(list(lines_of(found(9_999), WHERE, shows_all=True))) == 10 + 10_000


def test_the_json_has_the_same_figures_and_a_version() -> None:
    fields = json.loads(orjson.dumps(fields_of(found(20), "nacre.")))
    assert (fields["version"], fields["topic_prefix"], fields["verdict"]) == (1, "nacre.", "stopped")
    assert (fields["at"], fields["over_s"]) == ("2023-11-14T22:13:20.000+00:00", 2.0)
    split = fields["stages"]["split"]
    assert (split["rows"], split["rows_per_s"], split["lag_rows"], split["lag_is_exact"]) == (1_234, 617.0, 12, False)
    assert split["replicas"][0] == {"client": "host.0", "partitions": {"rows": [0, 1, 2, 4]}}
    assert split["partitions"] == [
        {"topic": "rows", "number": 0, "position": 5, "end": 50, "rows": 12, "is_exact": False, "oldest_ms": None}
    ]
    of_sources = fields["sources"]
    assert (of_sources["count"], of_sources["delivered"], of_sources["under_way"]) == (21, 1, 20)
    assert (of_sources["rows"], of_sources["rejected"]) == (103, {"ingest": 1, "split": 2})
    assert len(of_sources["first"]) == 10
    assert of_sources["first"][0] == {
        "source": "/0000", "delivery": "under way", "read_bytes": 999, "size": 1_000, "percent": 99.9, "rows": 5,
        "rejected": 0, "eta_s": None,
    }  # fmt: skip
    assert len(fields_of(found(20), "nacre.", shows_all=True)["sources"]["first"]) == 21


def test_trouble_takes_the_place_of_figures() -> None:
    fields = trouble_fields("no broker", "nacre.", 0)
    assert fields == {
        "version": 1,
        "topic_prefix": "nacre.",
        "at": "1970-01-01T00:00:00.000+00:00",
        "trouble": "no broker",
    }


@pytest.mark.parametrize(("numbers", "text"), [((), ""), ((3,), "3"), ((0, 1, 2), "0-2"), ((0, 2, 3, 7), "0,2-3,7")])
def test_partitions_are_shown_as_ranges(numbers: tuple[int, ...], text: str) -> None:
    assert ranges_of(numbers) == text


def test_a_file_s_name_moves_no_cursor() -> None:
    source = "/a\x1b[2J\n.csv"
    hostile = figures(Observation(0.0, 0, {source: Progress(source, format=2)}, {source: SeenFile(9, 9)}))
    lines = list(lines_of(hostile, WHERE))
    assert all(line.isprintable() for line in lines)
    assert lines[-1].endswith("/a\\x1b[2J\\n.csv")
