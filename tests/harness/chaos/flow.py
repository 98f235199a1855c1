"""Rows that flow through real services while a scenario disturbs them, and the account at the end."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from services.sink.ledger.inventory import index_of
from tests.harness.chaos.feeder import STEADY, Feeder, Rhythm
from tests.harness.chaos.leftovers import leftovers
from tests.harness.chaos.reader import Report, check
from tests.harness.chaos.receipts import is_delivered, wrong_receipts
from tests.harness.chaos.rows import SPLIT_BY
from tests.harness.chaos.transactions import open_transactions
from tests.harness.chaos.verifier import Content, differences, expected_content, files_in, found_content, whole
from tests.harness.chaos.written import Written
from tests.harness.pipeline import PROJECT, SERVICES, Pipeline, Service, wait_until

_CAUGHT_UP_DEADLINE_S = 120.0
_START_DEADLINE_S = 120.0
_PENDING_DEADLINE_S = 5.0


@dataclass(frozen=True)
class Account:
    """What a flow came to, after every check has passed."""

    rows: int
    rejected: int
    reader: Report


class Flow:
    """All three services at work on growing input, and a reader that polls their files all the while."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        sources: int = 3,
        rows_per_s: int = 8_000,
        broker: str | None = None,
        rhythm: Rhythm = STEADY,
        **settings: str,
    ) -> None:
        self.pipeline = pipeline
        # The address that the tests use, if the services are given another.
        self._broker = broker or pipeline.bootstrap
        self._settings = {
            "INPUT": str(pipeline.folder / "in"),
            "SPLIT_BY": SPLIT_BY,
            "SETTLE_S": "0.5",
            **settings,
        }
        self._written = Written(pipeline.output)
        self.running: dict[str, list[Service]] = {name: [] for name in SERVICES}
        self.feeder = Feeder(pipeline.folder / "in", self._written.all_rows, sources, rows_per_s, rhythm)
        pipeline.output.mkdir()
        self._left_by_kills: set[tuple[Path, int]] = set()
        self._report_path = pipeline.folder / "reader.json"
        self._reader: subprocess.Popen[bytes] | None = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.chaos.reader", str(pipeline.output), str(self._report_path)],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
        )

    def start(self, name: str, **settings: str) -> Service:
        """Start one more replica of a service."""
        service = self.pipeline.start(name, **{**self._settings, **settings})
        self.running[name].append(service)
        return service

    def start_all(self, *, split: int = 1, sink: int = 1, ingest: int = 1) -> None:
        """Start this many replicas of each, and wait until rows come out."""
        for name, replicas in (("ingest", ingest), ("split", split), ("sink", sink)):
            for _ in range(replicas):
                self.start(name)
        self.wait_for_more(_START_DEADLINE_S)

    def every(self) -> list[Service]:
        """All replicas of all services."""
        return [service for services in self.running.values() for service in services]

    def kill(self, service: Service) -> None:
        """Kill -9, with work pending."""
        self.wait_for_pending()
        service.kill()
        self.running[service.name].remove(service)
        self._left_by_kills |= _copies_under_way(self.pipeline.output)

    def stop(self, service: Service, number: signal.Signals = signal.SIGTERM) -> float:
        """Stop it by a signal, with work pending, and check that it exits with 0; return how many seconds that took."""
        self.wait_for_pending()
        self.running[service.name].remove(service)
        code, exit_s = service.stop(number)
        assert code == 0, f"{service.log_path.name}: exit code {code}"
        return exit_s

    def wait_for_pending(self) -> None:
        """Wait until rows are under way: disturbing services that are done would show nothing.

        Services write a row some hundredths of a second after it is fed, and a busy machine delays the feeder.
        """
        self.pipeline.wait_until(lambda: self.feeder.pending_bytes > 0, "rows are under way", _PENDING_DEADLINE_S)

    def size(self) -> int:
        """The bytes in the file of all rows."""
        return self._written.all_rows()

    def wait_for_more(self, deadline_s: float = 30.0) -> float:
        """Wait until more rows are written than now; return how many seconds that took."""
        size = self.size()
        return self.pipeline.wait_until(lambda: self.size() > size, "more rows are written", deadline_s)

    def pause(self, seconds: float) -> None:
        """Let the rows flow, and check that every service is well. Use it only to reach a random instant."""
        end = time.monotonic() + seconds
        self.pipeline.wait_until(lambda: time.monotonic() >= end, "time passes", seconds + 1)

    def finish(self) -> Account:
        """Feed no more, wait until all is written, stop every service and check every invariant."""
        self.feeder.end()
        expected = expected_content(self.feeder.inputs)
        self.pipeline.wait_until(lambda: self._is_caught_up(expected), "all rows are written", _CAUGHT_UP_DEADLINE_S)
        self.pipeline.wait_until(self._all_delivered, "every source has its receipt", _CAUGHT_UP_DEADLINE_S)
        with ThreadPoolExecutor() as pool:
            codes = [code for code, _ in pool.map(Service.stop, self.every())]
        assert set(codes) == {0}, codes
        report = self._end_reader()
        told = self._wrongs(expected, report)
        assert not told, "\n".join(told)
        return Account(expected.rows_in, expected.rejections, report)

    def _is_caught_up(self, expected: Content) -> bool:
        output = self.pipeline.output
        if self._written.everything() < expected.size:
            return False
        # A stop does not wait for a slow checkpoint, so the next owner of the files cuts them back to the ledgers.
        if sum(line["rows"] for path in output.glob(".nacre/*.ledger") for line in index_of(path)) < expected.rows_out:
            return False
        # Half a copy that a kill left is removed when its partition is assigned again, which may be after the last row.
        if self._left_by_kills & _copies_under_way(output):
            return False
        rejected = output / "rejected.csv"
        return not expected.rejections or (
            rejected.exists() and rejected.read_bytes().count(b"\n") > expected.rejections
        )

    def _wrongs(self, expected: Content, report: Report) -> list[str]:
        output = self.pipeline.output
        paths = {path for path in files_in(output) if whole(path)[0] in expected.paths}
        paths |= {"rejected.csv"} if expected.rejections else set()
        told = differences(found_content(output), expected) + check(report, output)
        told += wrong_receipts(output, self.feeder.inputs)
        told += leftovers(self.pipeline.prefix, output, paths)
        try:
            # The marker that ends a transaction may be written just after the answer to its commit.
            wait_until(lambda: not open_transactions(self._broker, self.pipeline.prefix), "no transaction is open", 5)
        except AssertionError:
            told += [f"open: {each}" for each in open_transactions(self._broker, self.pipeline.prefix)]
        return told

    def _all_delivered(self) -> bool:
        return all(is_delivered(self.pipeline.output, source) for source in self.feeder.inputs.values())

    def _end_reader(self) -> Report:
        assert self._reader is not None
        self._reader.terminate()
        assert self._reader.wait(30) == 0
        self._close_reader()
        return Report(**json.loads(self._report_path.read_bytes()))

    def _close_reader(self) -> None:
        if self._reader is not None and self._reader.stdout is not None:
            self._reader.stdout.close()
        self._reader = None

    def close(self) -> None:
        """End the feeder and the reader; the pipeline itself ends its services."""
        self.feeder.end()
        if self._reader is not None:
            self._reader.kill()
            self._reader.wait()
            self._close_reader()


def _copies_under_way(output: Path) -> set[tuple[Path, int]]:
    """Files that are being compressed, each with the time of its last write."""
    found = set()
    for path in output.rglob("*.tmp"):
        # Compression has finished in the meantime.
        with suppress(FileNotFoundError):
            found.add((path, path.stat().st_mtime_ns))
    return found
