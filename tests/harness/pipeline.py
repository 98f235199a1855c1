"""The three services as real processes, driven and watched by a test."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

from common.protocol.output_folder import is_reserved
from tests.harness.observer import Observer

T = TypeVar("T")

PROJECT = Path(__file__).parents[2]
ABALONE_FILE = PROJECT / "data" / "abalone_full.csv"
SERVICES = ("ingest", "split", "sink")

_POLL_INTERVAL_S = 0.02
_EXIT_DEADLINE_S = 180.0


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = 180.0) -> float:
    """Wait for the condition; return how many seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < deadline_s, f"not within {deadline_s:g} s: {what}"
        time.sleep(_POLL_INTERVAL_S)
    return time.monotonic() - began


class Service:
    """One process of a service, its log in a file."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self._process = process
        self._may_fail = False

    @property
    def process_id(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def failed(self) -> bool:
        """Whether it ended with a code other than 0, unless the test sent a signal or asked for the exit code."""
        return not self._may_fail and self.exit_code not in (None, 0)

    def log(self) -> str:
        """Everything that it has logged."""
        return self.log_path.read_text()

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log lines with this event."""
        lines = [line for line in self.log().splitlines(keepends=True) if line.startswith("{") and line.endswith("\n")]
        return [fields for fields in map(json.loads, lines) if fields["event"] == event]

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._may_fail = True
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill -9, and wait until it is dead."""
        self.send(signal.SIGKILL)
        self._process.wait()

    def wait_for_exit(self, deadline_s: float = _EXIT_DEADLINE_S) -> int:
        """Return its exit code."""
        self._may_fail = True
        wait_until(lambda: self.exit_code is not None, f"{self.name} exits", deadline_s)
        return self._process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send the signal; return the exit code and how many seconds the process took to exit."""
        self.send(number)
        began = time.monotonic()
        code = self.wait_for_exit()
        return code, time.monotonic() - began


class Pipeline:
    """Services that share a topic prefix and an output folder; `close` ends them all."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.folder = folder
        self.output = folder / "out"
        self.observer = Observer(bootstrap, prefix)
        self.services: list[Service] = []
        self._settings = {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "TOPIC_PREFIX": prefix,
            "OUTPUT_DIR": str(self.output),
        }

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this pipeline's processes."""
        return {**os.environ, **self._settings}

    def start(self, name: str, *arguments: str | Path, **settings: str) -> Service:
        """Start a service with these settings as environment variables."""
        return self._start(name, [f"services.{name}", *arguments], settings, subprocess.DEVNULL)

    def start_under(self, launcher: str, name: str, **settings: str) -> Service:
        """Start a service through a module of the tests that changes something in it."""
        return self._start(name, [launcher, f"services.{name}"], settings, subprocess.DEVNULL)

    def start_command(self, name: str, *arguments: str | Path, **settings: str) -> Service:
        """Start a service as `nacre NAME`."""
        return self._start(name, ["ops", name, *arguments], settings, subprocess.DEVNULL)

    def start_ingest_of(
        self, standard_input: IO[bytes], given: str = "-", launcher: str = "", **settings: str
    ) -> Service:
        """Start an ingest that reads its standard input, named by `given`; through a module of the tests, if given."""
        modules = [launcher] if launcher else []
        return self._start("ingest", [*modules, "services.ingest", given], settings, standard_input)

    def _start(
        self,
        name: str,
        module: Sequence[str | Path],
        settings: Mapping[str, str],
        standard_input: int | IO[bytes],
    ) -> Service:
        log_path = self.folder / f"{len(self.services):02}-{name}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *map(str, module)],
                cwd=PROJECT,
                env={**os.environ, **self._settings, **settings},
                stdin=standard_input,
                stdout=log,
                stderr=log,
            )
        service = Service(name, process, log_path)
        self.services.append(service)
        return service

    def run(self, source: Path | str, split_by: str, **settings: str) -> None:
        """Process what a source holds to its end, each service ending by itself with 0.

        The first time all three run at once. Later, split and sink could find everything done before ingest has looked
        at the source, so they start once it has ended.
        """
        is_first = not self.services
        ingest = self.start("ingest", "--once", source, **settings)
        if not is_first:
            self.finish(ingest)
        split = self.start("split", SPLIT_BY=split_by, EXIT_WHEN_DONE="true", **settings)
        sink = self.start("sink", EXIT_WHEN_DONE="true", **settings)
        self.finish(ingest, split, sink)

    def finish(self, *services: Service, deadline_s: float = 240.0) -> None:
        """Wait until these services have ended by themselves with 0."""
        self.wait_until(lambda: all(service.exit_code == 0 for service in services), "all exit with 0", deadline_s)

    def wait_until(self, condition: Callable[[], object], what: str, deadline_s: float = 180.0) -> float:
        """Wait for the condition, and fail at once if a service fails; return how many seconds it took."""

        def holds() -> bool:
            if condition():
                return True
            for service in self.services:
                assert not service.failed, f"{service.name} exited with {service.exit_code} before: {what}"
            return False

        return wait_until(holds, what, deadline_s)

    def wait_for_event(self, service: Service, event: str) -> float:
        """Wait until the service has logged the event; return how many seconds it took."""
        return self.wait_until(partial(service.events, event), f"{service.name} logs {event!r}")

    def output_size(self) -> int:
        """How many bytes all files have now, without reading them."""
        return self._look(lambda: sum(path.stat().st_size for path in self._paths()))

    def output_files(self) -> dict[str, bytes]:
        """Every file's content by its path below the output folder."""
        return self._look(
            lambda: {str(path.relative_to(self.output)): path.read_bytes() for path in self._paths()},
        )

    def wait_for_size(self, size: int, deadline_s: float = 240.0) -> float:
        """Wait until the files have this many bytes; return how many seconds it took."""
        return self.wait_until(lambda: self.output_size() >= size, f"the output has {size} bytes", deadline_s)

    def wait_for_files(self, expected: Mapping[str, bytes], deadline_s: float = 240.0) -> None:
        """Wait until the files are as long as expected, then compare every byte."""
        self.wait_for_size(sum(map(len, expected.values())), deadline_s)
        self.check_files(expected)

    def check_files(self, expected: Mapping[str, bytes]) -> None:
        """Check that every expected file has exactly these bytes, and that there is no other file."""
        found = self.output_files()
        assert found.keys() == expected.keys(), sorted(found.keys() ^ expected.keys())
        for path, content in expected.items():
            # Without assert's own comparison: its account of two large files takes minutes.
            same = found[path] == content
            assert same, f"{path} is wrong: {_first_difference(found[path], content)}"

    def close(self) -> None:
        """End every process."""
        for service in self.services:
            if service.exit_code is None:
                service.kill()

    def _look(self, look: Callable[[], T]) -> T:
        """What is there; looks again if a file gets its last name meanwhile."""
        while True:
            with suppress(FileNotFoundError):
                return look()

    def _paths(self) -> Iterator[Path]:
        for path in self.output.rglob("*"):
            if not is_reserved(str(path.relative_to(self.output))) and path.is_file():
                yield path


def _first_difference(found: bytes, expected: bytes) -> str:
    pairs = zip(found.splitlines(), expected.splitlines(), strict=False)
    for number, (line, wanted) in enumerate(pairs, start=1):
        if line != wanted:
            return f"line {number} is {line!r}, not {wanted!r}"
    return f"{len(found)} bytes, not {len(expected)}"
