"""What processes spend: time, processor time and memory, their own and the broker's."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from ops.kafka.local import LocalKafka

_LOOK_INTERVAL_S = 0.05


class Spent(NamedTuple):
    """What a run took: seconds, a core's seconds of its processes and of the broker, and MiB of its own at most.

    Files that are mapped do not count.
    """

    took_s: float
    cpu_s: float
    broker_s: float
    mib: float


# Those under way, and whether one has failed: the others would wait for its rows for ever.
_running: set[int] = set()
_failed = threading.Event()


def run_to_end(command: Sequence[str], settings: Mapping[str, str], folder: Path | None = None) -> Spent:
    """Run a process, in a folder, which has to end well; what it says is passed on. The broker's part is 0.

    If it fails, all that run meanwhile are killed.
    """
    with TemporaryFile() as said:
        began = time.perf_counter()
        environment = {**os.environ, **settings}
        # Python writes compiled modules at the first start: images have them.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=said, stderr=said)
        _running.add(process.pid)
        if _failed.is_set():
            process.kill()
        memory = _Memory(process.pid)
        # Its own and that of what it has started; subprocess does not tell.
        _, status, usage = os.wait4(process.pid, 0)
        took_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        memory.ended.set()
        _running.discard(process.pid)
        told = os.pread(said.fileno(), os.fstat(said.fileno()).st_size, 0).decode(errors="replace")
    if process.returncode:
        if not _failed.is_set():
            sys.stderr.write(f"{' '.join(command)}: exit {process.returncode}\n{told[-3000:]}")
        _failed.set()
        for other in list(_running):
            with suppress(ProcessLookupError):
                os.kill(other, signal.SIGKILL)
        sys.exit(1)
    sys.stderr.write(told)
    return Spent(took_s, usage.ru_utime + usage.ru_stime, 0.0, memory.mib)


class _Memory:
    """The most memory that a process and its children have had, looked at now and then."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.mib = 0.0
        self.ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self.ended.wait(_LOOK_INTERVAL_S):
            with suppress(OSError, IndexError):
                self.mib = max(self.mib, sum(memory_mib(pid, "RssAnon") for pid in (self._pid, *_children(self._pid))))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory_mib(pid: int, kind: str) -> float:
    """A process's memory: RssAnon is its own, VmRSS all that is in use now, VmHWM the most that ever was."""
    return int(Path(f"/proc/{pid}/status").read_text().partition(f"{kind}:")[2].split()[0]) / 1024


def cpu_s(pid: int) -> float:
    """How many of a core's seconds a process has used since it began."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Broker:
    """A broker on this machine, and how long it has used a processor."""

    def __init__(self, kafka: LocalKafka) -> None:
        # Its supervisor has no other child.
        [self._pid] = _children(kafka.supervisor_pid)

    def cpu_s(self) -> float:
        """A core's seconds since it began."""
        return cpu_s(self._pid)
