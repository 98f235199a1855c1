"""A reader beside the sinks, as a process of its own: it polls every file all the while, and keeps what it saw.

On Linux's ext4 a growing file is shown page by page while one write is under way, so the last line may be seen cut off
at a page's edge for a moment; such moments are counted. Any other half line is reported, and each file that shrank.
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path

_POLL_INTERVAL_S = 0.005
_SCAN_INTERVAL_S = 0.1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Report:
    """What was seen. `seen` holds, by file, the greatest length seen and a hash of the bytes up to there."""

    polls: int = 0
    news: int = 0
    seen: dict[str, tuple[int, str]] = field(default_factory=dict)
    shrank: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    page_edges: int = 0
    longest_page_edge_s: float = 0.0


class Watched:
    """One file as it was seen."""

    def __init__(self, path: Path, name: str, report: Report) -> None:
        self._name = name
        self._report = report
        self._descriptor = os.open(path, os.O_RDONLY)
        self._hash = blake2b(digest_size=16)
        self._seen = 0
        self._size = 0
        # When its last line began to be half a line.
        self._half_since: float | None = None

    def look(self, now: float) -> None:
        """Look how long the file is now, and read the new bytes."""
        size = os.fstat(self._descriptor).st_size
        if size == self._size:
            return
        if size < self._size:
            self._report.shrank.append(f"{self._name} from {self._size} to {size} bytes")
        elif self._half_since is not None:
            self._on_half_line_completed(now - self._half_since)
        self._size, self._half_since = size, None
        self._report.news += 1
        if size <= self._seen:
            return
        # Bytes that were seen and are written again after a cut are compared at the end, by the hash.
        data = os.pread(self._descriptor, size - self._seen, self._seen)
        self._hash.update(data)
        self._seen += len(data)
        self._report.seen[self._name] = (self._seen, self._hash.hexdigest())
        self._size = max(self._seen, size)
        if not data.endswith(b"\n"):
            self._half_since = now

    def _on_half_line_completed(self, lasted_s: float) -> None:
        if self._size % _PAGE_BYTES:
            self._report.torn.append(f"{self._name} at {self._size} bytes for {lasted_s:.4f} s")
            return
        self._report.page_edges += 1
        self._report.longest_page_edge_s = max(self._report.longest_page_edge_s, lasted_s)


def watch(output: Path, ended: list[int]) -> Report:
    """Poll until a signal comes."""
    report = Report()
    watched: dict[str, Watched] = {}
    scanned_at = 0.0
    while not ended:
        now = time.monotonic()
        if now - scanned_at >= _SCAN_INTERVAL_S:
            scanned_at = now
            for path in output.rglob("*.csv"):
                name = str(path.relative_to(output))
                if name not in watched:
                    watched[name] = Watched(path, name, report)
        for each in watched.values():
            each.look(time.monotonic())
        report.polls += 1
        time.sleep(_POLL_INTERVAL_S)
    return report


def main() -> None:
    """Watch the folder in the first argument; write the report, as JSON, to the file in the second."""
    output, destination = Path(sys.argv[1]), Path(sys.argv[2])
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: ended.append(number))
    sys.stdout.write("watching\n")
    sys.stdout.flush()
    destination.write_text(json.dumps(asdict(watch(output, ended))))


def check(report: Report, output: Path) -> list[str]:
    """What the reader saw that does not hold in the end, and lines that it saw in two halves."""
    told = list(report.torn)
    for name, (length, digest) in report.seen.items():
        with (output / name).open("rb") as file:
            final = file.read(length)
        if len(final) < length or blake2b(final, digest_size=16).hexdigest() != digest:
            told.append(f"{name}: bytes were read that are others in the end, among the first {length}")
    return told


if __name__ == "__main__":
    main()
