"""How old records are: Kafka removes those older than a topic's retention, also if nobody has read them yet."""

import time
from pathlib import Path

from tests.harness.pipeline import Pipeline

HEADER = b"Sex,Rings\n"
TOPICS = ("rows", "categorized", "rejected", "progress")


def test_records_are_no_older_than_their_rows_however_long_none_came(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\nF,none\n")
    # Without an end, which would be more to send.
    pipeline.start("ingest", INPUT=str(source), SETTLE_S="3600")
    pipeline.start("split", SPLIT_BY="Sex,Rings:int", MAX_REJECTED="100%")
    pipeline.start("sink")
    size = len(b"Sex,Rings\nM,1\n")
    pipeline.wait_until(lambda: pipeline.output_size() > 2 * size, "the first rows are in their files")
    ends = {topic: pipeline.observer.ends(topic) for topic in TOPICS}
    # From here on each service has begun what it will send next, and has put nothing into it yet.
    written_ms = int(time.time() * 1000)
    with source.open("ab") as file:
        file.write(b"M,2\nI,none\n")
    pipeline.wait_until(
        lambda: all(ends[topic] != pipeline.observer.ends(topic) for topic in TOPICS), "more is in every topic"
    )
    for topic in TOPICS:
        later = [each for each in pipeline.observer.records(topic) if each.offset >= ends[topic][each.partition]]
        assert later, topic
        assert min(each.time_ms for each in later) >= written_ms, topic
