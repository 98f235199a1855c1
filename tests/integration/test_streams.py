"""Standard input beside faults: it can be read only once, so what was read is committed once, or said to be lost."""

import fcntl
import os
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from ops.kafka.local import LocalKafka
from tests.harness.observer import Observer
from tests.harness.pipeline import Pipeline, Service

pytestmark = pytest.mark.long

FAILS = "a stream fails, what was read is being settled"
HEADER = b"Sex,Rings\n"
FIRST = HEADER + b"M,1\nF,2\n" * 100
SECOND = b"M,3\nF,4\n" * 100


@pytest.fixture
def lax_pipeline(lax_bootstrap: str, make_pipeline: Callable[[str], Pipeline]) -> Pipeline:
    return make_pipeline(lax_bootstrap)


class Stream(NamedTuple):
    """An ingest to which a fault happens, the end of a pipe that it reads, and the file that lets it happen."""

    ingest: Service
    pipe: IO[bytes]
    trigger: Path


@contextmanager
def streaming(pipeline: Pipeline, fault: str = "none", **settings: str) -> Iterator[Stream]:
    """A pipeline of one category for all rows, whose split and sink end when everything is done."""
    reading, writing = os.pipe()
    trigger = pipeline.folder / "trigger"
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        with os.fdopen(reading, "rb") as standard_input:
            launcher = "tests.harness.stream_faults"
            faults = {"FAULT": fault, "FAULT_AT": str(trigger)}
            ingest = pipeline.start_ingest_of(standard_input, launcher=launcher, **faults, **settings)
        pipeline.start("split", SPLIT_BY="*", EXIT_WHEN_DONE="true")
        pipeline.start("sink", EXIT_WHEN_DONE="true")
        yield Stream(ingest, pipe, trigger)


def sources_of(ingest: Service) -> set[str]:
    return {each["source"] for each in ingest.events("source opened")}


def lost_from(ingest: Service, kept: bytes) -> bool:
    """Whether it says that all behind these lines is lost."""
    [line] = ingest.events("cannot go on")
    return f"standard input is lost from line {len(kept.splitlines()) + 1} on" in line["reason"]


def test_a_watch_that_fails_begins_no_second_source_in_the_middle_of_the_first(pipeline: Pipeline) -> None:
    with streaming(pipeline, "watch fails") as stream:
        stream.pipe.write(FIRST)
        pipeline.wait_for_files({"all.csv": FIRST})
        stream.trigger.touch()
        pipeline.wait_until(lambda: not stream.trigger.exists(), "the watch has failed")
        stream.pipe.write(SECOND)
        stream.pipe.close()
        pipeline.finish(*pipeline.services)
    pipeline.check_files({"all.csv": FIRST + SECOND})
    assert len(sources_of(stream.ingest)) == 1


def test_nothing_is_read_before_the_first_commit_so_another_session_reads_it(pipeline: Pipeline) -> None:
    with streaming(pipeline, "first commit fails") as stream:
        stream.pipe.write(FIRST)
        stream.pipe.close()
        pipeline.finish(*pipeline.services)
    pipeline.check_files({"all.csv": FIRST})
    # If there were a second source, its end would never be known.
    assert len(sources_of(stream.ingest)) == 1


@pytest.mark.parametrize(("fault", "kept"), [("commit is forgotten", FIRST + SECOND), ("commit fails", FIRST)])
def test_a_commit_that_is_not_carried_out_is_settled_and_readers_go_on_without_the_rest(
    lax_pipeline: Pipeline, fault: str, kept: bytes
) -> None:
    pipeline = lax_pipeline
    with streaming(pipeline, fault) as stream:
        ingest, *readers = pipeline.services
        stream.pipe.write(FIRST)
        pipeline.wait_for_files({"all.csv": FIRST})
        stream.trigger.touch()
        stream.pipe.write(SECOND)
        # Nothing more comes, and its end does not either.
        assert ingest.wait_for_exit(60) == 1
        pipeline.finish(*readers)
    pipeline.check_files({"all.csv": kept})
    assert lost_from(ingest, kept)


def end_with(pipeline: Pipeline, fault: str) -> Stream:
    """Let a stream end while this happens to its last commit, which holds nothing but the end."""
    with streaming(pipeline, fault) as stream:
        stream.pipe.write(FIRST)
        pipeline.wait_for_files({"all.csv": FIRST})
        stream.trigger.touch()
        stream.pipe.close()
        pipeline.finish(*pipeline.services)
    pipeline.check_files({"all.csv": FIRST})
    return stream


def test_a_last_commit_that_is_forgotten_loses_nothing(lax_pipeline: Pipeline) -> None:
    end_with(lax_pipeline, "commit is forgotten")


def test_a_last_commit_that_fails_and_holds_nothing_but_the_end_is_made_again(pipeline: Pipeline) -> None:
    stream = end_with(pipeline, "commit fails")
    [_] = stream.ingest.events(FAILS)
    # Only an end brings one.
    [_] = (pipeline.output / "_receipts").rglob("*.json")


def lose_the_broker(kafka: LocalKafka, pipeline: Pipeline, stream: Stream) -> None:
    """Have the first rows delivered, and stop the broker in the transaction of the next ones."""
    stream.pipe.write(FIRST)
    pipeline.wait_for_files({"all.csv": FIRST})
    kafka.stop()
    stream.pipe.write(SECOND)
    pipeline.wait_for_event(pipeline.services[0], FAILS)


def test_a_stream_that_loses_its_broker_is_settled_once_that_is_back(
    own_kafka: LocalKafka, make_pipeline: Callable[[str], Pipeline]
) -> None:
    pipeline = make_pipeline(own_kafka.bootstrap)
    with streaming(pipeline, TRANSACTION_TIMEOUT_S="2") as stream:
        ingest, *readers = pipeline.services
        lose_the_broker(own_kafka, pipeline, stream)
        pipeline.wait_for_event(ingest, "not ready")
        own_kafka.start()
        assert ingest.wait_for_exit(60) == 1
        pipeline.finish(*readers)
    pipeline.check_files({"all.csv": FIRST})
    assert lost_from(ingest, FIRST)


def test_a_stream_that_has_lost_its_broker_ends_in_time_when_a_signal_comes(
    own_kafka: LocalKafka, make_pipeline: Callable[[str], Pipeline]
) -> None:
    pipeline = make_pipeline(own_kafka.bootstrap)
    with streaming(pipeline, TRANSACTION_TIMEOUT_S="2") as stream:
        ingest, *_ = pipeline.services
        lose_the_broker(own_kafka, pipeline, stream)
        # Not 75, which says that nothing is lost.
        assert ingest.stop()[0] == 1
    [line] = ingest.events("cannot go on")
    assert "stays open" in line["reason"]


def write_on(pipe: IO[bytes]) -> None:
    """Write rows until nobody reads them."""
    with suppress(BrokenPipeError):
        while True:
            pipe.write(SECOND)


def test_a_signal_stops_a_stream_although_more_comes_all_the_time(pipeline: Pipeline) -> None:
    with streaming(pipeline) as stream:
        ingest, *readers = pipeline.services
        stream.pipe.write(HEADER)
        writer = threading.Thread(target=write_on, args=[stream.pipe])
        writer.start()
        pipeline.wait_for_size(len(FIRST))
        assert ingest.stop()[0] == 0
        writer.join()
        pipeline.finish(*readers)
    [left] = ingest.events("standard input was not read to its end")
    # Rows of four bytes.
    assert pipeline.output_size() == len(HEADER) + 4 * left["rows"]
    # The thread that reads stood before a full queue.
    assert "Traceback" not in ingest.log()


def is_empty(pipe: IO[bytes]) -> bool:
    """Whether everything that was written has been read."""
    [unread] = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return not unread


@pytest.mark.parametrize("takes", ["rows", "rows after a pause", "nothing"])
def test_a_signal_beside_a_broker_that_is_away_unnoticed_ends_a_stream_in_time(
    own_kafka: LocalKafka, make_pipeline: Callable[[str], Pipeline], takes: str
) -> None:
    pipeline = make_pipeline(own_kafka.bootstrap)
    with streaming(pipeline, "pauses are long" if takes.endswith("pause") else "none") as stream:
        ingest, *_ = pipeline.services
        stream.pipe.write(FIRST)
        pipeline.wait_for_files({"all.csv": FIRST})
        own_kafka.stop()
        if takes != "nothing":
            stream.pipe.write(SECOND)
            pipeline.wait_until(lambda: is_empty(stream.pipe), "the rows are read")
        # Not 75, which says that nothing is lost.
        assert ingest.stop()[0] == 1
    [line] = ingest.events("cannot go on")
    assert "stays open" in line["reason"]


def test_a_stream_that_rests_outlasts_an_outage_and_so_do_the_rows_that_come_in_it(
    own_kafka: LocalKafka, make_pipeline: Callable[[str], Pipeline]
) -> None:
    pipeline = make_pipeline(own_kafka.bootstrap)
    with streaming(pipeline, "pauses are long", TRANSACTION_TIMEOUT_S="2") as stream:
        ingest, *_ = pipeline.services
        stream.pipe.write(FIRST)
        pipeline.wait_for_files({"all.csv": FIRST})
        own_kafka.stop()
        stream.pipe.write(SECOND)
        pipeline.wait_for_event(ingest, "not ready")
        own_kafka.start()
        pipeline.wait_for_files({"all.csv": FIRST + SECOND})
        pipeline.wait_until(lambda: len(ingest.events("ready")) > 1, "it says that it is at work again")
        stream.pipe.close()
        pipeline.finish(*pipeline.services)
    pipeline.check_files({"all.csv": FIRST + SECOND})


def test_a_producer_of_a_stream_that_rests_may_be_forgotten(make_pipeline: Callable[[str], Pipeline]) -> None:
    config = {
        "transactional.id.expiration.ms": "1000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
        "producer.id.expiration.ms": "1000",
        "producer.id.expiration.check.interval.ms": "500",
    }
    with LocalKafka(config=config) as kafka:
        pipeline = make_pipeline(kafka.bootstrap)
        with streaming(pipeline, "pauses are long") as stream:
            stream.pipe.write(FIRST)
            pipeline.wait_for_files({"all.csv": FIRST})
            transactions = Observer(kafka.bootstrap, "")

            def is_forgotten() -> bool:
                # A forgotten producer leaves an empty value.
                latest = {record.key: record.value for record in transactions.records("__transaction_state")}
                [value] = [value for key, value in latest.items() if b"ingest-" in (key or b"")]
                return not value

            pipeline.wait_until(is_forgotten, "the broker has forgotten the producer of the stream")
            stream.pipe.write(SECOND)
            stream.pipe.close()
            pipeline.finish(*pipeline.services)
        pipeline.check_files({"all.csv": FIRST + SECOND})
        pipeline.close()
