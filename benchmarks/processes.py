"""The services as processes that a benchmark starts, watches and ends."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self

from benchmarks.contenders import STAGES
from benchmarks.spending import cpu_s, memory_mib
from ops.kafka.local import LocalKafka


class Service:
    """One process of a service; on the way out of a `with` it is killed, if it still runs."""

    def __init__(self, name: str, kafka: LocalKafka, prefix: str, *arguments: str | Path, **settings: str) -> None:
        self.name = name
        self._log = TemporaryFile()  # noqa: SIM115 - lives as long as this
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "TOPIC_PREFIX": prefix,
            "LOG_FORMAT": "json",
            **settings,
        }
        # The images have them compiled; here the first start does it.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-m", f"services.{name}", *map(str, arguments)]
        self.began = time.perf_counter()
        self._process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def wait_for_exit(self) -> float:
        """Return the seconds since it began; it has to end well."""
        if self._process.wait():
            self._fail()
        return time.perf_counter() - self.began

    def wait_for(self, event: str) -> float:
        """Return the seconds until it has logged this."""
        self.wait_until(lambda: f'"event":"{event}"' in self.log())
        return time.perf_counter() - self.began

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for the condition, no longer than this is alive."""
        wait_until(lambda: self._process.poll() is not None or condition())
        if self._process.returncode:
            self._fail()

    def log(self) -> str:
        """What it has logged."""
        # Not by read: the process writes where this file's one position is.
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode()

    def processor_s(self) -> float:
        """How long it has used a processor."""
        return cpu_s(self._process.pid)

    def memory_mib(self, kind: str) -> float:
        """Its memory: RssAnon is its own, VmRSS all that is in use now, VmHWM the most that ever was."""
        return memory_mib(self._process.pid, kind)

    def stop(self) -> float:
        """End it with SIGTERM; return the seconds that took."""
        began = time.perf_counter()
        self._process.terminate()
        self.wait_for_exit()
        return time.perf_counter() - began

    def _fail(self) -> None:
        sys.exit(f"{self.name}: exit {self._process.returncode}\n{self.log()[-2000:]}")


@contextmanager
def running(
    kafka: LocalKafka,
    prefix: str,
    source: Path,
    output: Path,
    *,
    split_by: str = "Sex",
    finite: bool = False,
    ports: Sequence[int] = (0, 0, 0),
    **settings: str,
) -> Iterator[list[Service]]:
    """The three services at once, `finite` where each ends when all is done; on the way out they are killed."""
    settings |= {"SPLIT_BY": split_by, "OUTPUT_DIR": str(output)}
    arguments: dict[str, list[str | Path]] = {
        "ingest": [source, "--once"] if finite else [source],
        "split": ["--exit-when-done"] if finite else [],
        "sink": ["--exit-when-done"] if finite else [],
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(Service(stage, kafka, prefix, *arguments[stage], HTTP_PORT=str(port), **settings))
            for stage, port in zip(STAGES, ports, strict=True)
        ]


def bytes_in(files: Iterable[Path]) -> int:
    """How large all of these are now."""
    return sum(path.stat().st_size for path in files)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for the condition."""
    while not condition():
        time.sleep(0.005)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The least of these sorted values that so many percent do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
