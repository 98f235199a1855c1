"""`nacre rejected` while the broker goes away: it ends, and says why."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.kafka.local import LocalKafka
from tests.harness.broker import process_of
from tests.harness.pipeline import PROJECT, Pipeline

# More than the client fetches ahead.
ROWS, ROW_BYTES = 8_000, 1_000


@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
@pytest.mark.parametrize("command", ["list", "replay --yes"])
def test_a_broker_that_goes_while_rows_are_read_is_told_in_one_line(
    own_kafka: LocalKafka,
    make_pipeline: Callable[[str], Pipeline],
    tmp_path: Path,
    command: str,
    number: signal.Signals,
) -> None:
    pipeline, source = make_pipeline(own_kafka.bootstrap), tmp_path / "in.csv"
    source.write_bytes(b"Sex,Rings\n" + b"".join(b"%0*d\n" % (ROW_BYTES, row) for row in range(ROWS)))
    pipeline.finish(pipeline.start("ingest", source, ONCE="true", MAX_REJECTED="100%"))
    broker = process_of(own_kafka)
    arguments = str(broker), str(number.value), "rejected", *command.split()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.harness.departing_broker", *arguments],
            cwd=PROJECT,
            env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": pipeline.bootstrap, "TOPIC_PREFIX": pipeline.prefix},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        if number is signal.SIGSTOP:
            os.kill(broker, signal.SIGCONT)
    [line] = done.stderr.splitlines()
    assert f"topic {pipeline.prefix}rejected, partition 0: nothing has come for 2 s, at offset " in line
    assert line.startswith("nacre rejected: ")
    assert line.endswith("; run a replay again to go on with it")
    assert (done.returncode, done.stdout) == (1, "")
