"""What processes hold while they run, sampled from Linux's /proc, and how fast that grows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process held at an instant; `rows` is how many rows were done by then."""

    at_s: float
    rows: int
    anonymous_kib: int
    resident_kib: int
    descriptors: int
    threads: int


def sample(process_id: int, rows: int) -> Sample:
    """What this process holds now."""
    folder = Path("/proc", str(process_id))
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    anonymous, resident, threads = (int(status[name].split()[0]) for name in ("RssAnon", "VmRSS", "Threads"))
    return Sample(time.monotonic(), rows, anonymous, resident, len(list((folder / "fd").iterdir())), threads)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much y grows by x, by least squares."""
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return float(sum((x - mean_x) * (y - mean_y) for x, y in points) / spread)
