"""Standard input beside faults: it can be read only once, so what was read is committed once, or said to be lost."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from tests.harness.pipeline import Pipeline, Service

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("streams")]

HEADER = b"Sex,Rings\n"
FIRST = HEADER + b"M,1\nF,2\n" * 100
SECOND = b"M,3\nF,4\n" * 100


class Stream(NamedTuple):
    """An ingest to which a fault happens, the end of a pipe that it reads, and the file that lets it happen."""

    ingest: Service
    pipe: IO[bytes]
    trigger: Path


@contextmanager
def streaming(pipeline: Pipeline, fault: str) -> Iterator[Stream]:
    """A pipeline of one category for all rows, whose split and sink end when everything is done."""
    reading, writing = os.pipe()
    trigger = pipeline.folder / "trigger"
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        with os.fdopen(reading, "rb") as standard_input:
            ingest = pipeline.start_ingest_of(
                standard_input, launcher="tests.harness.stream_faults", FAULT=fault, FAULT_AT=str(trigger)
            )
        pipeline.start("split", SPLIT_BY="*", EXIT_WHEN_DONE="true")
        pipeline.start("sink", EXIT_WHEN_DONE="true")
        yield Stream(ingest, pipe, trigger)


def sources_of(ingest: Service) -> set[str]:
    return {each["source"] for each in ingest.events("source opened")}


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
    # Of a second one, nobody would ever hear whether it has ended.
    assert len(sources_of(stream.ingest)) == 1
